"""How long each table keeps its rows, and why.

Holds always: every table of the schema has a term (a test compares the two, and docs/retention.md with both); a row
whose time is over is deleted by the upkeep alone, and kept while a finding or a hold needs it.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

from compliance_api.domain.law.retention import RetentionSettings
from compliance_api.storage.upkeep.keeping import Keep
from compliance_api.storage.upkeep.partitions import OBSERVATIONS
from compliance_api.storage.upkeep.sweeping import Along, Sweep

SESSION = timedelta(days=8)
"""How long after its round an observation may have been asked, at most."""


class Term(enum.StrEnum):
    """How long."""

    # As the settings say, from what a row is about: `retention.raw`, `.hourly`, `.challenges`.
    RAW = "raw"
    HOURLY = "hourly"
    CHALLENGES = "challenges"
    # As long as any observation made under it, and `raw` at least.
    SESSION = "session"
    # It says what is so now, and is overwritten.
    CURRENT = "current"
    # Decisions, what they were made from, and what commits to the rest.
    EVER = "ever"

    def before(self, settings: RetentionSettings, now: datetime) -> datetime:
        """Rows of before this moment are due.

        Raises:
            ValueError: Of this term none is ever due.
        """
        match self:
            case Term.RAW:
                return settings.raw_before(now)
            case Term.HOURLY:
                return settings.hourly_before(now)
            case Term.CHALLENGES:
                return settings.challenges_before(now)
            case Term.SESSION:
                # Observations go by whole spans: the last of a span has become that much older.
                return settings.raw_before(now) - OBSERVATIONS.width - SESSION
        raise ValueError(f"nothing is due of what is kept {self.value}")


TERMS = {
    "assignments": Term.SESSION,
    "certificates": Term.RAW,
    "chain_heads": Term.CURRENT,
    "challenge_outcomes": Term.RAW,
    "challenge_sums": Term.EVER,
    "challenges": Term.CHALLENGES,
    "copied_counters": Term.EVER,
    "closures": Term.EVER,
    "daily_rollups": Term.EVER,
    "draws": Term.SESSION,
    "egress_sightings": Term.RAW,
    "enrolment_tokens": Term.RAW,
    "enrolments": Term.RAW,
    "extra_questions": Term.SESSION,
    "finding_citations": Term.RAW,
    "finding_steps": Term.EVER,
    "finding_versions": Term.EVER,
    "findings": Term.EVER,
    "hourly_rollups": Term.HOURLY,
    "jurisdictions": Term.CURRENT,
    "law_versions": Term.EVER,
    "ledger_checkpoints": Term.EVER,
    "ledger_leaves": Term.EVER,
    "ledger_tiles": Term.EVER,
    "legal_holds": Term.EVER,
    "line_checks": Term.RAW,
    "listings": Term.EVER,
    "log_position": Term.CURRENT,
    "membership": Term.CURRENT,
    "node_versions": Term.EVER,
    "observations": Term.RAW,
    "organisations": Term.CURRENT,
    "parties": Term.CURRENT,
    "people": Term.RAW,
    "period_verdicts": Term.EVER,
    "questions": Term.SESSION,
    "releases": Term.EVER,
    "removals": Term.EVER,
    "reports": Term.RAW,
    "revocations": Term.EVER,
    "rounds": Term.SESSION,
    "seeds": Term.RAW,
    "session_paths": Term.SESSION,
    "shape_versions": Term.EVER,
    "shares": Term.RAW,
    "tallies": Term.EVER,
    "unverified_reports": Term.RAW,
    "upkeep_marks": Term.CURRENT,
    "verdict_changes": Term.EVER,
    "verdicts": Term.CURRENT,
}

_SESSION = "part.operator_id = due.operator_id AND part.assignment_id = due.assignment_id"
_ROUND = "part.operator_id = due.operator_id AND part.round_id = due.round_id"

SWEEPS = (
    Sweep("unverified_reports", "old.accepted_at < :before", Keep("accepted_at", "digest", "digests"), ("log_index",)),
    Sweep("line_checks", "old.received_at < :before", None, ("log_index",)),
    Sweep("egress_sightings", "old.seen_at < :before", Keep("seen_at", "assignment_id", "sessions")),
    # A round with all that was asked in it, once nothing is left that was seen.
    Sweep(
        "rounds",
        "old.expires_at < :before AND NOT EXISTS (SELECT FROM assignments given JOIN observations seen"
        " ON seen.operator_id = given.operator_id AND seen.assignment_id = given.assignment_id"
        " WHERE given.operator_id = old.operator_id AND given.round_id = old.round_id)",
        Keep("drawn_at"),
        along=(
            Along("assignments", _ROUND, leaves=("log_index",)),
            Along("questions", _ROUND),
            Along("extra_questions", _SESSION, "assignments"),
            Along("session_paths", _SESSION, "assignments"),
        ),
        batch=100,
    ),
    # What rounds were drawn from, once none of them is left.
    Sweep(
        "draws",
        "old.purpose = 'rounds' AND old.kept_at < CAST(:before AS timestamptz) - interval '1 day' AND NOT EXISTS"
        " (SELECT FROM rounds kept WHERE kept.operator_id = old.operator_id AND kept.number = old.number"
        " AND kept.expires_at < :before)",
        Keep("kept_at"),
        batch=100,
    ),
    Sweep(
        "challenges",
        "old.deadline < :before",
        Keep("hour", "challenge_id", "challenges"),
        ("log_index", "opening_index"),
        along=(
            Along(
                "draws",
                "part.operator_id = due.operator_id AND part.purpose = 'challenges/' || due.node"
                " AND part.number = CAST(extract(epoch FROM due.hour) AS bigint)",
            ),
        ),
        batch=500,
    ),
    # Its leaf has told everybody what it was.
    Sweep("seeds", "old.day < CAST(:before AS timestamptz)::date AND old.opened_index IS NOT NULL", None),
    Sweep("challenge_outcomes", "old.computed_at < :before", Keep("ends_at")),
    Sweep("finding_citations", "old.cited_at < :before", Keep("cited_at", "finding_id", "findings")),
    # Whoever has called for so long no more has all of it.
    Sweep("shares", "old.at < :before", None),
    # Those that were let in are in the ledger, and their keys in the registry.
    Sweep("enrolment_tokens", "old.expires_at < :before", None),
    Sweep("enrolments", "coalesce(old.decided_at, old.expires_at) < :before", None),
    Sweep("certificates", "old.not_after < :before", None),
    Sweep(
        "people",
        "EXISTS (SELECT FROM revocations ended WHERE ended.organisation = old.organisation AND ended.role = 'person'"
        " AND ended.name = old.name AND ended.fingerprint = '' AND ended.lifted_at IS NULL"
        " AND ended.revoked_at < :before)",
        None,
    ),
)
"""What the upkeep deletes row by row, in this order; `reports`, `observations` and `hourly_rollups` lie in spans."""

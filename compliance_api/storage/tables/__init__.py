"""The tables, as the newest migration leaves them (a test compares the two).

Holds always: `operator_id` leads the key of everything an operator says or is seen doing, so that those tables
distribute by it; the rest are small reference tables, and the ledger, which is one order over all operators. Bytes that
somebody signed are kept as received. Rows of evidence are only ever added; what changes in place is the head of a
chain, the position of the log, the cosignatures of its head, and the current verdict.
"""

from compliance_api.storage.tables.base import metadata
from compliance_api.storage.tables.challenges import (
    challenge_outcomes,
    challenge_sums,
    challenges,
    copied_counters,
    draws,
    egress_sightings,
    extra_questions,
    seeds,
    session_paths,
)
from compliance_api.storage.tables.judging import (
    finding_steps,
    finding_versions,
    law_versions,
    period_verdicts,
    tallies,
)
from compliance_api.storage.tables.ledger import ledger_checkpoints, ledger_leaves, ledger_tiles
from compliance_api.storage.tables.listchanges import listings, removals
from compliance_api.storage.tables.membership import (
    certificates,
    enrolment_tokens,
    enrolments,
    jurisdictions,
    membership,
    node_versions,
    organisations,
    parties,
    people,
    revocations,
    shares,
)
from compliance_api.storage.tables.probing import (
    assignments,
    line_checks,
    observations,
    questions,
    releases,
    rounds,
    shape_versions,
)
from compliance_api.storage.tables.reports import chain_heads, log_position, reports, unverified_reports
from compliance_api.storage.tables.upkeep import daily_rollups, hourly_rollups, legal_holds, upkeep_marks
from compliance_api.storage.tables.verdicts import closures, finding_citations, findings, verdict_changes, verdicts

__all__ = [
    "assignments",
    "certificates",
    "chain_heads",
    "challenge_outcomes",
    "challenge_sums",
    "challenges",
    "closures",
    "copied_counters",
    "daily_rollups",
    "draws",
    "egress_sightings",
    "enrolment_tokens",
    "enrolments",
    "extra_questions",
    "finding_citations",
    "finding_steps",
    "finding_versions",
    "findings",
    "hourly_rollups",
    "jurisdictions",
    "law_versions",
    "ledger_checkpoints",
    "ledger_leaves",
    "ledger_tiles",
    "legal_holds",
    "line_checks",
    "listings",
    "log_position",
    "membership",
    "metadata",
    "node_versions",
    "observations",
    "organisations",
    "parties",
    "people",
    "period_verdicts",
    "questions",
    "releases",
    "removals",
    "reports",
    "revocations",
    "rounds",
    "seeds",
    "session_paths",
    "shape_versions",
    "shares",
    "tallies",
    "unverified_reports",
    "upkeep_marks",
    "verdict_changes",
    "verdicts",
]

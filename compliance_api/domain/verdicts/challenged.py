"""What challenges refute of an operator's counters, in counts and with the openings that show it.

Holds always: what accuses was decided by `domain.outcome` and `domain.openness`; here it is only told. The evidence are
the openings themselves, and the challenges that nobody answered.
"""

from __future__ import annotations

from compliance_api.domain.challenges.challenge import State
from compliance_api.domain.challenges.openness import Hour
from compliance_api.domain.challenges.outcome import ChallengeOutcome
from compliance_api.domain.findings.finding import Evidence, EvidenceKind
from compliance_api.domain.verdicts.case import UNTRUE, Case, SlopeRecord
from compliance_api.domain.verdicts.claims import quote

# Opened, and what was asked did not stand there.
_CLOSED = {State.OPENED: "absent"}
MAX_SHOWN = 100
"""Pieces of evidence of one kind that an outcome keeps: the oldest and the newest ones."""


def _quote(hour: Hour, detail: str) -> Evidence:
    kind = EvidenceKind.CHALLENGE if hour.state is State.UNANSWERED else EvidenceKind.OPENING
    return Evidence(kind, hour.start, hour.challenge_id.hex(), node=hour.node, detail=detail)


def _some(pieces: list[Evidence]) -> list[Evidence]:
    ordered = sorted(pieces)
    return ordered if len(ordered) <= MAX_SHOWN else ordered[: MAX_SHOWN // 2] + ordered[-MAX_SHOWN // 2 :]


def record(found: ChallengeOutcome) -> SlopeRecord:
    """An outcome as verdicts take it."""
    above, shut = found.above, found.shut
    low, high = found.bounds or (None, None)
    evidence = [
        *_some([_quote(one, UNTRUE) for one in found.untrue]),
        *_some([_quote(one.hour, f"{one.counted} > {one.total}") for one in above.hours]),
        *_some([_quote(hour, _CLOSED.get(hour.state, hour.state)) for one in shut for hour in one.closed]),
        *_some([_quote(one, one.state) for one in found.opened if found.refuted]),
    ]
    return SlopeRecord(
        found.end,
        found.states[State.OPENED],
        found.states[State.UNTRUE],
        found.sums.n,
        low,
        high,
        found.refuted,
        len(found.untrue),
        found.states[State.REFUSED],
        found.states[State.UNCOMMITTED],
        found.states[State.UNANSWERED],
        found.absent,
        len(above.hours),
        above.counted,
        above.total,
        len(shut),
        sum(one.hours for one in shut),
        sum(len(one.closed) for one in shut),
        sum(one.days for one in shut),
        tuple(evidence),
    )


def challenged(case: Case) -> tuple[dict[str, int], list[Evidence]]:
    """The counts and the evidence that challenges add to a finding; nothing where they refute nothing."""
    told = case.challenges
    if told is None or not told.severity:
        return {}, []
    counts: dict[str, int] = {}
    if told.accuses:
        counts |= {"challenge_pairs": told.pairs, "slope_low": told.low or 0, "slope_high": told.high or 0}
    if told.lied:
        counts |= {"hours_opened_untruly": told.lied}
    if told.above:
        counts |= {
            "hours_opened_above": told.above,
            "hits_opened": told.above_counted,
            "hits_reported": told.above_reported,
        }
    if told.shut_nodes:
        counts |= {
            "nodes_not_opening": told.shut_nodes,
            "hours_not_opened": told.shut_closed,
            "hours_challenged": told.shut_hours,
            "days_not_opened": told.shut_days,
        }
    # What was summed up before openings were evidence rests on the reports of the period.
    return counts, list(told.evidence) or [quote(report) for report in case.reports]

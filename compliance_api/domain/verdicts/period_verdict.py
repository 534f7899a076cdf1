"""The verdict on a legal day or a month, as a document that anybody recomputes.

Holds always: the same evidence and law give the same bytes, in whatever order the evidence comes; every rate stands
with its counts and an interval whose bounds are rounded outward; times are whole seconds between what was published and
what was seen, stated as the interval that the sightings allow; no listed name is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from compliance_api.domain.findings.finding import Finding
from compliance_api.domain.law.law_history import LawVersion
from compliance_api.domain.legal_day import Period
from compliance_api.domain.observations.timing import seconds_between, summed
from compliance_api.domain.statistics.eprocess import FAMILIES
from compliance_api.domain.statistics.intervals import clopper_pearson
from compliance_api.domain.verdicts.accusations import slow_releases
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import Course, Step
from compliance_api.domain.verdicts.provenance import made_with
from compliance_api.domain.verdicts.verdict import Outcome, Verdict, judge
from lachan import canonical

FORMAT = "lachan-verdict 1"


@dataclass(frozen=True)
class PeriodVerdict:
    """A verdict with the document that says everything about it."""

    verdict: Verdict
    period: Period
    document: bytes

    @property
    def outcome(self) -> Outcome:
        """What can be said."""
        return self.verdict.outcome


def cut(course: Course, period: Period) -> Course:
    """The course up to the last day of the period on which it accuses; up to the period's end where it never does."""
    steps = [step for step in course.steps if step.day <= period.last]
    for number in range(len(steps), 0, -1):
        if steps[number - 1].day < period.first:
            break
        if steps[number - 1].standing.accused(steps[number - 1].counted.process):
            return Course(tuple(steps[:number]), course.inherited)
    return Course(tuple(steps), course.inherited)


def decide(case: Case, period: Period, laws: Mapping[str, LawVersion]) -> PeriodVerdict:
    """Reaches the verdict on a period.

    Args:
        case: Everything known of the period; its course may go on beyond it.
        period: The day or month.
        laws: The versions of the law that were in force in it, by a name to sort them by.
    """
    whole = replace(case, course=cut(case.course, period))
    verdict = judge(whole)
    days = [step for step in case.course.steps if period.first <= step.day <= period.last]
    document = {
        "format": FORMAT,
        "operator": case.operator,
        "jurisdiction": case.jurisdiction,
        "period": {"name": period.name, "start": _iso(period.start), "end": _iso(period.end)},
        "law": [_law(one) for _, one in sorted(laws.items())],
        "outcome": verdict.outcome.value,
        "findings": [_finding(one) for one in verdict.findings],
        "coverage": verdict.coverage.document(),
        "rates": _rates(days),
        "e_values": dict(zip((family.value for family in FAMILIES), whole.course.standing.values, strict=True)),
        "days": [_day(step) for step in days],
        "times_to_block": _times(days),
        **_seen_in_effect(days),
        "claimed_and_observed": _differences(whole, verdict),
        **_unheard(whole),
        "made_with": dict(made_with()),
    }
    return PeriodVerdict(verdict, period, canonical.encode(document))


def _iso(at: datetime) -> str:
    return at.isoformat()


def _law(one: LawVersion) -> dict[str, Any]:
    return {
        "id": one.name,
        "version": one.version,
        "sha256": one.digest,
        "known_from": _iso(one.known_from),
        "backdated": one.backdated,
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "node": one.node,
        "since": _iso(one.since),
        "counts": dict(one.counts),
        # Their details may be names that must not spread.
        "evidence": [[piece.kind.value, piece.reference] for piece in one.evidence],
        "law": one.clause.law,
        "citation": {"vi": one.clause.citation.vi, "en": one.clause.citation.en},
    }


def _sum(days: list[Step], name: str) -> int:
    return sum(step.counted.counts.get(name, 0) for step in days)


def _rate(hits: int, asked: int) -> dict[str, int]:
    found = clopper_pearson(hits, asked)
    return {"hits": hits, "asked": asked, "low_millionths": found.low, "high_millionths": found.high}


def _rates(days: list[Step]) -> dict[str, dict[str, int]]:
    rates = {
        "under_blocking": _rate(_sum(days, "missed"), _sum(days, "names")),
        "over_blocking": _rate(_sum(days, "over_blocked"), _sum(days, "unlisted")),
    }
    released = _sum(days, "released")
    return rates | ({"slow_unblocking": _rate(_sum(days, "still_blocked"), released)} if released else {})


def _day(step: Step) -> dict[str, Any]:
    counted = step.counted
    return {
        "day": step.day.name,
        "version": counted.version,
        "sha256": counted.digest,
        "law": counted.law,
        "bad": {family.value: step.bad.get(family) for family in FAMILIES},
        "reasons": list(counted.reasons),
        "counts": dict(counted.counts),
        "e_values": list(step.standing.values),
    }


def _times(days: list[Step]) -> list[dict[str, Any]]:
    """For each release whose names were confirmed missed after the deadline: from publication until blocked."""
    return [
        {
            "serial": release.serial,
            "published_at": _iso(release.published_at),
            "seconds_at_least": seconds_between(release.published_at, missed, missed)["at_least"],
            "seconds_at_most": seconds_between(release.published_at, missed, blocked)["at_most"] if blocked else None,
        }
        for release, missed, blocked in slow_releases(days, 1)
    ]


def _seen_in_effect(days: list[Step]) -> dict[str, list[dict[str, Any]]]:
    """For each young release, when its names were first seen as it wants them, and last as before: late or not.

    A count of before such were taken says nothing of them, and neither does its document.
    """
    found = summed(timing for step in days for timing in step.counted.timings)
    if not found:
        return {}
    return {
        "seen_blocking": [one.document() for one in found if not one.removed],
        "seen_unblocking": [one.document() for one in found if one.removed],
    }


def _unheard(case: Case) -> dict[str, list[dict[str, str]]]:
    """When nobody's reports could be taken, in the period and until they were waited for."""
    until = max(case.now, case.waited_until or case.now)
    found = [one for one in case.closures if one.ended > case.start and one.began < until]
    told = [{"since": _iso(one.began), "until": _iso(one.ended)} for one in found]
    return {"no_reports_taken": told} if told else {}


def _differences(case: Case, verdict: Verdict) -> dict[str, Any]:
    """What nodes claim beside what probes saw."""
    return {
        "windows_claimed": len({(one.node, one.window_start) for one in case.reports}),
        "blocked_claimed": sum(one.blocked for one in case.reports),
        "windows_not_enforcing": sum(not one.enforcing for one in case.reports),
        "serial_claimed": verdict.coverage.list_serial_claimed,
        "listed_seen_blocked": verdict.coverage.listed_blocked,
        "listed_seen_missed": verdict.coverage.listed_missed,
        "slope": case.challenges.document() if case.challenges is not None else None,
        "copied_counters": [one.document() for one in case.copies],
    }

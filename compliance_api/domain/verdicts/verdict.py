"""The verdict on one operator in one jurisdiction.

Holds always: it is a pure function of the case, the same evidence gives the same verdict; an accusing finding makes an
operator not compliant however little else is known; without one, too little evidence is said to be too little, and
so are more misses than the law tolerates that nobody has confirmed yet.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from compliance_api.domain.findings.finding import Finding, FindingKind
from compliance_api.domain.observations.observation import Result
from compliance_api.domain.reports.record import ReportRecord
from compliance_api.domain.statistics.day import faulty_lines
from compliance_api.domain.statistics.tail import exceeded, threshold
from compliance_api.domain.verdicts import accusations, claims, sightings
from compliance_api.domain.verdicts.accusations import OF_FAMILY
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.coverage import Coverage
from compliance_api.domain.verdicts.sightings import NameRecord, Picture


class Outcome(enum.StrEnum):
    """What can be said."""

    COMPLIANT = "compliant"
    NOT_COMPLIANT = "not_compliant"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


@dataclass(frozen=True)
class Verdict:
    """What is said of an operator, with its reasons and by which law."""

    operator: str
    jurisdiction: str
    law: str
    outcome: Outcome
    findings: tuple[Finding, ...]
    coverage: Coverage
    # Kinds that are not found any more and not settled either: whoever keeps findings closes none of these.
    held: frozenset[FindingKind] = frozenset()


def _latest(case: Case) -> list[ReportRecord]:
    """The newest report of each node."""
    newest: dict[str, ReportRecord] = {}
    for report in case.reports:
        if report.node not in newest or report.window_start > newest[report.node].window_start:
            newest[report.node] = report
    return list(newest.values())


def _coverage(case: Case, seen: Picture) -> Coverage:
    windows = [claims.windows_owed(case, node) for node in case.nodes]
    latest = _latest(case)
    # A node that left holds no list now, whatever its last report said.
    gone = {node.name for node in case.nodes if any(one.covers(case.now) for one in node.away)}
    claimed = min((report.list_serial for report in latest if report.node not in gone), default=None)
    newer = claims.replacement(case.releases, claimed) if claimed is not None else None
    lag = None
    if claimed is not None:
        # Of a month that goes on, until now.
        until = min(case.now, case.waited_until or case.now)
        lag = max(0, int((until - newer.published_at).total_seconds())) if newer else 0
    listed = [record for record in seen.listed.values() if record.settled]
    unlisted = [record for record in seen.unlisted.values() if record.settled]
    return Coverage(
        period_start=case.start,
        period_end=case.now,
        windows_expected=sum(one.expected for one in windows),
        windows_received=sum(one.received for one in windows),
        nodes=len(case.nodes),
        nodes_reporting=len(latest),
        vantage_points=len(seen.vantage_points),
        listed_asked=len(listed),
        listed_blocked=sum(not record.missed for record in listed),
        listed_missed=sum(bool(record.missed) for record in listed),
        listed_inconclusive=sum(not record.settled for record in seen.listed.values()),
        controls_asked=len(unlisted),
        controls_over_blocked=sum(bool(record.blocked) for record in unlisted),
        list_serial_claimed=claimed,
        list_serial_current=case.releases[-1].serial if case.releases else None,
        list_lag_seconds=lag,
        unreported=tuple(case.withheld),
    )


def _needs(case: Case, coverage: Coverage) -> dict[str, tuple[int, int]]:
    """What there is and what it takes, by name."""
    minimum = case.law.minimum
    return {
        "listed_asked": (coverage.listed_asked, minimum.names),
        "controls_asked": (coverage.controls_asked, minimum.controls),
        # Those not due yet are evidence as well.
        "windows_received": (len({(one.node, one.window_start) for one in case.reports}), minimum.windows),
        "vantage_points": (coverage.vantage_points, case.law.confirmation.vantage_points),
        "nodes_reporting": (coverage.nodes_reporting, max(1, coverage.nodes)),
    }


def _last(records: Iterable[NameRecord], result: Result, aside: int) -> int:
    """Names of which that was seen last, but by the lines that interception explains: those that saw most of it.

    Whoever intercepts a line does so all year, and no operator could ever be called compliant.
    """
    by_line = Counter(one.vantage_point for record in records if (one := record.last) and one.result is result)
    return sum(sorted(by_line.values(), reverse=True)[aside:])


def _doubts(case: Case, seen: Picture, coverage: Coverage) -> dict[str, tuple[int, int]]:
    """What keeps an operator from being called compliant though nothing is proven: too much that speaks against it.

    Only the last sighting of a name is a doubt: a name that was missed is asked again, which confirms it or clears it.
    A bad day is one, until a good one follows it, and so is what was accused before the e-process began anew.
    """
    bad = case.law.burden.bad
    doubts = {}
    aside = faulty_lines(seen.lines, case.law.day_rules())
    missed = _last(seen.listed.values(), Result.NOT_BLOCKED, aside)
    if exceeded(missed, coverage.listed_asked, bad.missed.rule()):
        needed = coverage.listed_asked - threshold(coverage.listed_asked, bad.missed.rule()) + 1
        doubts["listed_blocked"] = coverage.listed_asked - missed, needed
    blocked = _last(seen.unlisted.values(), Result.BLOCKED, aside)
    if exceeded(blocked, coverage.controls_asked, bad.over_blocked.rule()):
        needed = coverage.controls_asked - threshold(coverage.controls_asked, bad.over_blocked.rule()) + 1
        doubts["controls_answered"] = coverage.controls_asked - blocked, needed
    if case.course.doubted:
        doubts["last_day_good"] = 0, 1
    if case.course.steps:
        # Lines are handed resolvers, and of too few of them it can be told whose: the operator enrolled no address that
        # its resolvers ask from, and none of them says who it is.
        told = case.course.steps[-1].counted.counts
        if told.get("untold", 0) and told.get("handed", 0) < case.law.confirmation.vantage_points:
            doubts["lines_told"] = told.get("handed", 0), case.law.confirmation.vantage_points
    return doubts


def _unmeasurable(case: Case, seen: Picture) -> list[Finding]:
    """More lines that meet somebody else than the node they ask than interception explains."""
    granted = faulty_lines(seen.shown, case.law.day_rules())
    if seen.elsewhere <= granted:
        return []
    counts = {"lines_elsewhere": seen.elsewhere, "lines_asked": seen.shown}
    return [Finding(FindingKind.UNMEASURABLE, case.now, counts, (), case.law.clause(FindingKind.UNMEASURABLE))]


def _low_coverage(case: Case, needs: dict[str, tuple[int, int]]) -> list[Finding]:
    counts: dict[str, int] = {}
    for name, (have, need) in needs.items():
        if have < need:
            counts |= {name: have, f"{name}_needed": need}
    if not counts:
        return []
    clause = case.law.clause(FindingKind.LOW_COVERAGE)
    return [Finding(FindingKind.LOW_COVERAGE, case.now, counts, (), clause)]


def judge(case: Case) -> Verdict:
    """Reaches the verdict on a case."""
    seen = sightings.picture(case)
    observed = sightings.observed_list(case, seen)
    coverage = _coverage(case, seen)
    found = [
        *sightings.stale_list(case, observed),
        *accusations.found(case),
        *sightings.counter_mismatch(case, seen, observed),
        *claims.missing_reports(case),
        *claims.broken_chain(case),
        *claims.equivocation(case),
        *claims.bad_signature(case),
    ]
    needs = _needs(case, coverage)
    if found:
        outcome = Outcome.NOT_COMPLIANT
        thin = _low_coverage(case, needs)
    else:
        thin = [*_low_coverage(case, needs | _doubts(case, seen, coverage)), *_unmeasurable(case, seen)]
        outcome = Outcome.NOT_ENOUGH_EVIDENCE if thin else Outcome.COMPLIANT
    held = frozenset(kind for family in case.course.carried for kind in OF_FAMILY[family])
    return Verdict(case.operator, case.jurisdiction, case.law.id, outcome, (*found, *thin), coverage, held)

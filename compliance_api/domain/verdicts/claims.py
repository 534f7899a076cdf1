"""Findings that reports alone bring: what is missing, what contradicts itself, and what admits an old list.

Holds always: whatever a report says or fails to say is judged by the law in force in its window, a contradiction by the
law under which it was sent, and by none where there was none; silence is counted only after the deadline, not before
the authority could hear again, and not while the node was off by what probes saw; a node has the law's time after its
first window ever, and after an outage, before an old list is held against it; declared losses of windows are still
missing windows.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from compliance_api.domain.findings.finding import Evidence, EvidenceKind, Finding, FindingKind, cite
from compliance_api.domain.law.law import Law
from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.reports.record import NodeRecord, ReleaseRecord, ReportRecord
from compliance_api.domain.reports.window import Owed, owed
from compliance_api.domain.verdicts import silence
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.silence import Silence


def quote(report: ReportRecord, detail: str = "") -> Evidence:
    """A report as evidence."""
    return Evidence(EvidenceKind.REPORT, report.window_start, report.digest, node=report.node, detail=detail)


def quote_release(release: ReleaseRecord) -> Evidence:
    """A release as evidence."""
    return Evidence(EvidenceKind.RELEASE, release.published_at, str(release.serial))


@dataclass(frozen=True)
class Duty:
    """What a node owed within the period under one law."""

    law: Law
    owed: Owed

    @property
    def tolerated(self) -> int:
        """Windows that may be missing: of a day's, where fewer were due."""
        duty = self.law.report
        return math.floor(duty.tolerated_missing * max(self.owed.expected, self.law.day.length / duty.window))


def _owes_from(case: Case, node: NodeRecord) -> datetime:
    """When a node's duty to report begins: with its first window, or once the time for that after enrolment is over.

    Whoever is late with the first one owes those before it as well.
    """
    begins, law = case.timeline.running(node.enrolled_at) or (node.enrolled_at, case.law)
    latest = begins + timedelta(seconds=law.report.first_within)
    return min(_began(node), latest) if node.first_window is not None else latest


def _began(node: NodeRecord) -> datetime:
    """When a node that reports began: not before it was known, whatever its clock said in its first window."""
    return max(node.first_window or node.enrolled_at, node.enrolled_at)


def duties(case: Case, node: NodeRecord) -> list[Duty]:
    """The windows that a node owes within the period, under each of its laws.

    None that ended while it was revoked: nobody would have taken a report on it.
    """
    own = case.reports_of(node.name)
    found = []
    for start, end, law in case.timeline.within(max(case.start, _owes_from(case, node)), case.now):
        until = min(end, case.due_by(law))
        ahead = timedelta(seconds=law.report.ahead)
        # Nobody knows what a window to come will bring.
        told = [(one.window_start, one.window_end) for one in own if one.received_at + ahead >= one.window_end]
        found.append(Duty(law, owed(start, until, law.report.window, told, node.away)))
    return found


def windows_owed(case: Case, node: NodeRecord) -> Owed:
    """The windows that a node owes within the period, whatever the law."""
    each = [duty.owed for duty in duties(case, node)]
    missing = tuple(window for one in each for window in one.missing)
    return Owed(sum(one.expected for one in each), sum(one.received for one in each), missing)


def missing_reports(case: Case) -> Iterator[Finding]:
    """Windows owed and not reported, more than the law tolerates, but those in which the node was off."""
    for node in case.nodes:
        expected, missing = 0, list[datetime]()
        for duty in duties(case, node):
            if len(duty.owed.missing) <= duty.tolerated:
                continue
            off = silence.off(case, node, duty.owed.missing, duty.law)
            held = [window for window in duty.owed.missing if window not in off]
            if len(held) > duty.tolerated:
                expected += duty.owed.expected
                missing += held
        if missing:
            yield Finding(
                FindingKind.MISSING_REPORTS,
                missing[0],
                {"windows_missing": len(missing), "windows_expected": expected},
                cite([quote(report) for report in _neighbours(case, node, missing[0])]),
                case.clause(FindingKind.MISSING_REPORTS, missing[-1]),
                node.name,
            )


def _neighbours(case: Case, node: NodeRecord, hole: datetime) -> list[ReportRecord]:
    """The reports right before and right after a missing window."""
    own = case.reports_of(node.name)
    before = [report for report in own if report.window_start < hole]
    after = [report for report in own if report.window_start > hole]
    return [
        *sorted(before, key=lambda report: report.window_start)[-1:],
        *sorted(after, key=lambda report: report.window_start)[:1],
    ]


def broken_chain(case: Case) -> Iterator[Finding]:
    """Links that do not hold and were not declared lost, and more losses declared than disks have."""
    ends = [report for report in _sent(case) if report.relation.broken or report.relation is Relation.DECLARED_LOSS]
    for node, reports in _by_node(ends):
        breaks = [report for report in reports if report.relation.broken]
        losses = [report for report in reports if not report.relation.broken]
        if len(losses) <= max(case.law_at(one.received_at).report.tolerated_losses for one in reports):
            losses = []
        if not breaks and not losses:
            continue
        yield Finding(
            FindingKind.BROKEN_CHAIN,
            min(report.window_start for report in [*breaks, *losses]),
            {"breaks": len(breaks), **({"losses_declared": len(losses)} if losses else {})},
            cite([quote(report, report.relation) for report in [*breaks, *losses]]),
            case.clause(FindingKind.BROKEN_CHAIN, max(report.received_at for report in [*breaks, *losses])),
            node,
        )


def _repeats(reports: Sequence[ReportRecord]) -> list[ReportRecord]:
    """Of a node's reports those on time that another one speaks of as well, each beside the one before it."""
    found: dict[str, ReportRecord] = {}
    before: ReportRecord | None = None
    for report in sorted(reports, key=lambda report: (report.window_start, report.sequence, report.digest)):
        if before is not None and report.window_start < before.window_end:
            found |= {before.digest: before, report.digest: report}
        if before is None or report.window_end > before.window_end:
            before = report
    return list(found.values())


def equivocation(case: Case) -> Iterator[Finding]:
    """Two signed reports under one number, or on one window more often than a clock explains that was set back."""
    for node, reports in _by_node(_sent(case)):
        rivals = [report for report in reports if report.relation is Relation.EQUIVOCATION]
        named = {report.rival for report in rivals}
        sides = [report for report in case.reports_of(node) if report.digest in named]
        twice = _repeats([report for report in reports if report.relation is not Relation.EQUIVOCATION])
        # A pair at least for each window that is told twice.
        if len(twice) // 2 <= max(case.law_at(one.received_at).report.tolerated_repeats for one in reports):
            twice = []
        if not rivals and not twice:
            continue
        yield Finding(
            FindingKind.EQUIVOCATION,
            min(report.window_start for report in [*rivals, *twice]),
            {"conflicting_reports": len(rivals), **({"windows_told_twice": len(twice) // 2} if twice else {})},
            cite([quote(report, f"sequence {report.sequence}") for report in [*rivals, *sides, *twice]]),
            case.clause(FindingKind.EQUIVOCATION, max(report.received_at for report in [*rivals, *twice])),
            node,
        )


def bad_signature(case: Case) -> Iterator[Finding]:
    """Report bytes that the node sent over its own connection, but that its key did not sign."""
    ordered = sorted(
        (one for one in case.unverified if case.timeline.at(one.received_at) is not None), key=lambda one: one.node
    )
    for node, group in groupby(ordered, key=lambda one: one.node):
        items = list(group)
        yield Finding(
            FindingKind.BAD_SIGNATURE,
            min(one.received_at for one in items),
            {"reports": len(items)},
            cite(
                [
                    Evidence(
                        EvidenceKind.UNVERIFIED_REPORT, one.received_at, one.digest, node=one.node, detail=one.reason
                    )
                    for one in items
                ]
            ),
            case.clause(FindingKind.BAD_SIGNATURE, max(one.received_at for one in items)),
            node,
        )


def lawful(case: Case) -> list[ReportRecord]:
    """The reports on windows that began under a law."""
    return [report for report in case.reports if case.timeline.at(report.window_start) is not None]


def _sent(case: Case) -> list[ReportRecord]:
    """The reports that were sent under a law: who contradicts himself does so then, whatever it is about."""
    return [report for report in case.reports if case.timeline.at(report.received_at) is not None]


def _by_node(reports: Sequence[ReportRecord]) -> Iterator[tuple[str, list[ReportRecord]]]:
    for node, group in groupby(sorted(reports, key=lambda report: report.node), key=lambda report: report.node):
        yield node, list(group)


def replacement(releases: Sequence[ReleaseRecord], serial: int) -> ReleaseRecord | None:
    """The first release that is newer than `serial`."""
    return next((release for release in releases if release.serial > serial), None)


def _replaced_due(case: Case, node: NodeRecord, newer: ReleaseRecord, silent: Sequence[Silence]) -> datetime | None:
    """When a node must have replaced the list that a release followed; None where no law says so.

    By the law at the publication; the deadline of a node that was silent when it ended ends after its return.
    """
    found = case.timeline.running(newer.published_at)
    if found is None:
        return None
    begins, law = found
    begins = max(begins, _began(node))
    due = begins + timedelta(seconds=min(law.list.maximum_age, law.block_deadline(urgent=newer.urgent)))
    return silence.excused_until(silent, due, law.list.catch_up)


def stale_claims(case: Case) -> dict[str, list[ReportRecord]]:
    """The reports of each node that admit a list replaced for longer than the law allows, oldest window first."""
    found: dict[str, list[ReportRecord]] = {}
    serials = [release.serial for release in case.releases]
    for node in case.nodes:
        silent = silence.silences(case, node)
        dues: dict[int, datetime | None] = {}
        own = []
        for report in case.reports_of(node.name):
            place = bisect_right(serials, report.list_serial)
            if place == len(serials) or case.timeline.at(report.window_start) is None:
                continue
            newer = case.releases[place]
            if newer.serial not in dues:
                dues[newer.serial] = _replaced_due(case, node, newer, silent)
            due = dues[newer.serial]
            if due is not None and report.window_end > due:
                own.append(report)
        if own:
            found[node.name] = sorted(own, key=lambda report: report.window_start)
    return found

"""Findings that reports alone bring: what is missing, what contradicts itself, and what admits an old list.

Holds always: silence is counted only after the deadline; a node has the law's time after its first window ever before
an old list is held against it; declared losses of windows are still missing windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from compliance_api.domain.case import Case, NodeRecord, ReleaseRecord, ReportRecord
from compliance_api.domain.chain import Relation
from compliance_api.domain.finding import Evidence, EvidenceKind, Finding, FindingKind, cite
from compliance_api.domain.window import Owed, owed


def quote(report: ReportRecord, detail: str = "") -> Evidence:
    """A report as evidence."""
    return Evidence(EvidenceKind.REPORT, report.window_start, report.digest, node=report.node, detail=detail)


def quote_release(release: ReleaseRecord) -> Evidence:
    """A release as evidence."""
    return Evidence(EvidenceKind.RELEASE, release.published_at, str(release.serial))


def windows_owed(case: Case, node: NodeRecord) -> Owed:
    """The windows that a node owes within the period: from its first one, or from enrolment where none ever came.

    None that ended while it was revoked: nobody would have taken a report on it.
    """
    duty = case.law.report
    begin = node.first_window or node.enrolled_at + timedelta(seconds=duty.first_within)
    until = min(case.now, (case.waited_until or case.now) - timedelta(seconds=duty.deadline))
    received = [report.window_start for report in case.reports if report.node == node.name]
    return owed(max(begin, case.start), until, duty.window, received, node.away)


def missing_reports(case: Case) -> Iterator[Finding]:
    """Windows owed and not reported, where they are more than the law tolerates."""
    for node in case.nodes:
        windows = windows_owed(case, node)
        missing = len(windows.missing)
        if missing <= case.law.report.tolerated_missing * windows.expected:
            continue
        yield Finding(
            FindingKind.MISSING_REPORTS,
            windows.missing[0],
            {"windows_missing": missing, "windows_expected": windows.expected},
            cite([quote(report) for report in _neighbours(case, node, windows.missing[0])]),
            case.law.clause(FindingKind.MISSING_REPORTS),
            node.name,
        )


def _neighbours(case: Case, node: NodeRecord, hole: datetime) -> list[ReportRecord]:
    """The reports right before and right after a missing window."""
    own = [report for report in case.reports if report.node == node.name]
    before = [report for report in own if report.window_start < hole]
    after = [report for report in own if report.window_start > hole]
    return [
        *sorted(before, key=lambda report: report.window_start)[-1:],
        *sorted(after, key=lambda report: report.window_start)[:1],
    ]


def broken_chain(case: Case) -> Iterator[Finding]:
    """Links that do not hold and were not declared lost."""
    for node, reports in _by_node([report for report in case.reports if report.relation.broken]):
        yield Finding(
            FindingKind.BROKEN_CHAIN,
            min(report.window_start for report in reports),
            {"breaks": len(reports)},
            cite([quote(report, report.relation) for report in reports]),
            case.law.clause(FindingKind.BROKEN_CHAIN),
            node,
        )


def equivocation(case: Case) -> Iterator[Finding]:
    """Two signed reports under one number."""
    for node, reports in _by_node([report for report in case.reports if report.relation is Relation.EQUIVOCATION]):
        rivals = {report.rival for report in reports}
        sides = [report for report in case.reports if report.digest in rivals]
        yield Finding(
            FindingKind.EQUIVOCATION,
            min(report.window_start for report in reports),
            {"conflicting_reports": len(reports)},
            cite([quote(report, f"sequence {report.sequence}") for report in [*reports, *sides]]),
            case.law.clause(FindingKind.EQUIVOCATION),
            node,
        )


def bad_signature(case: Case) -> Iterator[Finding]:
    """Report bytes that the node sent over its own connection, but that its key did not sign."""
    ordered = sorted(case.unverified, key=lambda one: one.node)
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
            case.law.clause(FindingKind.BAD_SIGNATURE),
            node,
        )


def _by_node(reports: Sequence[ReportRecord]) -> Iterator[tuple[str, list[ReportRecord]]]:
    for node, group in groupby(sorted(reports, key=lambda report: report.node), key=lambda report: report.node):
        yield node, list(group)


def replacement(releases: Sequence[ReleaseRecord], serial: int) -> ReleaseRecord | None:
    """The first release that is newer than `serial`."""
    return next((release for release in releases if release.serial > serial), None)


def admits_stale(case: Case, node: NodeRecord, report: ReportRecord) -> bool:
    """Whether a report itself says that its list had been replaced for longer than the law allows."""
    newer = replacement(case.releases, report.list_serial)
    if newer is None:
        return False
    allowed = min(case.law.list.maximum_age, case.law.block_deadline(urgent=newer.urgent))
    begins = max(newer.published_at, node.first_window or node.enrolled_at)
    return report.window_end > begins + timedelta(seconds=allowed)


def stale_claims(case: Case) -> dict[str, list[ReportRecord]]:
    """The reports of each node that admit an old list, oldest window first."""
    found: dict[str, list[ReportRecord]] = {}
    for node in case.nodes:
        own = [report for report in case.reports if report.node == node.name and admits_stale(case, node, report)]
        if own:
            found[node.name] = sorted(own, key=lambda report: report.window_start)
    return found

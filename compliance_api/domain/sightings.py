"""Findings that probes bring, and those that come of holding claims against sightings.

Holds always: a listed name counts only from the law's deadline after its publication on; a miss counts only when
confirmed by the law's rule; every number here is a plain count of distinct names or windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from compliance_api.domain.case import Case, ReportRecord
from compliance_api.domain.claims import quote, quote_release, replacement, stale_claims
from compliance_api.domain.finding import Evidence, EvidenceKind, Finding, FindingKind, cite
from compliance_api.domain.observation import Arm, Result, Sighting, confirmed, settle
from compliance_api.domain.window import inside


@dataclass(frozen=True)
class NameRecord:
    """What was seen of one name."""

    qname: str
    added_serial: int
    blocked: Sequence[Sighting]
    missed: Sequence[Sighting]
    inconclusive: Sequence[Sighting]

    @property
    def settled(self) -> bool:
        """Whether anything at all can be said about it."""
        return bool(self.blocked or self.missed)

    def ends(self, result: Result) -> bool:
        """Whether that is what was seen of it last."""
        settled = sorted([*self.blocked, *self.missed], key=lambda one: (one.asked_at, one.reference))
        return bool(settled) and settled[-1].result is result


@dataclass(frozen=True)
class Picture:
    """Everything that probes saw of an operator, by name."""

    listed: Mapping[str, NameRecord]
    # Controls and neighbours: never listed.
    unlisted: Mapping[str, NameRecord]
    vantage_points: frozenset[str]
    # Every sighting that was a block, whatever the arm: answers that the node must have counted.
    blocks: Sequence[Sighting]


def _due(case: Case, sighting: Sighting, urgent: Mapping[int, bool]) -> bool:
    if sighting.added_at is None:
        return False
    deadline = case.law.block_deadline(urgent=urgent.get(sighting.added_serial, False))
    return sighting.asked_at >= sighting.added_at + timedelta(seconds=deadline)


def _records(sightings: Sequence[Sighting]) -> dict[str, NameRecord]:
    ordered = sorted(sightings, key=lambda one: (one.qname, one.asked_at, one.reference))
    records = {}
    for qname, group in groupby(ordered, key=lambda one: one.qname):
        seen = list(group)
        records[qname] = NameRecord(
            qname,
            max(one.added_serial for one in seen),
            [one for one in seen if one.result is Result.BLOCKED],
            [one for one in seen if one.result is Result.NOT_BLOCKED],
            [one for one in seen if one.result is Result.INCONCLUSIVE],
        )
    return records


def picture(case: Case) -> Picture:
    """Puts a case's observations in order: sessions settled, names not yet due left out."""
    urgent = {release.serial: release.urgent for release in case.releases}
    settled: list[Sighting] = []
    ordered = sorted(case.sightings, key=lambda one: (one.assignment, one.asked_at, one.reference))
    for _, session in groupby(ordered, key=lambda one: one.assignment):
        settled.extend(settle(session))
    listed = [one for one in settled if one.arm is Arm.LISTED and _due(case, one, urgent)]
    unlisted = [one for one in settled if one.arm is not Arm.LISTED]
    conclusive = [one for one in [*listed, *unlisted] if one.result is not Result.INCONCLUSIVE]
    return Picture(
        _records(listed),
        _records(unlisted),
        frozenset(one.vantage_point for one in conclusive),
        [one for one in settled if one.result is Result.BLOCKED],
    )


def quote_sighting(sighting: Sighting) -> Evidence:
    """An observation as evidence."""
    return Evidence(
        EvidenceKind.OBSERVATION,
        sighting.asked_at,
        sighting.reference,
        node=sighting.node,
        probe=sighting.probe,
        detail=sighting.qname,
    )


def _quoted(records: Sequence[NameRecord], *, missed: bool) -> list[Evidence]:
    return [quote_sighting(one) for record in records for one in (record.missed if missed else record.blocked)]


def confirmed_misses(case: Case, seen: Picture) -> list[NameRecord]:
    """Listed names that independent probes saw answered."""
    rule = case.law.confirmation.rule()
    return [record for record in seen.listed.values() if confirmed(record.missed, rule, record.blocked)]


def under_blocking(case: Case, seen: Picture) -> Iterator[Finding]:
    """More confirmed misses than the law tolerates."""
    asked = sum(record.settled for record in seen.listed.values())
    misses = confirmed_misses(case, seen)
    if len(misses) < case.law.minimum.missed_names or len(misses) <= case.law.tolerated_miss_rate * asked:
        return
    evidence = _quoted(misses, missed=True)
    yield Finding(
        FindingKind.UNDER_BLOCKING,
        min(one.at for one in evidence),
        {"names_missed": len(misses), "names_asked": asked},
        cite(evidence),
        case.law.clause(FindingKind.UNDER_BLOCKING),
    )


def over_blocking(case: Case, seen: Picture) -> Iterator[Finding]:
    """Names never listed that independent probes saw blocked."""
    rule = case.law.confirmation.rule()
    blocked = [record for record in seen.unlisted.values() if confirmed(record.blocked, rule, record.missed)]
    if len(blocked) <= case.law.tolerated_over_blocked:
        return
    evidence = _quoted(blocked, missed=False)
    yield Finding(
        FindingKind.OVER_BLOCKING,
        min(one.at for one in evidence),
        {"controls_blocked": len(blocked), "controls_asked": sum(one.settled for one in seen.unlisted.values())},
        cite(evidence),
        case.law.clause(FindingKind.OVER_BLOCKING),
    )


@dataclass(frozen=True)
class ObservedList:
    """What probes say about the list in force: names up to `serial` are blocked, newer ones are not."""

    serial: int
    blocked_up_to: int
    newer_asked: int
    newer_missed: Sequence[NameRecord]


def observed_list(case: Case, seen: Picture) -> ObservedList | None:
    """The list that an operator runs, where it is an old one by what probes saw.

    Each serial that brought a name asked for is tried as the one in force, the newest first: nearly all names of newer
    releases must be confirmed misses, and the names up to it must be blocked.
    """
    settled = [record for record in seen.listed.values() if record.settled]
    misses = {record.qname for record in confirmed_misses(case, seen)}
    wanted = case.law.minimum.missed_names
    for serial in sorted({record.added_serial for record in settled}, reverse=True):
        newer = [record for record in settled if record.added_serial > serial]
        older = [record for record in settled if record.added_serial <= serial]
        missed = [record for record in newer if record.qname in misses]
        blocked = [record for record in older if record.blocked and not record.missed]
        if len(missed) < wanted or len(blocked) < wanted:
            continue
        if len(missed) < case.law.list.stale_share * len(newer):
            continue
        if len(older) - len(blocked) <= case.law.tolerated_miss_rate * len(older):
            return ObservedList(serial, len(blocked), len(newer), missed)
    return None


def stale_list(case: Case, observed: ObservedList | None) -> Iterator[Finding]:
    """An old list, by the operator's own word or by what probes saw whatever the operator says."""
    evidence: list[Evidence] = []
    counts: dict[str, int] = {}
    claims = [report for reports in stale_claims(case).values() for report in reports]
    if claims:
        counts |= {"windows_stale": len(claims), "serial_claimed": min(report.list_serial for report in claims)}
        evidence += [quote(report, f"serial {report.list_serial}") for report in claims]
    if observed:
        counts |= {
            "serial_observed": observed.serial,
            "newer_names_missed": len(observed.newer_missed),
            "newer_names_asked": observed.newer_asked,
            "older_names_blocked": observed.blocked_up_to,
        }
        evidence += _quoted(observed.newer_missed, missed=True)
    if not evidence:
        return
    since = min(one.at for one in evidence)
    serials = [counts[key] for key in ("serial_claimed", "serial_observed") if key in counts]
    newer = replacement(case.releases, min(serials))
    quoted = cite(evidence)
    yield Finding(
        FindingKind.STALE_LIST,
        since,
        counts,
        (quote_release(newer), *quoted) if newer else quoted,
        case.law.clause(FindingKind.STALE_LIST),
    )


def _false_serials(case: Case, observed: ObservedList | None) -> list[ReportRecord]:
    """Reports that claim a list whose newest names were seen answered while the report's window was running."""
    if observed is None:
        return []
    misses = [one for record in observed.newer_missed for one in record.missed]
    margin = case.law.counters.clock_tolerance
    return [
        report
        for report in case.reports
        if report.enforcing
        and any(
            one.node == report.node
            and one.added_serial <= report.list_serial
            and one.asked_at >= report.list_activated_at + timedelta(seconds=margin)
            and report.window_start <= one.asked_at < report.window_end
            for one in misses
        )
    ]


def _short_counts(case: Case, seen: Picture) -> list[tuple[ReportRecord, int]]:
    """Reports that claim fewer blocked answers than probes alone received in the window."""
    margin = case.law.counters.clock_tolerance
    short = []
    for report in case.reports:
        received = sum(
            one.node == report.node and inside(one.asked_at, report.window_start, report.window_seconds, margin)
            for one in seen.blocks
        )
        if report.blocked < received:
            short.append((report, received))
    return short


def counter_mismatch(case: Case, seen: Picture, observed: ObservedList | None) -> Iterator[Finding]:
    """Claims that probes refute: a list not in force, or counters below what the probes themselves received."""
    false = _false_serials(case, observed)
    short = _short_counts(case, seen)
    wanted = case.law.counters.mismatched_windows
    counts: dict[str, int] = {}
    evidence: list[Evidence] = []
    if observed and len(false) >= wanted:
        counts |= {
            "windows_claiming_newer_list": len(false),
            "serial_claimed": max(report.list_serial for report in false),
            "serial_observed": observed.serial,
        }
        evidence += [quote(report, f"serial {report.list_serial}") for report in false]
    if len(short) >= wanted:
        counts |= {
            "windows_counting_too_few": len(short),
            "blocked_claimed": sum(report.blocked for report, _ in short),
            "blocked_received": sum(received for _, received in short),
        }
        evidence += [quote(report, f"blocked {report.blocked} < {received}") for report, received in short]
    if evidence:
        yield Finding(
            FindingKind.COUNTER_MISMATCH,
            min(one.at for one in evidence),
            counts,
            cite(evidence),
            case.law.clause(FindingKind.COUNTER_MISMATCH),
        )

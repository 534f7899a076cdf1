"""What probes saw within the period, and the findings that come of holding claims against it.

Holds always: a listed name counts only from the law's deadline after its publication on; a miss counts only when
confirmed by the law's rule; no sighting of a name is left out for what its session showed of its way. One period's
sightings alone accuse nobody of not filtering: they say which list is in force once the course of days accuses, and
contradict a report only where as many lines as interception explains have been set aside.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from compliance_api.domain.findings.finding import Evidence, Finding, FindingKind, cite
from compliance_api.domain.observations.observation import UNLISTED, Arm, Path, Result, Shape, Sighting, confirmed
from compliance_api.domain.observations.ways import lines
from compliance_api.domain.reports.record import ReportRecord
from compliance_api.domain.reports.window import inside
from compliance_api.domain.statistics.day import Line, faulty_lines, parts
from compliance_api.domain.statistics.parameters import DayRules, Family
from compliance_api.domain.statistics.tail import exceeded
from compliance_api.domain.verdicts.accusations import e_values, quote_day
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.challenged import challenged
from compliance_api.domain.verdicts.claims import lawful, quote, quote_release, replacement, stale_claims
from compliance_api.domain.verdicts.tally import due, quote_sighting, settled


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

    @property
    def last(self) -> Sighting | None:
        """What was seen of it last."""
        return max([*self.blocked, *self.missed], key=lambda one: (one.asked_at, one.reference), default=None)


@dataclass(frozen=True)
class Picture:
    """Everything that probes saw of an operator, by name."""

    listed: Mapping[str, NameRecord]
    # Controls and neighbours: never listed.
    unlisted: Mapping[str, NameRecord]
    vantage_points: frozenset[str]
    # Sightings of listed names that the node answered with a block: what it must have counted. Silence and refusal are
    # not, for a packet may be lost and a client be turned away; nor is a block of what is not on the list.
    blocks: Sequence[Sighting]
    # Vantage points that asked; those that showed their way, and of these who seem to meet somebody else than the node.
    lines: int
    shown: int
    elsewhere: int


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
    finished = settled(case.sightings)
    way = lines(finished)
    listed = [one for one in finished if one.arm is Arm.LISTED and due(one, case.timeline, urgent)]
    unlisted = [one for one in finished if one.arm in UNLISTED]
    conclusive = [one for one in [*listed, *unlisted] if one.result is not Result.INCONCLUSIVE]
    return Picture(
        _records(listed),
        _records(unlisted),
        frozenset(one.vantage_point for one in conclusive),
        [one for one in finished if _answered_block(one)],
        len({one.vantage_point for one in finished}),
        way.asked,
        way.elsewhere,
    )


def _answered_block(one: Sighting) -> bool:
    """Whether a node that had the list must have counted it.

    A session that seems to have ended elsewhere may have been with another of the operator's nodes: what that one
    counted is no contradiction. Whoever makes it seem so hides nothing but what challenges look for.
    """
    silent = one.shape in {Shape.TIMEOUT, Shape.REFUSED}
    here = one.path is not Path.ELSEWHERE
    return one.arm is Arm.LISTED and one.result is Result.BLOCKED and not silent and here


def _quoted(records: Sequence[NameRecord]) -> list[Evidence]:
    return [quote_sighting(one) for record in records for one in record.missed]


def confirmed_misses(case: Case, seen: Picture) -> list[NameRecord]:
    """Listed names that independent probes saw answered."""
    rule = case.law.confirmation.rule()
    return [record for record in seen.listed.values() if confirmed(record.missed, rule, record.blocked)]


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
    known = [record for record in seen.listed.values() if record.settled]
    misses = {record.qname for record in confirmed_misses(case, seen)}
    wanted = case.law.minimum.missed_names
    tolerated = case.law.burden.bad.missed.rule()
    for serial in sorted({record.added_serial for record in known}, reverse=True):
        newer = [record for record in known if record.added_serial > serial]
        older = [record for record in known if record.added_serial <= serial]
        missed = [record for record in newer if record.qname in misses]
        leaks = sum(record.qname in misses for record in older)
        blocked = sum(bool(record.blocked) and record.qname not in misses for record in older)
        if len(missed) < wanted or blocked < wanted:
            continue
        if len(missed) < case.law.list.stale_share * len(newer):
            continue
        if not exceeded(leaks, len(older), tolerated):
            return ObservedList(serial, blocked, len(newer), missed)
    return None


def stale_list(case: Case, observed: ObservedList | None) -> Iterator[Finding]:
    """An old list, by the operator's own word, or by names of the last week that are missed on too many days."""
    evidence: list[Evidence] = []
    counts: dict[str, int] = {}
    claims = [report for reports in stale_claims(case).values() for report in reports]
    if claims:
        counts |= {"windows_stale": len(claims), "serial_claimed": min(report.list_serial for report in claims)}
        evidence += [quote(report, f"serial {report.list_serial}") for report in claims]
    days: list[Evidence] = []
    if Family.STALE_LIST in case.course.accused():
        bad = case.course.run(Family.STALE_LIST)
        counts |= {
            "recent_names_missed": sum(step.counted.counts["aged_missed"] for step in bad),
            "recent_names_asked": sum(step.counted.counts["aged"] for step in bad),
            "days_bad": len(bad),
            **e_values(case, Family.STALE_LIST),
        }
        evidence += [one for step in bad for one in step.counted.evidence.get(Family.STALE_LIST, ())]
        days = [quote_day(step) for step in bad]
        if observed:
            counts |= {
                "serial_observed": observed.serial,
                "newer_names_missed": len(observed.newer_missed),
                "newer_names_asked": observed.newer_asked,
                "older_names_blocked": observed.blocked_up_to,
            }
            evidence += _quoted(observed.newer_missed)
    if not counts:
        return
    serials = [counts[key] for key in ("serial_claimed", "serial_observed") if key in counts]
    newer = replacement(case.releases, min(serials)) if serials else None
    quoted = (*cite(evidence), *cite(days))
    yield Finding(
        FindingKind.STALE_LIST,
        min(one.at for one in quoted),
        counts,
        (quote_release(newer), *quoted) if newer else quoted,
        case.clause(FindingKind.STALE_LIST, max(one.at for one in quoted)),
    )


def _false_serials(case: Case, observed: ObservedList | None) -> list[ReportRecord]:
    """Reports that claim a list whose newest names were seen answered while the report's window was running."""
    if observed is None:
        return []
    misses = [one for record in observed.newer_missed for one in record.missed]
    margins = {report.digest: case.law_at(report.window_start).counters.clock_tolerance for report in case.reports}
    return [
        report
        for report in lawful(case)
        if report.enforcing
        and any(
            one.node == report.node
            and one.added_serial <= report.list_serial
            and one.asked_at >= report.list_activated_at + timedelta(seconds=margins[report.digest])
            and report.window_start <= one.asked_at < report.window_end
            for one in misses
        )
    ]


def _received(blocks: Sequence[Sighting], lines: int, rules: DayRules) -> int:
    """Blocked answers of one window that somebody else than the node cannot explain.

    Somebody on the way may have given the answers of a few lines: as many of the lines with the most blocks as
    interception explains are set aside. One custodian may have invented those of its lines, and one network have given
    them: the least that is left without any one of them counts.
    """
    by_line: dict[str, int] = {}
    keepers: dict[str, Line] = {}
    for one in blocks:
        by_line[one.vantage_point] = by_line.get(one.vantage_point, 0) + 1
        keepers.setdefault(one.vantage_point, Line(one.access_network, one.custodian))
    points = sorted(by_line)
    aside = faulty_lines(lines, rules)
    return min(
        sum(sorted((by_line[points[place]] for place in part), reverse=True)[aside:])
        for part in parts([keepers[point] for point in points], rules)
    )


def _short_counts(case: Case, seen: Picture) -> list[tuple[ReportRecord, int]]:
    """Reports that claim fewer blocked answers than probes alone received in the window."""
    by_node: dict[str, list[Sighting]] = {}
    for one in seen.blocks:
        by_node.setdefault(one.node, []).append(one)
    times = {node: [one.asked_at for one in blocks] for node, blocks in by_node.items()}
    short = []
    for report in lawful(case):
        law = case.law_at(report.window_start)
        margin = law.counters.clock_tolerance
        blocks = by_node.get(report.node, [])
        # In order of time, so only those of the window are looked at.
        begin = bisect_left(times.get(report.node, []), report.window_start)
        end = bisect_left(times.get(report.node, []), report.window_end)
        there = [
            one for one in blocks[begin:end] if inside(one.asked_at, report.window_start, report.window_seconds, margin)
        ]
        received = _received(there, seen.lines, law.day_rules())
        if report.blocked < received:
            short.append((report, received))
    return short


def _enough(case: Case, windows: Sequence[ReportRecord]) -> bool:
    """Whether they are as many as the law of each of them asks for."""
    wanted = {case.law_at(report.window_start).counters.mismatched_windows for report in windows}
    return len(windows) >= max(wanted, default=1)


def counter_mismatch(case: Case, seen: Picture, observed: ObservedList | None) -> Iterator[Finding]:
    """Claims that probes refute: a list not in force, or counters below what the probes themselves received.

    Which list is in force is believed only where the course of days accuses: a resolver that fails for an afternoon
    says the truth about its list.
    """
    accused = {Family.STALE_LIST, Family.FILTERING} & set(case.course.accused())
    false = _false_serials(case, observed) if accused else []
    short = _short_counts(case, seen)
    counts: dict[str, int] = {}
    evidence: list[Evidence] = []
    if observed and _enough(case, false):
        counts |= {
            "windows_claiming_newer_list": len(false),
            "serial_claimed": max(report.list_serial for report in false),
            "serial_observed": observed.serial,
        }
        evidence += [quote(report, f"serial {report.list_serial}") for report in false]
    if _enough(case, [report for report, _ in short]):
        counts |= {
            "windows_counting_too_few": len(short),
            "blocked_claimed": sum(report.blocked for report, _ in short),
            "blocked_received": sum(received for _, received in short),
        }
        evidence += [quote(report, f"blocked {report.blocked} < {received}") for report, received in short]
    told, shown = challenged(case)
    counts |= told
    evidence += shown
    if case.copies:
        counts["days_copied"] = len({(one.node, one.starts_at) for one in case.copies})
        copied = {one.node for one in case.copies}
        evidence += [quote(report) for report in case.reports if report.node in copied]
    if evidence:
        yield Finding(
            FindingKind.COUNTER_MISMATCH,
            min(one.at for one in evidence),
            counts,
            cite(evidence),
            case.clause(FindingKind.COUNTER_MISMATCH, max(one.at for one in evidence)),
        )

"""A legal day, counted from what probes saw of an operator in a jurisdiction.

Holds always: the count is a pure function of the sightings, whatever order they come in; a name belongs to the days on
which it was asked, and may be confirmed until the day is closed; names asked again because they had been missed confirm
and clear, but are never counted as drawn; no sighting is left out for what a session showed of its way, which the
accused could spoil: lines that somebody intercepts are set aside by their number alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from itertools import groupby

from compliance_api.domain.findings.finding import Evidence, EvidenceKind
from compliance_api.domain.law.law import Law
from compliance_api.domain.law.timeline import Deadlines
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.observations.met import Met, meetings
from compliance_api.domain.observations.observation import (
    FAILING,
    UNLISTED,
    Arm,
    Result,
    Shape,
    Sighting,
    confirmed,
    settle,
)
from compliance_api.domain.observations.strange import shared
from compliance_api.domain.observations.strata import strata
from compliance_api.domain.observations.timing import Moment, ReleaseTiming, timings
from compliance_api.domain.observations.ways import lines as lines_by_way
from compliance_api.domain.observations.ways import spread
from compliance_api.domain.reports.record import ReleaseRecord
from compliance_api.domain.statistics.day import DayTally, judge_day
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.course import CountedDay, ReleaseSeen

QUOTED = 10
"""Pieces of evidence that a count quotes, for each family of bad days."""
# A resolver served a session where it answered so many of the names never listed, and of those that it did not ignore
# this part: one that fails for everybody now and then hides nothing.
_ANSWERED = 3
_ANSWERED_PARTS = (3, 4)
# What a tally holds of each line.
_BY_LINE = frozenset({"lines", "seen", "missed_by"})
_SILENT = frozenset({Shape.TIMEOUT, Shape.FEW_TRIES, Shape.UNREACHABLE})


@dataclass(frozen=True)
class DayEvidence:
    """Everything seen of an operator from the beginning of a legal day until it was closed."""

    day: LegalDay
    sightings: Sequence[Sighting]
    met: Sequence[Met] = ()


@dataclass(frozen=True)
class Count:
    """What came of a day's evidence."""

    tally: DayTally
    # What it was counted from.
    observations: int
    # SHA-256 of the references and what each of them said.
    digest: str
    # Lines that showed their way, and those that seem to meet somebody else than the node they ask.
    lines: int
    elsewhere: int
    # The oldest and newest pieces behind what counts against the operator.
    evidence: Mapping[Family, tuple[Evidence, ...]] = field(default_factory=dict)
    # How late each release took effect, by the names of it that were asked.
    releases: tuple[ReleaseSeen, ...] = ()
    # When each release was seen in effect, whether late or not.
    timings: tuple[ReleaseTiming, ...] = ()


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


def due(sighting: Sighting, deadlines: Deadlines, urgent: Mapping[int, bool]) -> bool:
    """Whether a listed name had to be blocked when it was asked, at the earliest that it can have been."""
    if sighting.added_at is None:
        return False
    by = deadlines.block_due(sighting.added_at, urgent=urgent.get(sighting.added_serial, False))
    return by is not None and (sighting.earliest or sighting.asked_at) >= by


def _released(sighting: Sighting, deadlines: Deadlines) -> bool:
    """Whether a name that was taken out had to be answered again when it was asked."""
    by = deadlines.unblock_due(sighting.removed_at) if sighting.removed_at is not None else None
    return by is not None and (sighting.earliest or sighting.asked_at) >= by


def settled(sightings: Iterable[Sighting]) -> list[Sighting]:
    """The sightings of every session, finished, with the way of their line, in an order that is always the same."""
    ordered = sorted(sightings, key=lambda one: (one.assignment, one.asked_at, one.reference))
    finished: list[Sighting] = []
    for _, session in groupby(ordered, key=lambda one: one.assignment):
        finished.extend(settle(session))
    return sorted(spread(finished), key=lambda one: (one.asked_at, one.reference))


def _by_name(sightings: Iterable[Sighting]) -> dict[str, list[Sighting]]:
    found: dict[str, list[Sighting]] = {}
    for one in sightings:
        found.setdefault(one.qname, []).append(one)
    return found


@dataclass(frozen=True)
class _Counter:
    """One day's sightings, and the rule that confirms."""

    evidence: DayEvidence
    law: Law
    sightings: Sequence[Sighting]

    def on_the_day(self, one: Sighting) -> bool:
        return self.evidence.day.start <= one.asked_at < self.evidence.day.end

    def confirmed(self, seen: Sequence[Sighting], result: Result) -> list[Sighting]:
        """Those of a name's sightings that confirm the result; none where it is not confirmed."""
        against = Result.BLOCKED if result is Result.NOT_BLOCKED else Result.NOT_BLOCKED
        those = [one for one in seen if one.result is result]
        others = [one for one in seen if one.result is against]
        return those if confirmed(those, self.law.confirmation.rule(), others) else []

    def names(self, chosen: Callable[[Sighting], bool]) -> dict[str, list[Sighting]]:
        """Names asked on the day, drawn and settled, with all that was seen of them until the day was closed."""
        drawn = {
            one.qname
            for one in self.sightings
            if chosen(one) and not one.again and self.on_the_day(one) and one.result is not Result.INCONCLUSIVE
        }
        return _by_name(one for one in self.sightings if one.qname in drawn and chosen(one))

    def hits(self, names: Mapping[str, list[Sighting]], result: Result) -> list[list[Sighting]]:
        return [found for seen in names.values() if (found := self.confirmed(seen, result))]

    def served(self) -> frozenset[str]:
        """Sessions in which the resolver answered names never listed.

        Those whose references were dead say nothing, and neither does silence, for packets get lost.
        """
        answered: dict[str, int] = {}
        told: dict[str, int] = {}
        for one in self.sightings:
            if one.arm not in UNLISTED or not one.reference_alive or one.shape in _SILENT:
                continue
            told[one.assignment] = told.get(one.assignment, 0) + 1
            answered[one.assignment] = answered.get(one.assignment, 0) + (one.shape is Shape.ANSWER)
        part, whole = _ANSWERED_PARTS
        return frozenset(
            session
            for session, count in answered.items()
            if count >= _ANSWERED and count * whole >= part * told[session]
        )

    def evaded(self, listed: Sequence[Sighting]) -> list[list[Sighting]]:
        """Names that fail for confirmed eyes, in sessions that were served otherwise."""
        served = self.served()
        failed = _by_name(
            one for one in listed if one.shape in FAILING and one.reference_alive and one.assignment in served
        )
        found = []
        for qname, seen in failed.items():
            if not any(self.on_the_day(one) and not one.again for one in seen):
                continue
            other = [one for one in listed if one.qname == qname and one.result is not Result.INCONCLUSIVE]
            if confirmed(seen, self.law.confirmation.rule(), other):
                found.append(seen)
        return found


def count(
    evidence: DayEvidence, releases: Sequence[ReleaseRecord], law: Law, deadlines: Deadlines | None = None
) -> Count:
    """Counts a legal day.

    Args:
        evidence: Everything seen from its beginning until it was closed.
        releases: Those known, for which of them were urgent.
        law: In force on the day.
        deadlines: Of the laws in force when names were published or taken out; None where that was the law of the day.
    """
    deadlines = deadlines or law
    urgent = {release.serial: release.urgent for release in releases}
    finished = settled(evidence.sightings)
    counter = _Counter(evidence, law, finished)
    listed = [one for one in finished if one.arm is Arm.LISTED and due(one, deadlines, urgent)]
    counted = {one.reference for one in listed}
    names = counter.names(lambda one: one.reference in counted)
    missed = counter.hits(names, Result.NOT_BLOCKED)
    evaded = counter.evaded(listed)
    unlisted = counter.names(lambda one: one.arm in UNLISTED)
    blocked = counter.hits(unlisted, Result.BLOCKED)
    youngest = timedelta(seconds=law.list.aged_until)
    aged = counter.names(
        lambda one: one.reference in counted and one.added_at is not None and one.asked_at < one.added_at + youngest
    )
    late = counter.hits(aged, Result.NOT_BLOCKED)
    drawn = [one for one in listed if not one.again and counter.on_the_day(one)]
    seen = strata(evidence.day, [one for one in drawn if one.result is not Result.INCONCLUSIVE])
    rules = law.day_rules()
    handed = meetings(evidence.met, rules, handed=True)
    direct = meetings(evidence.met, rules, handed=False)
    released = counter.names(lambda one: one.arm is Arm.RELEASED and _released(one, deadlines))
    kept = counter.hits(released, Result.BLOCKED)
    tally = DayTally(
        len(names),
        len(missed),
        len(evaded),
        seen.lines,
        seen.counts,
        seen.missed_by,
        len(unlisted),
        len(blocked),
        len(aged),
        len(late),
        handed.told,
        handed.lines,
        len(released),
        len(kept),
        direct.told,
        direct.lines,
        handed.untold,
        shared(missed),
    )
    way = lines_by_way(finished)
    return Count(
        tally,
        len(finished) + len(evidence.met),
        digest(finished, evidence.met),
        way.asked,
        way.elsewhere,
        {
            Family.FILTERING: _quoted([*missed, *evaded] or _loose(listed)),
            Family.OVER_BLOCKING: _quoted([*blocked, *kept]),
            Family.STALE_LIST: _quoted(late),
            Family.UNENROLLED: _ends(
                [
                    Evidence(EvidenceKind.OBSERVATION, one.asked_at, one.reference, detail=one.resolver)
                    for one in (*handed.foreign, *direct.foreign)
                ]
            ),
        },
        _releases(names, missed),
        timings(one for one in finished if counter.on_the_day(one)),
    )


def _releases(names: Mapping[str, list[Sighting]], missed: Sequence[Sequence[Sighting]]) -> tuple[ReleaseSeen, ...]:
    """What was seen of each release's names, oldest release first."""
    confirmed_ones = {seen[0].qname: max(_order(one) for one in seen) for seen in missed}
    brought: dict[tuple[int, datetime], list[str]] = {}
    for qname, seen in names.items():
        if (added_at := seen[-1].added_at) is not None:
            brought.setdefault((seen[-1].added_serial, added_at), []).append(qname)
    found = []
    for (serial, published_at), qnames in sorted(brought.items()):
        last = max((confirmed_ones[one] for one in qnames if one in confirmed_ones), default=None)
        blocks = [
            Moment.of(one)
            for qname in qnames
            for one in names[qname]
            if one.result is Result.BLOCKED and (last is None or one.asked_at > last[0])
        ]
        found.append(
            ReleaseSeen(
                serial,
                published_at,
                len(qnames),
                sum(one in confirmed_ones for one in qnames),
                last[1] if last is not None else None,
                min((one.latest for one in blocks), default=None),
            )
        )
    return tuple(found)


def _order(one: Sighting) -> tuple[datetime, datetime]:
    """When a name was asked, and the earliest that this can have been."""
    return one.asked_at, Moment.of(one).earliest


def _loose(listed: Sequence[Sighting]) -> list[list[Sighting]]:
    """Misses that no two lines share."""
    return [[one] for one in listed if one.result is Result.NOT_BLOCKED]


def _quoted(names: Sequence[Sequence[Sighting]]) -> tuple[Evidence, ...]:
    return _ends([quote_sighting(one) for seen in names for one in seen])


def _ends(pieces: Sequence[Evidence]) -> tuple[Evidence, ...]:
    ordered = sorted(set(pieces))
    return tuple(ordered if len(ordered) <= QUOTED else ordered[: QUOTED // 2] + ordered[-(QUOTED // 2) :])


def _taken_out(one: Sighting) -> str:
    return f" {one.removed_at.isoformat()}" if one.removed_at is not None else ""


def digest(sightings: Iterable[Sighting], met: Iterable[Met] = ()) -> str:
    """What a count rests on, in one hash: who saw what of which name, by reference, in order of time."""
    lines = [
        f"{one.reference} {one.asked_at.isoformat()} {one.qname} {one.result} {one.shape} {one.path}{_taken_out(one)}"
        for one in sightings
    ]
    lines += sorted(f"{one.reference} {one.asked_at.isoformat()} {one.resolver} {one.enrolled}" for one in met)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def judged(
    day: LegalDay, version: int, counted_at: datetime, law: Law, counted: Count, weight: int | None = None
) -> CountedDay:
    """A count, judged by the law of its day.

    Args:
        day: The day.
        version: The count's number.
        counted_at: When it was counted.
        law: In force on the day.
        counted: What came of its evidence.
        weight: What the store said that there is for the day, by which it tells later that there is more.
    """
    tally = counted.tally
    said = judge_day(tally, law.day_rules())
    return CountedDay(
        day,
        version,
        counted_at,
        law.id,
        law.burden.process_rule(),
        said.bad,
        said.reasons,
        {
            **{
                one.name: getattr(tally, one.name)
                for one in fields(tally)
                if one.name not in {"lines", "seen", "missed_by"}
            },
            "lines": counted.lines,
            "elsewhere": counted.elsewhere,
        },
        {
            name: (sum(asked for asked, _ in pairs), sum(missed for _, missed in pairs))
            for name, pairs in tally.seen.items()
        },
        counted.evidence,
        counted.releases,
        counted.observations if weight is None else weight,
        counted.digest,
        counted.timings,
    )

"""A drawer of counted days in memory, and laws as they became known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from compliance_api.domain.law.law import Law
from compliance_api.domain.law.law_history import LawHistory, content, read
from compliance_api.domain.legal_day import LegalDay, Period
from compliance_api.domain.observations.met import Met
from compliance_api.domain.observations.observation import Sighting
from compliance_api.domain.reports.record import NodeRecord, ReleaseRecord, ReportRecord
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import CountedDay, Course
from compliance_api.domain.verdicts.period_verdict import PeriodVerdict
from compliance_api.usecases.judging.count import Counted, Place

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PLACE = Place("a", "hcm", ("edge-1",))


def known(*laws: Law, since: datetime = LONG_AGO) -> LawHistory:
    """Laws that were known from one moment on."""
    return LawHistory(tuple(read(one.id, 1, since, content(one)) for one in laws))


@dataclass
class TallyDrawer:
    """Keeps counts as the database does; what probes saw is put in."""

    sightings: list[Sighting] = field(default_factory=list)
    stored: list[Counted] = field(default_factory=list)
    lines: list[Met] = field(default_factory=list)

    async def first_seen(self, _place: Place) -> datetime | None:
        """When the oldest observation was asked."""
        return min((one.asked_at for one in self.sightings), default=None)

    async def newest(self, _place: Place, seconds: int) -> Mapping[int, tuple[int, int]]:
        """Version and observations of the newest count of each day."""
        return {
            one.judged.day.number: (one.judged.version, one.judged.observations)
            for one in sorted(self.stored, key=lambda one: one.judged.version)
            if one.judged.day.length == seconds
        }

    async def seen(
        self, _place: Place, days: Sequence[LegalDay], closes_after: float, _known_at: datetime
    ) -> Mapping[int, int]:
        """How many observations each day has."""
        return {
            day.number: len(self._between(day.start, day.end + timedelta(seconds=closes_after)))
            for day in days
            if self._between(day.start, day.end)
        }

    def _between(self, start: datetime, end: datetime) -> list[Sighting]:
        return [one for one in self.sightings if start <= one.asked_at < end]

    async def evidence(self, _place: Place, start: datetime, end: datetime, _known_at: datetime) -> list[Sighting]:
        """What probes saw in that time."""
        return self._between(start, end)

    async def met(self, _place: Place, start: datetime, end: datetime, _known_at: datetime) -> list[Met]:
        """What lines met."""
        return [one for one in self.lines if start <= one.asked_at < end]

    async def releases(self, _known_at: datetime) -> list[ReleaseRecord]:
        """One old release."""
        return [ReleaseRecord(1, LONG_AGO, False)]

    async def add(self, _place: Place, counted: Counted) -> None:
        """Stores a count, once."""
        keys = {(one.judged.day, one.judged.version) for one in self.stored}
        if (counted.judged.day, counted.judged.version) not in keys:
            self.stored.append(counted)

    async def counted(
        self, _place: Place, since: datetime, until: datetime, _laws: LawHistory, known_at: datetime | None = None
    ) -> list[CountedDay]:
        """Every count of every day that began in that time."""
        days = [one.judged for one in self.stored if since <= one.judged.day.start < until]
        return [one for one in days if known_at is None or one.counted_at <= known_at]


@dataclass
class Cases:
    """Cases about which there is little but their sightings."""

    sightings: list[Sighting] = field(default_factory=list)
    nodes: tuple[NodeRecord, ...] = ()
    reports: tuple[ReportRecord, ...] = ()

    async def of_days(self, place: Place, wanted: Period, law: Law, course: Course, _known: datetime | None) -> Case:
        """Everything seen in that time."""
        whole = law.model_copy(update={"period": (wanted.end - wanted.start).total_seconds()})
        seen = [one for one in self.sightings if wanted.start <= one.asked_at < wanted.end]
        releases = [ReleaseRecord(1, LONG_AGO, False)]
        return Case(
            place.operator, place.jurisdiction, whole, wanted.end, self.nodes, self.reports, (), seen, releases, course
        )


@dataclass
class Documents:
    """Verdicts on periods, as they were stored."""

    saved: list[PeriodVerdict] = field(default_factory=list)

    async def save(self, reached: PeriodVerdict, _now: datetime) -> bool:
        """Stores what is new."""
        newest = next((one for one in reversed(self.saved) if one.period == reached.period), None)
        if newest is not None and newest.document == reached.document:
            return False
        self.saved.append(reached)
        return True

"""Counts legal days once they are closed, and again where more was handed in since.

Holds always: a day is counted from what is stored and judged by the law in force and known at its beginning, what was
published before by the deadlines of that time; a count is stored under the next number and never changed; a day without
observations is not counted; one turn counts a bounded number of days, the oldest first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from compliance_api.domain.law.law import Law
from compliance_api.domain.law.law_history import LawHistory
from compliance_api.domain.law.timeline import Timeline
from compliance_api.domain.legal_day import CALENDAR, OFFSET, LegalDay
from compliance_api.domain.observations.met import Met
from compliance_api.domain.observations.observation import Sighting
from compliance_api.domain.reports.record import ReleaseRecord
from compliance_api.domain.verdicts.course import CountedDay, Course, follow
from compliance_api.domain.verdicts.tally import Count, DayEvidence, count, judged

MAX_DAYS = 20
"""Counted in one turn."""
MAX_BACK = 1000
"""Days looked back for what was never counted."""


@dataclass(frozen=True)
class Place:
    """An operator in a jurisdiction, with the nodes that answer there, or did."""

    operator: str
    jurisdiction: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Counted:
    """A count as it is stored."""

    judged: CountedDay
    count: Count
    law_version: int


class TallyStore(Protocol):
    """Keeps counts, and reads what they are made from."""

    async def first_seen(self, place: Place) -> datetime | None:
        """When the oldest observation of these nodes was asked."""

    async def newest(self, place: Place, seconds: int) -> Mapping[int, tuple[int, int]]:
        """Version and weight of the newest count of each day of that length."""

    async def seen(
        self, place: Place, days: Sequence[LegalDay], closes_after: float, known_at: datetime
    ) -> Mapping[int, int]:
        """The weight of each day's evidence until it is closed; days without any of their own are left out.

        It grows with every observation of a name and with every session whose way became known.
        """

    async def evidence(self, place: Place, start: datetime, end: datetime, known_at: datetime) -> list[Sighting]:
        """What probes saw in that time, as far as it had come in by `known_at`."""

    async def met(self, place: Place, start: datetime, end: datetime, known_at: datetime) -> list[Met]:
        """Whom lines met in that time, of the sessions that show it."""

    async def releases(self, known_at: datetime) -> list[ReleaseRecord]:
        """The releases known by `known_at`, oldest first."""

    async def add(self, place: Place, counted: Counted) -> None:
        """Stores a count, unless another process has stored that version."""

    async def counted(
        self, place: Place, since: datetime, until: datetime, laws: LawHistory, known_at: datetime | None = None
    ) -> list[CountedDay]:
        """Every count of every day that began in that time, as far as it was made by `known_at`."""


def law_of(laws: Timeline, day: LegalDay) -> Law | None:
    """The law that judges a day: the one at its beginning, or else the first one on it.

    None where there is none, or its days are others.
    """
    law = laws.first(day.start, day.end)
    return law if law is not None and int(law.day.length) == day.length else None


def _day_before(moment: datetime, law: Law) -> LegalDay:
    """The last day that began before a moment."""
    return law.day.of(moment - timedelta(microseconds=1))


class DayCounter:
    """The task of counting."""

    def __init__(self, store: TallyStore) -> None:
        self._store = store

    async def count(self, place: Place, laws: LawHistory, now: datetime) -> list[Counted]:
        """Counts what is due, and says what that was."""
        lengths = {int(one.law.day.length) for one in laws.versions if one.law is not None}
        done: list[Counted] = []
        for seconds in sorted(lengths):
            done += await self._of_length(place, laws, now, seconds)
        return done

    async def _of_length(self, place: Place, laws: LawHistory, now: datetime, seconds: int) -> list[Counted]:
        newest = await self._store.newest(place, seconds)
        current = LegalDay.of(now, seconds)
        first = max(newest, default=None)
        if first is None:
            oldest = await self._store.first_seen(place)
            if oldest is None:
                return []
            first = LegalDay.of(oldest, seconds).number
        due = []
        timeline = laws.timeline(place.jurisdiction)
        for number in range(max(current.number - MAX_BACK, 0), current.number):
            day = LegalDay(number, seconds)
            law = law_of(timeline, day)
            if law is None or day.end + timedelta(seconds=law.day.closes_after) > now:
                continue
            recent = day.end + timedelta(seconds=law.day.recounted_within) >= now
            if recent or (number >= first and number not in newest):
                due.append((day, law))
        if not due:
            return []
        # A law's days may close otherwise than another's of the same length.
        seen: dict[int, int] = {}
        for after in sorted({law.day.closes_after for _, law in due}):
            days = [day for day, law in due if law.day.closes_after == after]
            seen |= await self._store.seen(place, days, after, now)
        done: list[Counted] = []
        for day, law in due:
            number, before = newest.get(day.number, (0, 0))
            if seen.get(day.number, 0) == before or len(done) >= MAX_DAYS:
                continue
            made = await self.recount(place, day, law, timeline, now)
            judged_day = judged(day, number + 1, now, law, made, seen.get(day.number, 0))
            done.append(Counted(judged_day, made, laws.version_of(law).version))
            await self._store.add(place, done[-1])
        return done

    async def recount(self, place: Place, day: LegalDay, law: Law, laws: Timeline, known_at: datetime) -> Count:
        """What a day's evidence that had come in by a moment amounts to, by its law and those in force before."""
        end = day.end + timedelta(seconds=law.day.closes_after)
        sightings = await self._store.evidence(place, day.start, end, known_at)
        met = await self._store.met(place, day.start, day.end, known_at)
        releases = await self._store.releases(known_at)
        return await asyncio.to_thread(count, DayEvidence(day, sightings, met), releases, law, laws)

    async def course(
        self, place: Place, laws: LawHistory, law: Law, until: datetime, known_at: datetime | None = None
    ) -> Course:
        """The legal year that a moment lies in, up to the days that began before it.

        Args:
            place: Whose.
            laws: Every version of the law.
            law: In force at the moment.
            until: The moment.
            known_at: Counts made later are left out; None for all there are.
        """
        since = await self._since(place, law, _day_before(until, law))
        days = await self._days(place, laws, law, since, until, known_at)
        course = await asyncio.to_thread(follow, days)
        before = await self._since(place, law, _day_before(since, law))
        if course.settled or before >= since:
            return course
        past = await asyncio.to_thread(follow, await self._days(place, laws, law, before, since, known_at))
        return await asyncio.to_thread(follow, days, past.legacy)

    async def _days(
        self, place: Place, laws: LawHistory, law: Law, since: datetime, until: datetime, known_at: datetime | None
    ) -> list[CountedDay]:
        """The counts of the days, of the law's length, that began in that time."""
        days = await self._store.counted(place, since, until, laws, known_at)
        return [one for one in days if one.day.length == int(law.day.length)]

    async def _since(self, place: Place, law: Law, day: LegalDay) -> datetime:
        """When the legal year of a day began: with the calendar's, or every `horizon` days after the first of all."""
        if day.length == CALENDAR:
            return datetime(day.date.year, 1, 1, tzinfo=UTC) - OFFSET
        first = min(await self._store.newest(place, day.length), default=day.number)
        years = max(0, day.number - first) // law.burden.days.horizon
        return LegalDay(first + years * law.burden.days.horizon, day.length).start

"""Reaches the verdict on a legal day or a month, once its days are counted and whenever one is counted again.

Holds always: it is reached from what is stored, each day and each report by the law in force and known then, the whole
by that of the period's last day; recomputing it counts every day anew from its evidence, and says where that is not
what was stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from compliance_api.domain.law.law import Law, LawError
from compliance_api.domain.law.law_history import LawHistory
from compliance_api.domain.law.timeline import Timeline
from compliance_api.domain.legal_day import CALENDAR, LegalDay, Period, period
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import CountedDay, Course
from compliance_api.domain.verdicts.period_verdict import PeriodVerdict, decide
from compliance_api.errors import ComplianceError
from compliance_api.usecases.judging.count import Counted, DayCounter, Place, law_of


class RecountError(ComplianceError):
    """A day's evidence is not what its stored count says."""


class PeriodCases(Protocol):
    """Reads what is known of a stretch of time."""

    async def of_days(self, place: Place, wanted: Period, law: Law, course: Course, known_at: datetime | None) -> Case:
        """Everything stored about a period by a moment; None for all there is."""


class PeriodStore(Protocol):
    """Keeps verdicts on periods."""

    async def save(self, reached: PeriodVerdict, now: datetime) -> bool:
        """Stores a verdict, unless the newest one on the period says the same; whether it did."""


class PeriodJudge:
    """The task of judging periods."""

    def __init__(self, counter: DayCounter, cases: PeriodCases, store: PeriodStore) -> None:
        self._counter = counter
        self._cases = cases
        self._store = store

    async def reach(
        self,
        place: Place,
        laws: LawHistory,
        wanted: Period,
        known_at: datetime | None = None,
        now: datetime | None = None,
    ) -> PeriodVerdict:
        """The verdict on a period.

        Args:
            place: On whom, and where.
            laws: Every version of the law.
            wanted: The period; it may go on still.
            known_at: What came to be known later is left out; None for nothing.
            now: Nothing that is due later is missing; None where the period is over.

        Raises:
            LawError: There is no law to judge it by.
        """
        laws = laws.until(known_at)
        timeline = laws.timeline(place.jurisdiction)
        of_period = [one for _, _, one in timeline.within(wanted.start, wanted.end)]
        if not of_period:
            raise LawError(f"no law was in force and known in {place.jurisdiction} in {wanted.name}")
        # A law may end within a month that goes on, and nobody knows the next one yet.
        law = timeline.first(wanted.last.start, wanted.last.end) or of_period[-1]
        course = await self._counter.course(place, laws, law, wanted.end, known_at)
        case = await self._cases.of_days(place, wanted, law, course, known_at)
        # Long enough for every report on it to be due; of a month that goes on, those that are due by now.
        waited = wanted.end + timedelta(seconds=max(one.report.deadline for one in of_period))
        for one in case.closures:
            reopened = one.reopened(max(text.report.catch_up for text in of_period))
            if one.began <= waited < reopened:
                waited = reopened
        case = replace(case, waited_until=min(waited, known_at or now or waited), laws=timeline)
        versions = [laws.version_of(one) for one in of_period]
        used = {f"{one.name}/{one.version:09}": one for one in versions}
        return await asyncio.to_thread(decide, case, wanted, used)

    async def close(self, place: Place, laws: LawHistory, counted: Iterable[Counted], now: datetime) -> int:
        """Judges the days that were counted just now, and their months; says how many verdicts are new."""
        return await self.judge(place, laws, (one.judged.day for one in counted), now)

    async def judge(self, place: Place, laws: LawHistory, days: Iterable[LegalDay], now: datetime) -> int:
        """Judges days and their months; says how many verdicts are new.

        Raises:
            LawError: There is no law to judge one by.
        """
        names = {}
        for day in days:
            names[day.name] = day.length
            # A month of short days would be judged with each of them: it is reached when somebody asks.
            if day.length == CALENDAR:
                names[day.name[:7]] = day.length
        new = 0
        for name, seconds in sorted(names.items()):
            # What comes in from now on is no part of it: so that it is recomputed as of now, byte for byte.
            reached = await self.reach(place, laws, period(name, seconds), known_at=now)
            new += await self._store.save(reached, now)
        return new

    async def check(self, place: Place, laws: LawHistory, wanted: Period, course: Course) -> None:
        """Counts the period's days anew.

        Raises:
            RecountError: One of them is not what was stored, as long as its observations are kept.
        """
        for step in course.steps:
            if not wanted.first <= step.day <= wanted.last:
                continue
            await self._check_day(place, laws.timeline(place.jurisdiction), step.counted)

    async def _check_day(self, place: Place, laws: Timeline, counted: CountedDay) -> None:
        law = law_of(laws, counted.day)
        if law is None:
            return
        made = await self._counter.recount(place, counted.day, law, laws, counted.counted_at)
        if made.observations and made.digest != counted.digest:
            told = f"what is stored of the day gives {made.digest}, its count says {counted.digest}"
            raise RecountError(f"{counted.day.name}: {told}")

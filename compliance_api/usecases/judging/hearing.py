"""What came to be known of days that were judged before: challenges that were opened since, and late reports.

Holds always: whatever is told of a closed day has it judged anew, once; nothing is taken for heard before those days
were judged, so that who is killed in between hears it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from compliance_api.domain.law.law import Law
from compliance_api.domain.legal_day import CALENDAR, LegalDay
from compliance_api.usecases.judging.count import Place

REMEMBERED = timedelta(days=3)
"""Whoever begins to judge looks so far back for what challenges said: what came before was heard by whoever did it."""
LATE_EVERY = timedelta(minutes=10)
"""A node that was cut off sends for a while: its days are judged anew with all of that together."""
MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class LateReports:
    """Reports of a node on one day, of which the last came in long after its window."""

    operator: str
    node: str
    day: LegalDay
    accepted_at: datetime


class OutcomeReader(Protocol):
    """Tells what challenges say of late."""

    async def since(self, operator: str, jurisdiction: str, since: datetime) -> list[tuple[datetime, datetime]]:
        """The ends of the days that were summed up later than a moment, and when that was, the oldest first."""


class LateReader(Protocol):
    """Tells which reports came late."""

    async def unheard(self) -> tuple[list[LateReports], int]:
        """What came late since the mark, by node and day, and the mark to be set once that was heard."""

    async def heard(self, mark: int) -> None:
        """Sets the mark."""


class Hearing:
    """Hears what days have to be judged anew for."""

    def __init__(self, outcomes: OutcomeReader, late: LateReader) -> None:
        self._outcomes = outcomes
        self._late = late
        # When the newest sum of challenges was made that each operator's days were judged by.
        self._summed: dict[Place, datetime] = {}
        self._listened: datetime | None = None
        self._reports: Sequence[LateReports] = ()
        self._mark: int | None = None

    async def begin(self, now: datetime) -> None:
        """Hears what came late, if it is time for that."""
        self._reports, self._mark = (), None
        if self._listened is None or now - self._listened >= LATE_EVERY:
            self._reports, self._mark = await self._late.unheard()
            self._listened = now

    async def end(self) -> None:
        """Says that everybody's days were judged with what was heard."""
        if self._mark is not None:
            await self._late.heard(self._mark)

    async def challenged(self, place: Place, now: datetime) -> list[tuple[datetime, datetime]]:
        """What challenges say of late: the ends of their days, and when that was summed up."""
        return await self._outcomes.since(place.operator, place.jurisdiction, self._summed.get(place, now - REMEMBERED))

    def summed(self, place: Place, told: Sequence[tuple[datetime, datetime]]) -> None:
        """Says that the days were judged with what challenges said."""
        if told:
            self._summed[place] = max(made for _, made in told)

    def days(self, place: Place, law: Law, told: Sequence[tuple[datetime, datetime]], now: datetime) -> list[LegalDay]:
        """The closed days of which something else is known by now: what challenges say comes days later."""
        # Days that are shorter are for showing and testing; challenges need whole ones.
        if law.day.length != CALENDAR:
            return []
        last = {LegalDay.of(end - MOMENT) for end, _ in told}
        closes = timedelta(seconds=law.day.closes_after)
        late = {
            one.day
            for one in self._reports
            if one.operator == place.operator and one.node in place.nodes and one.accepted_at > one.day.end + closes
        }
        return [day for day in sorted({*last, *(day.after(-1) for day in last), *late}) if day.end + closes <= now]

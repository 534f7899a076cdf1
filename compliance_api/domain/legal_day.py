"""Legal days: the days of Asia/Ho_Chi_Minh that evidence is counted by.

Holds always: every moment lies in exactly one legal day; days are numbered without holes, so that what is stored under
a number means the same for ever; storage is UTC, and only here a moment becomes a date. Viet Nam has had one offset
since 1975. A law may have shorter days, for showing and testing: they divide the day of the calendar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

OFFSET = timedelta(hours=7)
CALENDAR = 86400
QUARTERS = ("00-06", "06-12", "12-18", "18-24")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC) - OFFSET
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:\.(\d{1,5}))?")
_MONTH = re.compile(r"(\d{4})-(\d{2})")


class PeriodError(ValueError):
    """A text that names no day and no month."""


@dataclass(frozen=True, order=True)
class LegalDay:
    """A day, by how many of its length had passed since 1970-01-01 in Viet Nam."""

    number: int
    # Seconds.
    length: int = CALENDAR

    @classmethod
    def of(cls, moment: datetime, length: int = CALENDAR) -> LegalDay:
        """The day that a moment lies in."""
        return cls((moment - _EPOCH) // timedelta(seconds=length), length)

    # Asked for with every sighting of a day.
    @cached_property
    def start(self) -> datetime:
        """Its first moment, in UTC."""
        return _EPOCH + timedelta(seconds=self.number * self.length)

    @cached_property
    def end(self) -> datetime:
        """The first moment after it, in UTC."""
        return self.start + timedelta(seconds=self.length)

    @property
    def date(self) -> date:
        """The date of the calendar that it lies in."""
        return (self.start + OFFSET).date()

    @property
    def name(self) -> str:
        """`2026-11-21`; shorter days add which one of the date they are, from 0: `2026-11-21.17`."""
        if self.length == CALENDAR:
            return self.date.isoformat()
        return f"{self.date.isoformat()}.{self.number % (CALENDAR // self.length)}"

    def quarter(self, moment: datetime) -> str:
        """The quarter of the day that a moment of it lies in, under the name it has in a day of 24 hours."""
        return QUARTERS[max(0, min(3, int(4 * (moment - self.start).total_seconds() // self.length)))]

    def after(self, days: int = 1) -> LegalDay:
        """So many days later."""
        return LegalDay(self.number + days, self.length)


@dataclass(frozen=True)
class Period:
    """What a verdict is reached on: one legal day, or the days of a month."""

    name: str
    first: LegalDay
    last: LegalDay

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return self.first.start

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return self.last.end


def period(text: str, length: int = CALENDAR) -> Period:
    """The period that a text names: `2026-11-21`, `2026-11`, or `2026-11-21.17` where days are shorter.

    Raises:
        PeriodError: It names none.
    """
    if found := _DATE.fullmatch(text):
        year, month, day, part = (int(one) if one else None for one in found.groups())
        if (part is None) != (length == CALENDAR) or (part or 0) >= CALENDAR // length:
            raise PeriodError(f"{text}: days of this law are {length} s long")
        one = LegalDay.of(_midnight(text, year or 0, month or 0, day or 0), length).after(part or 0)
        return Period(one.name, one, one)
    if found := _MONTH.fullmatch(text):
        year, month = (int(one) for one in found.groups())
        begin, end = _midnight(text, year, month, 1), _midnight(text, year + month // 12, month % 12 + 1, 1)
        return Period(text, LegalDay.of(begin, length), LegalDay.of(end, length).after(-1))
    raise PeriodError(f"{text}: a day (2026-11-21) or a month (2026-11) is expected")


def _midnight(text: str, year: int, month: int, day: int) -> datetime:
    try:
        return datetime(year, month, day, tzinfo=UTC) - OFFSET
    except (ValueError, OverflowError) as error:
        raise PeriodError(f"{text}: {error}") from error

"""When a profile asks for more: time tables by the clock on its wall.

Holds always: what holds at an instant is a function of that instant alone, so that a clock that jumps, a supervisor
that died and a worker that was replaced change nothing; a time table only ever adds to what its profile asks for, so
that no gap in it can let pass what is asked for all day, let alone what is mandated.

Times are those of the zone's wall clocks: where these are put back, a period holds in both passes of the hour; where
they are put forward, what lies in the hour left out does not occur.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from blocklist_sync.artifact.categories import ACTION_OF_LABEL, ALWAYS_MANDATED, CATEGORY_OF_LABEL, Action, Category
from lachan.config import Settings

DEFAULT_ZONE = "Asia/Ho_Chi_Minh"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOLIDAY = "holiday"
DAY_MINUTES = 1440
HOLIDAY_DAYS_MAX = 120
"""Of one range of holidays: a summer."""


def _open_category(value: object) -> str:
    known = {label for label, category in CATEGORY_OF_LABEL.items() if category not in ALWAYS_MANDATED}
    if not isinstance(value, str) or value not in CATEGORY_OF_LABEL:
        raise ValueError(f"no category; there are {', '.join(sorted(known))}")
    if value not in known:
        raise ValueError(
            f"{value} is mandated for everybody at any time: no profile, action or schedule of an operator changes it"
        )
    return value


def _action(value: object) -> str:
    if not isinstance(value, str) or value not in ACTION_OF_LABEL:
        raise ValueError(f"no action; there are {', '.join(ACTION_OF_LABEL)}")
    return value


def _minutes(value: object) -> object:
    # YAML 1.1 reads an unquoted 17:00 as the number 1020, to the base of sixty: the minutes of the day, luckily.
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,2}):([0-5]\d)", value)
        if not match:
            raise ValueError("a time of day is HH:MM, up to 24:00")
        value = int(match[1]) * 60 + int(match[2])
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= DAY_MINUTES:
        raise ValueError("a time of day is HH:MM, up to 24:00")
    return value


def _zone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"this machine knows no time zone {text!r}") from error
    return text


def _range(text: str) -> tuple[date, date]:
    first, _, last = text.partition("..")
    return date.fromisoformat(first), date.fromisoformat(last or first)


def _holiday(value: object) -> object:
    text = value.isoformat() if isinstance(value, date) else value
    if not isinstance(text, str):
        raise ValueError("a holiday is YYYY-MM-DD, or YYYY-MM-DD..YYYY-MM-DD")  # noqa: TRY004 # pydantic's own error
    try:
        first, last = _range(text)
    except ValueError as error:
        raise ValueError("a holiday is YYYY-MM-DD, or YYYY-MM-DD..YYYY-MM-DD") from error
    if not first <= last < first + timedelta(days=HOLIDAY_DAYS_MAX):
        raise ValueError(f"a holiday ends after it begins, within {HOLIDAY_DAYS_MAX} days")
    return text


OpenCategory = Annotated[str, BeforeValidator(_open_category)]
"""A category that is not mandated for everybody whatever the order says."""
ActionName = Annotated[str, BeforeValidator(_action)]
Actions = Annotated[dict[OpenCategory, ActionName], Field(max_length=len(Category))]
Minutes = Annotated[int, BeforeValidator(_minutes)]
"""Of the day; written as `07:00`."""
Zone = Annotated[str, Field(max_length=64), AfterValidator(_zone)]
Holiday = Annotated[str, BeforeValidator(_holiday)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"]


class Period(Settings):
    """A time of some days at which a profile asks for more."""

    name: str = Field(pattern=r"^[a-z0-9_-]{1,32}$")
    days: tuple[Day, ...] = Field(default=("mon", "tue", "wed", "thu", "fri"), min_length=1, max_length=8)
    start: Minutes = Field(default=0, description="HH:MM")
    end: Minutes = Field(default=DAY_MINUTES, description="HH:MM; before `start`: on the day after")
    categories: tuple[OpenCategory, ...] = Field(default=(), max_length=len(Category), description="asked for besides")
    actions: Actions = Field(default={})

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.start == self.end or self.start == DAY_MINUTES:
            raise ValueError("a period has a beginning and another end")
        if not self.categories and not self.actions:
            raise ValueError("a period without categories and actions changes nothing")
        return self

    def holds(self, kinds: tuple[str, str], minute: int) -> bool:
        """Whether it does at a minute of a day, given the kind of that day and of the day before."""
        today, yesterday = kinds
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)


class Schedule(Settings):
    """A profile's time table."""

    timezone: Zone = DEFAULT_ZONE
    holidays: tuple[Holiday, ...] = Field(
        default=(), max_length=200, description="on these, only periods of `holiday` hold"
    )
    periods: tuple[Period, ...] = Field(min_length=1, max_length=16)

    @model_validator(mode="after")
    def _named_apart(self) -> Self:
        if len({period.name for period in self.periods}) != len(self.periods):
            raise ValueError("periods: a name stands once")
        return self

    def at(self, instant: float) -> Iterator[Period]:
        """The periods that hold at an instant, seconds since 1970-01-01 UTC; in the order in which they are written."""
        local = datetime.fromtimestamp(instant, UTC).astimezone(zoneinfo.ZoneInfo(self.timezone))
        holidays = _days(self.holidays)
        today = local.date()
        kinds = _kind(today, holidays), _kind(today - timedelta(days=1), holidays)
        minute = local.hour * 60 + local.minute
        return (period for period in self.periods if period.holds(kinds, minute))


@lru_cache(maxsize=16)
def _days(holidays: tuple[str, ...]) -> frozenset[date]:
    days = set()
    for text in holidays:
        first, last = _range(text)
        days |= {first + timedelta(days=number) for number in range((last - first).days + 1)}
    return frozenset(days)


def _kind(day: date, holidays: frozenset[date]) -> str:
    return HOLIDAY if day in holidays else DAYS[day.weekday()]


def categories_of(labels: tuple[str, ...]) -> frozenset[Category]:
    """Categories from the words of a configuration."""
    return frozenset(CATEGORY_OF_LABEL[label] for label in labels)


def actions_of(labels: dict[str, str]) -> dict[Category, Action]:
    """Actions by category from the words of a configuration."""
    return {CATEGORY_OF_LABEL[category]: ACTION_OF_LABEL[action] for category, action in labels.items()}

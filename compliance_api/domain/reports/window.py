"""Windows of time: which ones a node owes a report for, and which of them came.

Holds always: windows lie on the grid of their length since 1970-01-01 UTC; a window is owed once its deadline is over;
a window counts as received where reports cover all of it, once, however many speak of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Absence:
    """A time in which a node could not report, for it was none."""

    left_at: datetime
    # None while it is not back.
    back_at: datetime | None = None

    def covers(self, moment: datetime) -> bool:
        """Whether it was away then."""
        return self.left_at < moment and (self.back_at is None or moment <= self.back_at)


@dataclass(frozen=True)
class Closure:
    """A time in which the authority could take no report from anybody."""

    began: datetime
    ended: datetime

    def reopened(self, catch_up: float) -> datetime:
        """When whoever held reports back for it must have sent them: after as long as it lasted, or the law's time."""
        return self.ended + min(self.ended - self.began, timedelta(seconds=catch_up))


@dataclass(frozen=True)
class Owed:
    """The windows owed for a stretch of time."""

    expected: int
    received: int
    # Starts of the missing ones, oldest first.
    missing: tuple[datetime, ...]


def _covered(spans: Iterable[tuple[datetime, datetime]], seconds: float) -> set[int]:
    """The windows that lie wholly within what some spans of time cover together."""
    covered: set[int] = set()
    begins = ends = None
    for start, end in [*sorted(spans), (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))]:
        if begins is not None and ends is not None and start > ends:
            covered.update(range(math.ceil(begins.timestamp() / seconds), math.floor(ends.timestamp() / seconds)))
            begins = ends = None
        begins, ends = begins or start, max(ends or end, end)
    return covered


def owed(
    start: datetime,
    until: datetime,
    seconds: float,
    told: Iterable[tuple[datetime, datetime]],
    away: Sequence[Absence] = (),
) -> Owed:
    """Compares the windows that lie wholly between two moments with those that were reported.

    Args:
        start: No window before this one is owed.
        until: Windows that end after this are not owed yet.
        seconds: Length of a window.
        told: Begin and end of the time that each report speaks of, in any order, repeated or not.
        away: Windows that end in one of these are not owed.
    """
    first = math.ceil(start.timestamp() / seconds)
    last = math.floor(until.timestamp() / seconds)
    came = _covered(told, seconds)
    wanted: Sequence[int] = range(first, max(first, last))
    if away:
        ends = {number: datetime.fromtimestamp((number + 1) * seconds, UTC) for number in wanted}
        wanted = [number for number, end in ends.items() if not any(one.covers(end) for one in away)]
    missing = tuple(datetime.fromtimestamp(number * seconds, UTC) for number in wanted if number not in came)
    return Owed(len(wanted), len(wanted) - len(missing), missing)


def inside(moment: datetime, start: datetime, seconds: int, margin: float) -> bool:
    """Whether a moment lies in a window for certain, given clocks that differ by `margin` seconds."""
    slack = timedelta(seconds=margin)
    return start + slack <= moment < start + timedelta(seconds=seconds) - slack

"""Windows of time: which ones a node owes a report for, and which of them came.

Holds always: windows lie on the grid of their length since 1970-01-01 UTC; a window is owed once its deadline is over;
a window counts as received once, however many reports speak of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Owed:
    """The windows owed for a stretch of time."""

    expected: int
    received: int
    # Starts of the missing ones, oldest first.
    missing: tuple[datetime, ...]


def owed(start: datetime, until: datetime, seconds: float, received: Iterable[datetime]) -> Owed:
    """Compares the windows that lie wholly between two moments with those that were reported.

    Args:
        start: No window before this one is owed.
        until: Windows that end after this are not owed yet.
        seconds: Length of a window.
        received: Starts of the windows reported, in any order, repeated or not.
    """
    first = math.ceil(start.timestamp() / seconds)
    last = math.floor(until.timestamp() / seconds)
    came = {math.floor(one.timestamp() / seconds) for one in received}
    wanted = range(first, max(first, last))
    missing = tuple(datetime.fromtimestamp(number * seconds, UTC) for number in wanted if number not in came)
    return Owed(len(wanted), len(wanted) - len(missing), missing)


def inside(moment: datetime, start: datetime, seconds: int, margin: float) -> bool:
    """Whether a moment lies in a window for certain, given clocks that differ by `margin` seconds."""
    slack = timedelta(seconds=margin)
    return start + slack <= moment < start + timedelta(seconds=seconds) - slack

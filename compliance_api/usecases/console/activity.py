"""What an operator's nodes say they did, hour by hour and day by day: sums that outlive the reports they were made of.

Holds always: reading changes nothing; what was not measured is shown as that, never as zero; both lists are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

HOURS = 48
DAYS = 92


@dataclass(frozen=True)
class SumView:
    """The windows of all nodes of an operator in a jurisdiction that began in one hour, or on one legal day."""

    at: datetime | date
    nodes: int
    windows: int
    unmeasured: int
    not_enforcing: int
    # None where no window measured it.
    queries: int | None
    blocked: int
    list_lag_seconds: int
    delay_seconds: int


@dataclass(frozen=True)
class Activity:
    """The last `HOURS` hours and `DAYS` legal days with reports, newest first."""

    hours: tuple[SumView, ...]
    days: tuple[SumView, ...]


class ActivityReader(Protocol):
    """Reads sums."""

    async def activity(self, organisation: str, jurisdiction: str, now: datetime) -> Activity | None:
        """The sums of an operator's nodes in a jurisdiction up to now; None where there is no such operator there."""

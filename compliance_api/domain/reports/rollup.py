"""Sums of what a node reported, by the hour and by the legal day.

Holds always: a sum is a function of the reports alone, so that making it again makes the same; a window counts once, by
the report that was accepted first for it; what was not measured is counted as not measured, never as zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from compliance_api.domain.reports.record import ReleaseRecord

LEGAL_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
CATEGORIES = (
    "csam",
    "sexual_exploitation",
    "pornography",
    "gambling",
    "violence",
    "drugs",
    "self_harm",
    "scam",
)
"""In the order of their numbers in lachan.compliance.v1, from 1 on."""

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Facts:
    """What a sum needs of one report."""

    window_start: datetime
    window_seconds: int
    accepted_at: datetime
    log_index: int
    list_serial: int
    enforcing: bool
    # None where the node cannot know it.
    queries: int | None
    # Answers that blocked, by `CATEGORIES`.
    blocked: tuple[int, ...]
    drops: int
    upstream_failures: int

    @property
    def window_end(self) -> datetime:
        """When its window closed."""
        return self.window_start + timedelta(seconds=self.window_seconds)


@dataclass(frozen=True)
class Sums:
    """Windows of one node, summed."""

    windows: int
    # The time that they cover; windows that overlap count twice.
    seconds: int
    # Windows whose queries were not measured: `queries` and `drops` are of the others.
    unmeasured: int
    not_enforcing: int
    queries: int
    drops: int
    upstream_failures: int
    blocked_csam: int
    blocked_sexual_exploitation: int
    blocked_pornography: int
    blocked_gambling: int
    blocked_violence: int
    blocked_drugs: int
    blocked_self_harm: int
    blocked_scam: int
    # The oldest list that was in force at the end of a window.
    list_serial: int
    # For how long, at most, a newer release had been out at the end of a window.
    list_lag_seconds: int
    # The longest time from a window's end to the acceptance of its report.
    delay_seconds: int


LOWEST = frozenset({"list_serial"})
HIGHEST = frozenset({"list_lag_seconds", "delay_seconds"})
COLUMNS = tuple(field.name for field in fields(Sums))
"""All but those in `LOWEST` and `HIGHEST` add up."""


def hour_of(moment: datetime) -> datetime:
    """The hour that a moment lies in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_of(hour: datetime) -> date:
    """The legal day that an hour lies in; Vietnam is whole hours away from UTC and does not change its clocks."""
    return hour.astimezone(LEGAL_ZONE).date()


def hours_of(day: date) -> tuple[datetime, datetime]:
    """When a legal day begins and ends."""
    start = datetime.combine(day, time(), LEGAL_ZONE).astimezone(UTC)
    return start, start + timedelta(days=1)


def _lag(report: Facts, releases: Sequence[ReleaseRecord]) -> int:
    newer = next((one for one in releases if one.serial > report.list_serial), None)
    return max(0, int((report.window_end - newer.published_at).total_seconds())) if newer else 0


def total(reports: Iterable[Facts], releases: Sequence[ReleaseRecord]) -> Sums:
    """The sum over reports of one node, at least one.

    Args:
        reports: In any order; of several for one window the one with the lowest index counts.
        releases: All of them, oldest first.
    """
    first: dict[datetime, Facts] = {}
    for one in reports:
        known = first.get(one.window_start)
        if known is None or one.log_index < known.log_index:
            first[one.window_start] = one
    counted = list(first.values())
    blocked = {f"blocked_{name}": sum(one.blocked[place] for one in counted) for place, name in enumerate(CATEGORIES)}
    return Sums(
        windows=len(counted),
        seconds=sum(one.window_seconds for one in counted),
        unmeasured=sum(one.queries is None for one in counted),
        not_enforcing=sum(not one.enforcing for one in counted),
        queries=sum(one.queries or 0 for one in counted),
        drops=sum(one.drops for one in counted),
        upstream_failures=sum(one.upstream_failures for one in counted),
        **blocked,
        list_serial=min(one.list_serial for one in counted),
        list_lag_seconds=max(_lag(one, releases) for one in counted),
        delay_seconds=max(max(0, int((one.accepted_at - one.window_end).total_seconds())) for one in counted),
    )

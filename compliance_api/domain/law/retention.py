"""How long what is kept.

Holds always: what a sum is made of is kept at least as long as the law looks back; days are kept for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from compliance_api.domain.law.law import Law, LawBook
from lachan.config import Duration, Settings

DAY = 86_400


class RetentionSettings(Settings):
    """How long reports and observations, sums by the hour, and challenges are kept; sums by the day never end."""

    raw: Annotated[Duration, Field(ge=7 * DAY, le=3660 * DAY)] = 90.0 * DAY
    hourly: Annotated[Duration, Field(ge=7 * DAY, le=3660 * DAY)] = 730.0 * DAY
    # What nodes opened of their counts, from the day by which they had to.
    challenges: Annotated[Duration, Field(ge=7 * DAY, le=3660 * DAY)] = 120.0 * DAY
    # How often sums are made and what is due is dropped.
    interval: Annotated[Duration, Field(ge=0.1, le=7 * DAY)] = 300.0

    def raw_before(self, now: datetime) -> datetime:
        """Reports and observations of before this moment are due."""
        return now - timedelta(seconds=self.raw)

    def hourly_before(self, now: datetime) -> datetime:
        """Sums of hours before this moment are due."""
        return now - timedelta(seconds=max(self.raw, self.hourly))

    def challenges_before(self, now: datetime) -> datetime:
        """Challenges that had to be answered before this moment are due."""
        return now - timedelta(seconds=max(self.raw, self.challenges))

    def problems(self, laws: LawBook) -> list[str]:
        """What no law allows, in words: a law must be able to look back over its whole period, and a week more."""
        return [problem for law in laws.laws for problem in self._shortfalls(law)]

    def _shortfalls(self, law: Law) -> Iterator[str]:
        duty, day = law.challenges, law.day
        needed = {
            f"looks back over {law.period / DAY:g} days": (law.period, self.raw),
            f"counts a day anew for {day.recounted_within / DAY:g} days": (
                day.length + day.closes_after + day.recounted_within,
                self.raw,
            ),
            f"remembers closed hours for {duty.closed_days} days": (
                max(duty.closed_days, duty.days) * DAY + duty.opened_after + duty.answered_within,
                max(self.raw, self.challenges),
            ),
        }
        for what, (seconds, kept) in needed.items():
            if seconds + 7 * DAY > kept:
                yield (
                    f"{law.id} {what}, and what it looks at must be kept a week longer than {seconds / DAY:g} days, but"
                    f" is for {kept / DAY:g}"
                )


@dataclass
class Done:
    """What a run of the upkeep did."""

    # False: another process is at it.
    ran: bool = True
    spans_made: list[str] = field(default_factory=list)
    reports_summed: int = 0
    spans_dropped: list[str] = field(default_factory=list)
    rows_kept: int = 0
    rows_deleted: int = 0

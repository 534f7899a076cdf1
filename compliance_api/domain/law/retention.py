"""How long what is kept.

Holds always: what a sum is made of is kept at least as long as the law looks back; days are kept for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from compliance_api.domain.law.law import LawBook
from lachan.config import Duration, Settings

DAY = 86_400


class RetentionSettings(Settings):
    """How long reports and observations, and sums by the hour, are kept; sums by the day are never dropped."""

    raw: Annotated[Duration, Field(ge=7 * DAY, le=3660 * DAY)] = 90.0 * DAY
    hourly: Annotated[Duration, Field(ge=7 * DAY, le=3660 * DAY)] = 730.0 * DAY
    # How often sums are made and what is due is dropped.
    interval: Annotated[Duration, Field(ge=0.1, le=7 * DAY)] = 300.0

    def raw_before(self, now: datetime) -> datetime:
        """Reports and observations of before this moment are due."""
        return now - timedelta(seconds=self.raw)

    def hourly_before(self, now: datetime) -> datetime:
        """Sums of hours before this moment are due."""
        return now - timedelta(seconds=max(self.raw, self.hourly))

    def problems(self, laws: LawBook) -> list[str]:
        """What no law allows, in words: a law must be able to look back over its whole period, and a week more."""
        return [
            f"{law.id} looks back over {law.period / DAY:g} days, and what it looks at must be kept a"
            f" week longer, but is for {self.raw / DAY:g} days"
            for law in laws.laws
            if law.period + 7 * DAY > self.raw
        ]


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

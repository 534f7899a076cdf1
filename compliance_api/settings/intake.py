"""What may be set about how reports are taken."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from compliance_api.usecases.reports.room import Capacity
from lachan.config import Settings


class IntakeSettings(Settings):
    """How much of what nodes hand in one process holds at once; beyond it they are told when to come again."""

    reports: Annotated[int, Field(ge=256, le=1_000_000)] = Capacity.reports
    # Bytes of the reports as they came; in memory they take two to three times as much.
    size: Annotated[int, Field(ge=4 << 20, le=1 << 34)] = Capacity.size
    calls_of_a_node: Annotated[int, Field(ge=1, le=64)] = Capacity.calls_of_a_node

    def capacity(self) -> Capacity:
        """As the use case's own type."""
        return Capacity(self.reports, self.size, self.calls_of_a_node)

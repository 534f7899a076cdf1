"""How much was seen of an operator in the period of a verdict.

Holds always: what `document` writes, `read` reads, of another release too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from compliance_api.domain.observations.unreported import Withheld


@dataclass(frozen=True)
class Coverage:
    """How much was seen in the period."""

    period_start: datetime
    period_end: datetime
    windows_expected: int
    windows_received: int
    nodes: int
    nodes_reporting: int
    vantage_points: int
    # Questions with a settled answer are `asked`; `inconclusive` ones are beside them.
    listed_asked: int
    listed_blocked: int
    listed_missed: int
    listed_inconclusive: int
    controls_asked: int
    controls_over_blocked: int
    # The oldest serial that any node's latest report claims; None where no node reports.
    list_serial_claimed: int | None
    # The newest release; None while the list authority has not been reached.
    list_serial_current: int | None
    # For how long a release newer than the claimed one has been out; None where nothing is claimed.
    list_lag_seconds: int | None
    # By custodian, what was asked and not handed in: whoever drops what clears an operator leaves this behind.
    unreported: tuple[Withheld, ...] = ()

    def document(self) -> dict[str, Any]:
        """For machines; what nobody held back is not told of, as it was not before."""
        told = {name: one.isoformat() if isinstance(one, datetime) else one for name, one in vars(self).items()}
        del told["unreported"]
        if self.unreported:
            told["unreported"] = [one.document() for one in self.unreported]
        return told

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Coverage:
        """From what `document` made, by this release or by one before or after it."""
        values = {one.name: document[one.name] for one in fields(cls) if one.name != "unreported"}
        values["unreported"] = tuple(Withheld(**one) for one in document.get("unreported", ()))
        for name in ("period_start", "period_end"):
            values[name] = datetime.fromisoformat(values[name])
        return cls(**values)

"""Questions that were given to probes and never came back: who drops what does not suit, shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unreported:
    """One probe's assignments for one operator, whose time is over."""

    operator: str
    # ORGANISATION/PROBE.
    probe: str
    assignments: int
    # Assignments of which nothing came in at all.
    silent: int
    questions: int
    # Questions without an observation.
    unreported: int


@dataclass(frozen=True)
class Withheld:
    """What one custodian's probes were asked of an operator in a period, and what of it they did not hand in."""

    custodian: str
    questions: int
    unreported: int

    def document(self) -> dict[str, int | str]:
        """For machines."""
        return dict(vars(self))

"""What to send to the authority next: decisions only, no I/O.

Holds always: reports go oldest first; one is set apart only after the authority refused it alone and took a later one,
so that a fault on the authority's side never shuffles the chain, and one bad report never stops the others; what is set
apart is offered again later.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Oldest:
    """Send the oldest reports, up to `count`."""

    count: int


@dataclass(frozen=True)
class Later:
    """Send one report alone: `offset` places after the oldest, or the newest if there are fewer."""

    offset: int


class Delivery:
    """Told how every call ended, it says what the next one carries."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._count = batch
        self._taken_up_to = 0
        self._suspect: int | None = None
        self._reach = 0
        self._look_past = False

    def next(self) -> Oldest | Later:
        """What to send now."""
        if self._suspect is None:
            return Oldest(self._count)
        return Later(self._reach) if self._look_past else Oldest(1)

    def taken(self, positions: list[int]) -> None:
        """The authority gave receipts for these."""
        self._taken_up_to = max(self._taken_up_to, *positions)
        self._count = min(self._batch, self._count * 2)
        if not self._look_past or self._suspect in positions:
            self._suspect, self._reach = None, 0
        self._look_past = False

    def refused(self, positions: list[int]) -> int | None:
        """The authority will not take this content; the position to set apart, if that is settled now."""
        if len(positions) > 1:
            self._count = len(positions) // 2
            return None
        (position,) = positions
        self._count = 1
        if position < self._taken_up_to:
            self._suspect, self._reach, self._look_past = None, 0, False
            return position
        if self._look_past:
            self._look_past = False
        else:
            self._suspect, self._look_past = position, True
            self._reach = max(1, self._reach * 2)
        return None

    @property
    def searching(self) -> bool:
        """Whether a refused batch is being halved: the next call follows at once."""
        return self._suspect is None

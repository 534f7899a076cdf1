"""How much may be in hand at once, so that memory stays bounded whoever calls, and however fast.

Holds always: what a call brings counts from before it is looked at until it is answered; whoever finds no room is told
at once, before anything was spent on them; one node takes its own share and no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from compliance_api.errors import BusyError


@dataclass(frozen=True)
class Capacity:
    """Bounds on what is in hand."""

    reports: int = 16_384
    size: int = 64 << 20
    """Bytes of the reports as they came."""
    calls_of_a_node: int = 4
    """One at work, one behind it, and those that a node has given up on without our knowing."""


class Room:
    """Counts what is in hand against its bounds."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self.reports = 0
        self.size = 0
        self._calls: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def hold(self, node: tuple[str, str], reports: int, size: int) -> Iterator[None]:
        """Takes room for one call of a node.

        Raises:
            BusyError: There is none.
        """
        most = self._capacity
        if self._calls[node] >= most.calls_of_a_node:
            raise BusyError(f"{most.calls_of_a_node} calls of this node are under way")
        # Whatever its size, one call is let into an empty room.
        if self.reports and (self.reports + reports > most.reports or self.size + size > most.size):
            raise BusyError("too many reports are waiting")
        self._calls[node] += 1
        self.reports += reports
        self.size += size
        try:
            yield
        finally:
            self.reports -= reports
            self.size -= size
            self._calls[node] -= 1
            if not self._calls[node]:
                del self._calls[node]

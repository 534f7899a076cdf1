"""What time it is, by the service's word: its last stamp, and a clock that counts on through suspend.

Holds always: this machine's own wall clock is used only while no stamp is there; a stamp never dates what was asked
before it came, and never reaches back across a restart of the machine, for it is held in memory alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from lachan.compliance.v1 import probe_service_pb2 as pb


def boot_clock() -> float:
    """Seconds since the machine started, suspend included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Moment:
    """When something began: after which stamp and how long after it (µs), and what the wall clock said (µs)."""

    wall_us: int
    stamp: pb.Stamp | None
    since_us: int


class Timekeeper:
    """Holds the last stamp."""

    def __init__(self, boot: Callable[[], float] = boot_clock, wall: Callable[[], float] = time.time) -> None:
        """`boot` never steps; `wall` may say anything."""
        self._boot = boot
        self._wall = wall
        self._stamp: pb.Stamp | None = None
        self._held_since = 0.0

    def hold(self, stamp: pb.Stamp) -> None:
        """Takes a stamp that came just now."""
        self._stamp = stamp
        self._held_since = self._boot()

    def age(self) -> float | None:
        """Seconds since the last stamp came; None before the first."""
        return None if self._stamp is None else self._boot() - self._held_since

    def now(self) -> float:
        """Seconds since 1970, by the service's clock if it has ever told."""
        age = self.age()
        return self._wall() if self._stamp is None or age is None else self._stamp.time_us / 1_000_000 + age

    def offset(self) -> float:
        """Seconds by which the wall clock is ahead of the service's; 0 while the service has not told."""
        return self._wall() - self.now()

    def moment(self) -> Moment:
        """The present, as an observation carries it."""
        return Moment(int(self._wall() * 1_000_000), self._stamp, int((self.age() or 0.0) * 1_000_000))

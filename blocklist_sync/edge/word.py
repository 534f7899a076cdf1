"""Two clocks of an edge's sync: how long ago the last authentic word came, and by how much the wall clock was set.

Holds always: an age goes on through suspend and over restarts, and is never made younger by a clock that was set; what
cannot be known is counted from the start.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from blocklist_sync.edge.freshness import CLOCK_STEP_SECONDS, CLOCK_TOLD_SECONDS
from lachan import clock
from lachan.clock import Reading, StepDetector


def boot_seconds() -> float:
    """Seconds since this machine started, time asleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Word:
    """When the last authentic word came, remembered in `path` by its modification time."""

    def __init__(
        self, path: Path, now: Callable[[], float] = boot_seconds, wall: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self.now = now
        """Seconds, by a clock that nobody sets."""
        self._wall = wall
        self._at = now() - self._remembered()

    def _remembered(self) -> float:
        try:
            age = self._wall() - self._path.stat().st_mtime
        except OSError:
            return 0.0
        # A moment that is still to come says that a clock was wrong, then or now.
        return max(0.0, age)

    def heard(self) -> None:
        """One came now."""
        self._at = self.now()
        # Remembered as well as it can be: neither a full disk nor a lost second changes what is in force.
        with contextlib.suppress(OSError):
            os.utime(self._path) if self._path.exists() else self._path.touch(0o600)

    def age(self) -> float:
        """Seconds since the last."""
        return self.now() - self._at


class Steps:
    """Large steps of the wall clock."""

    def __init__(self, read: Callable[[], Reading] = clock.read) -> None:
        self._read = read
        first = read()
        self._detector = StepDetector(first)
        self._told: tuple[float, float] | None = None
        self._now = first.boot / 1e9

    def observe(self) -> None:
        """Looks at both clocks."""
        reading = self._read()
        self._now = reading.boot / 1e9
        step = self._detector.observe(reading) / 1000
        if abs(step) >= CLOCK_STEP_SECONDS:
            self._told = (self._now, step)

    @property
    def recent(self) -> float:
        """The last large step within the hour, in seconds, signed; 0 where there was none."""
        if self._told is None or self._now - self._told[0] >= CLOCK_TOLD_SECONDS:
            return 0.0
        return self._told[1]

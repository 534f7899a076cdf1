"""When the repository is asked again: decisions only.

Holds always: edges that started or failed together do not ask together; while a stream announces releases they ask
seldom, but never cease; what a stream says, true or not, brings about `BURST` rounds at once and then one in `REFILL`.
"""

from __future__ import annotations

import enum
import random

from blocklist_sync.edge.settings import SyncSettings
from lachan.backoff import Backoff

JITTER = 0.1
HURRY_FIRST = 0.5
"""Seconds, at most, until a mirror that does not have an announced release yet is asked again; then twice as long."""
HURRY_MAX = 15.0
HURRIES = 8
"""Tries, after which what was announced is taken for what it may be: not true."""
BURST = 10
REFILL = 30.0
"""Seconds."""
SPACING = 1.0
"""Seconds between rounds that announcements bring about."""


class Ending(enum.Enum):
    """How a round ended, as far as the next one depends on it."""

    WELL = enum.auto()
    UNREACHABLE = enum.auto()
    SLOW = enum.auto()
    STORAGE = enum.auto()
    REFUSED = enum.auto()


# Seconds before the first try after a failure, at most. What is refused is downloaded again to be refused again, and
# what was slow was so for many: both are left alone for longer than a connection that was cut.
_FIRST = {Ending.UNREACHABLE: 1.0, Ending.SLOW: 10.0, Ending.STORAGE: 5.0, Ending.REFUSED: 30.0}


class Pace:
    """The pace of one edge."""

    def __init__(self, settings: SyncSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._last = Ending.WELL
        self._retry = self._fresh(Ending.WELL)
        self._hurry = Backoff(HURRY_FIRST, HURRY_MAX, rng)
        self._hurries = 0
        self._allowed = float(BURST)
        self._filled_at = 0.0

    def _fresh(self, ending: Ending) -> Backoff:
        first = min(_FIRST.get(ending, 1.0), self._settings.poll_interval)
        return Backoff(first, max(first, self._settings.backoff_max), self._rng)

    def after(self, ending: Ending, *, streaming: bool, behind: bool) -> float:
        """Seconds until the next round.

        Args:
            ending: How this one ended.
            streaming: Whether a stream would announce a release.
            behind: Whether one was announced that the repository did not have yet.
        """
        push = self._settings.push
        if ending is not Ending.WELL:
            if ending is not self._last:
                self._retry = self._fresh(ending)
            self._last = ending
            return self._retry.failed()
        self._last = Ending.WELL
        interval = push.poll_interval if streaming and push is not None else self._settings.poll_interval
        wait = interval * self._rng.uniform(1 - JITTER, 1 + JITTER)
        if not behind:
            self._hurry.succeeded()
            self._hurries = 0
        elif self._hurries < HURRIES:
            self._hurries += 1
            return min(wait, self._hurry.failed(HURRY_FIRST / 2))
        return wait

    def heard(self, *, urgent: bool, since_round: float, now: float) -> float:
        """Seconds from an announcement to the round that it brings about.

        Args:
            urgent: Whether edges should not spread their downloads.
            since_round: Seconds since the last round began.
            now: Monotonic seconds.
        """
        self._allowed = min(float(BURST), self._allowed + (now - self._filled_at) / REFILL)
        self._filled_at = now
        self._allowed -= 1.0
        if self._allowed < 0.0:
            late = -self._allowed * REFILL
            self._allowed, self._filled_at = 0.0, now + late
            return late
        push = self._settings.push
        spread = 0.0 if urgent or push is None else self._rng.uniform(0, push.spread)
        return max(spread, SPACING - since_round)

    def due(self, seconds: float) -> float:
        """Seconds until a release is asked for that may be taken in so many, by all edges at the same moment."""
        push = self._settings.push
        return seconds + self._rng.uniform(0, push.spread if push is not None else 1.0)

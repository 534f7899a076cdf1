"""Which of several repositories of the same files is asked: how each fared decides, nothing here asks.

Holds always: every round begins with another of the good ones, so that one which stands still is found out by the next;
a bad one is left alone for a time that grows, and asked again sooner only where no other is left.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lachan.backoff import Backoff

PENALTY_FIRST = 15.0
"""Seconds, at most; then twice as long, up to `PENALTY_MAX`."""
PENALTY_MAX = 900.0


class Mirror:
    """One repository."""

    def __init__(self, url: str, rng: random.Random) -> None:
        self.url = url
        self.failures: Counter[str] = Counter()
        """By reason, as they are counted for releases and rounds."""
        self.trouble = ""
        """The reason of the last round, empty where that went well."""
        self.good_at = 0.0
        """When it last answered well, on the clock of `Mirrors`; 0 before that."""
        self._retry_at = 0.0
        self._backoff = Backoff(PENALTY_FIRST, PENALTY_MAX, rng)

    def well(self, now: float) -> None:
        """It answered with an authentic, fresh word."""
        self.trouble, self.good_at, self._retry_at = "", now, 0.0
        self._backoff.succeeded()

    def bad(self, reason: str, now: float) -> bool:
        """It did not; whether that is another trouble than the last."""
        new = reason != self.trouble
        self.failures[reason] += 1
        self.trouble = reason
        self._retry_at = now + self._backoff.failed(PENALTY_FIRST / 3)
        return new

    def due(self, now: float) -> float:
        """Seconds until it is asked again, 0 where it is good."""
        return max(0.0, self._retry_at - now)

    def document(self) -> dict[str, Any]:
        """For `status`."""
        return {"url": self.url, "trouble": self.trouble, "failures": dict(self.failures)}


class Mirrors:
    """All of them; `now` is a monotonic clock's, in seconds."""

    def __init__(self, urls: Sequence[str], rng: random.Random) -> None:
        self.all = tuple(Mirror(url, rng) for url in urls)
        # A thousand edges must not all begin with the first.
        self._turn = rng.randrange(len(self.all))

    def order(self, now: float) -> list[Mirror]:
        """Whom a round asks, one after another until it went well."""
        count = len(self.all)
        self._turn = (self._turn + 1) % count
        rotated = [self.all[(self._turn + step) % count] for step in range(count)]
        return sorted(rotated, key=lambda mirror: mirror.due(now))

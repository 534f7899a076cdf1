"""How long to wait before another try, so that those who failed together do not come back together."""

from __future__ import annotations

import random


class Backoff:
    """Seconds to wait after failures in a row: exponential, with full jitter."""

    def __init__(self, first: float, most: float, rng: random.Random) -> None:
        self._first = first
        self._most = most
        self._rng = rng
        self._failures = 0

    def succeeded(self) -> None:
        """Begins anew."""
        self._failures = 0

    def failed(self, at_least: float = 0.0) -> float:
        """Counts a failure; the wait after it, beyond what the server asked for."""
        longest = min(self._most, self._first * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return at_least + self._rng.uniform(0, longest)

"""A token bucket: so much at once, so much a second for ever.

Holds always: what is taken never exceeds `burst` beyond `rate` times the time that passed; a refusal takes nothing and
says after how long the same would be granted.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Allowance:
    """What somebody may take."""

    # A second.
    rate: float
    # At once, and so the most that one request can ask for.
    burst: float


class Bucket:
    """One party's share; full at first. Times in seconds of any clock that never goes back."""

    def __init__(self, allowance: Allowance, now: float) -> None:
        self._allowance = allowance
        self._tokens = allowance.burst
        self._at = now

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` can be taken, 0 if it can be now."""
        self._tokens = min(self._allowance.burst, self._tokens + (now - self._at) * self._allowance.rate)
        self._at = now
        return max(0.0, min(amount, self._allowance.burst) - self._tokens) / self._allowance.rate

    def take(self, amount: float) -> None:
        """Takes what `wait` has just granted."""
        self._tokens -= amount

    def correct(self, level: float, now: float) -> None:
        """Learns how much there is now."""
        self._tokens, self._at = level, now

"""Shares without a database, as one process after another draws from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from compliance_api.domain.parties.bucket import Allowance, Bucket
from compliance_api.usecases.membership.share import Drawn, Share, Shares, Unit


@dataclass
class MemoryShares:
    """The store, with a clock that stands until it is set."""

    now: float = 0.0
    draws: list[tuple[str, Unit, float]] = field(default_factory=list)
    _buckets: dict[tuple[str, Unit], Bucket] = field(default_factory=dict)

    def clock(self) -> float:
        return self.now

    async def draw(self, holder: str, unit: Unit, allowance: Allowance, need: float, wanted: float) -> Drawn:
        self.draws.append((holder, unit, need))
        bucket = self._buckets.setdefault((holder, unit), Bucket(allowance, self.now))
        if bucket.wait(need, self.now):
            return Drawn(0.0, self._level(bucket, allowance))
        amount = min(self._level(bucket, allowance), wanted)
        bucket.take(amount)
        return Drawn(amount, self._level(bucket, allowance))

    def _level(self, bucket: Bucket, allowance: Allowance) -> float:
        return allowance.burst - bucket.wait(allowance.burst, self.now) * allowance.rate


def plenty(clock: Callable[[], float] = lambda: 0.0) -> Shares:
    """More than any test takes."""
    share = Share(Allowance(1e6, 1e6), Allowance(1e6, 1e6))
    return Shares(share, share, MemoryShares(), clock)

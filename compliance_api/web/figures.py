"""Numbers made for display: shares for bars and the interval around a rate. Nothing here decides anything."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054
"""Standard normal deviate of a two-sided 95 % interval."""


@dataclass(frozen=True)
class Segment:
    """A part of a bar, in percent of its length."""

    kind: str
    start: str
    width: str


@dataclass(frozen=True)
class Rate:
    """A rate with its 95 % interval."""

    share: float
    low: float
    high: float


def segments(parts: dict[str, int]) -> tuple[Segment, ...]:
    """A bar of parts, in order; empty where there is nothing to show."""
    total = sum(parts.values())
    if total <= 0:
        return ()
    bar: list[Segment] = []
    start = 0.0
    for kind, count in parts.items():
        width = 100 * count / total
        if count > 0:
            bar.append(Segment(kind, f"{start:.2f}", f"{width:.2f}"))
        start += width
    return tuple(bar)


def rate(hits: int, trials: int) -> Rate | None:
    """The share of `hits` with Wilson's score interval, honest at 0 and at few trials too; None without trials."""
    if trials <= 0:
        return None
    share = min(max(hits, 0), trials) / trials
    z2 = Z_95 * Z_95
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials)) / (1 + z2 / trials)
    return Rate(share, max(0.0, middle - half), min(1.0, middle + half))

"""Intervals for display, never for accusing.

Holds always: the interval contains the observed rate and covers the true one with at least the stated confidence; its
bounds are whole millionths, the lower rounded down and the upper up, so that the last bits of a float never show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import betaincinv

MILLION = 1_000_000
# What a float of SciPy may be off by, in millionths, before it is rounded outward.
SLACK = 1e-6


@dataclass(frozen=True)
class Interval:
    """Bounds of a rate, in millionths."""

    low: int
    high: int


def clopper_pearson(hits: int, asked: int, confidence: float = 0.95) -> Interval:
    """The exact binomial interval.

    Clopper & Pearson, Biometrika 26 (1934) 404-413; by the beta distribution as in Brown, Cai & DasGupta, Statistical
    Science 16 (2001) 101-133, section 4.2.1: B(a/2; x, n-x+1) and B(1-a/2; x+1, n-x).

    Args:
        hits: 0 to `asked`.
        asked: At least 0; nothing asked says nothing.
        confidence: Above 0, below 1.

    Raises:
        ValueError: Counts or confidence are impossible.
    """
    if not 0 <= hits <= asked or not 0 < confidence < 1:
        raise ValueError(f"no interval for {hits} of {asked} at {confidence}")
    tail = (1 - confidence) / 2
    low, high = 0, MILLION
    if hits:
        low = max(0, math.floor(float(betaincinv(hits, asked - hits + 1, tail)) * MILLION - SLACK))
    if hits < asked:
        high = min(MILLION, math.ceil(float(betaincinv(hits + 1, asked - hits, 1 - tail)) * MILLION + SLACK))
    return Interval(low, high)

"""Reported on answered queries: whether counters count.

Holds always: the sums are whole numbers that add up in any order, and the decision is taken in exact fractions, so the
same challenges give the same decision everywhere; a slope is accused only where it is known well to be
farther from 1 than is tolerated; too few pairs, or challenges that were all alike, accuse nobody.

A challenge asks an entry a random number of times x (0 for a control entry); the node later opens what it counted, y:
the challenge, and whoever else asked. As x was drawn, it is independent of the others' queries, so the least-squares
slope of y on x is 1 for counters that count, 0 for invented ones, k for scaled ones, and the others' queries go into
the intercept. An answer lost on its way back moves the slope by its share: the tolerance covers it. The standard
error holds whatever the variances: White, Econometrica 48 (1980) 817-838, with MacKinnon & White's n/(n-2), Journal
of Econometrics 29 (1985) 305-325 (HC1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from decimal import Decimal
from fractions import Fraction

from compliance_api.domain.statistics.parameters import SlopeRule

MILLION = 1_000_000


@dataclass(frozen=True)
class Moments:
    """Sums over pairs (answered x, reported y): all that the slope and its error need."""

    n: int = 0
    x: int = 0
    y: int = 0
    x2: int = 0
    xy: int = 0
    y2: int = 0
    x3: int = 0
    x2y: int = 0
    xy2: int = 0
    x4: int = 0
    x3y: int = 0
    x2y2: int = 0

    def __add__(self, other: Moments) -> Moments:
        return Moments(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


def moments(pairs: Iterable[tuple[int, int]]) -> Moments:
    """The sums over some pairs."""
    rows = [_powers(x, y) for x, y in pairs]
    return Moments(*(sum(column) for column in zip(*rows, strict=True)))


def _powers(x: int, y: int) -> tuple[int, ...]:
    xx, xy, yy = x * x, x * y, y * y
    return 1, x, y, xx, xy, yy, xx * x, xx * y, x * yy, xx * xx, xx * xy, xx * yy


@dataclass(frozen=True)
class Slope:
    """The slope and the variance of its estimate, exact."""

    pairs: int
    beta: Fraction
    variance: Fraction

    def bounds(self, sigmas: float) -> tuple[int, int]:
        """Slope less and plus so many standard errors, in millionths, rounded outward."""
        width = _exact(sigmas) ** 2 * self.variance * MILLION**2
        error = math.isqrt(math.ceil(width)) + 1 if width else 0
        return math.floor(self.beta * MILLION) - error, math.ceil(self.beta * MILLION) + error

    def accuses(self, rule: SlopeRule) -> bool:
        """Whether it is farther from 1 than tolerated by enough standard errors."""
        beyond = abs(self.beta - 1) - _exact(rule.tolerance)
        return beyond > 0 and beyond**2 >= _exact(rule.sigmas) ** 2 * self.variance


def _exact(value: float) -> Fraction:
    return Fraction(Decimal(repr(value)))


def slope(sums: Moments, rule: SlopeRule) -> Slope | None:
    """The least-squares slope; None where it cannot be known."""
    n = sums.n
    if n < max(3, rule.pairs) or n * sums.x2 == sums.x**2:
        return None
    mx, my = Fraction(sums.x, n), Fraction(sums.y, n)
    c20 = sums.x2 - n * mx**2
    c30 = sums.x3 - 3 * mx * sums.x2 + 2 * n * mx**3
    c40 = sums.x4 - 4 * mx * sums.x3 + 6 * mx**2 * sums.x2 - 3 * n * mx**4
    # Sums of (x - mean)^k y, then less the mean of y.
    about2 = sums.x2y - 2 * mx * sums.xy + mx**2 * sums.y
    about3 = sums.x3y - 3 * mx * sums.x2y + 3 * mx**2 * sums.xy - mx**3 * sums.y
    c31 = about3 - my * c30
    c22 = sums.x2y2 - 2 * mx * sums.xy2 + mx**2 * sums.y2 - 2 * my * about2 + my**2 * c20
    beta = (sums.xy - n * mx * my) / c20
    squares = c22 - 2 * beta * c31 + beta**2 * c40
    return Slope(n, beta, Fraction(n, n - 2) * squares / c20**2)

"""Counters that agree too well: one node's numbers under another node's name.

Holds always: nodes whose counters differ by no less than chance demands are never accused, however alike their days
are; nor is anybody whose counters are too steady to tell; scaling a copy hides nothing.

Two nodes that count their own clients share the hour of the day and the news, but not the chance of who asks when. If
both count independently at proportional rates, the one's part p of each window's sum is binomial, and D = sum of (b -
p(a+b))^2 / ((a+b) p (1-p)) is chi-squared with one degree fewer than windows; whatever else differs between honest
nodes makes it larger. A copy, exact or scaled, makes it next to nothing. It is Fisher's test for data too good to be
true (Annals of Science 1 (1936) 115-137) with the binomial index of dispersion (Statistical Methods for Research
Workers, chapter IV). Clients that ask by the clock make counts steadier than chance, and D smaller in honesty: so D
is held against the noise that each series has by itself, p times the one's plus 1-p times the other's, measured by
second differences, which no daily course moves (Student, Biometrika 10 (1914) 179), and never taken for more than
chance's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import chdtr

from compliance_api.domain.statistics.parameters import CopyRule

MILLION = 1_000_000


@dataclass(frozen=True)
class Likeness:
    """How well two series of counters agree."""

    windows: int
    # D in millionths, rounded up.
    dispersion: int
    # What D per degree would be for independent counts as noisy as these, in millionths, rounded down; a million at
    # most.
    noise: int

    def accuses(self, rule: CopyRule) -> bool:
        """Whether independent nodes cannot agree so well."""
        degrees = self.windows - 1
        if self.windows < rule.windows or self.noise < rule.noise * MILLION:
            return False
        if self.dispersion > rule.agreement * degrees * self.noise:
            return False
        return float(chdtr(degrees, self.dispersion / self.noise)) <= rule.level


def _noise(series: Sequence[int]) -> int:
    """Mean square of second differences over their sum: a million for independent Poisson counts."""
    weights = [(a - 2 * b + c, a + 4 * b + c) for a, b, c in zip(series, series[1:], series[2:], strict=False)]
    known = [difference**2 * MILLION // weight for difference, weight in weights if weight]
    return sum(known) // len(known) if known else 0


def likeness(one: Sequence[int], other: Sequence[int], rule: CopyRule) -> Likeness | None:
    """How well two nodes' counters of the same windows agree; None where they are too few or too small.

    Args:
        one: Counts of one node, a window each, in order.
        other: The other's in the same windows, or in windows as much later.
        rule: The law's.

    Raises:
        ValueError: The series are of different length.
    """
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a + b >= rule.least]
    first, second = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    if len(pairs) < rule.windows or not first or not second:
        return None
    total, scale = first + second, first * second
    dispersion = sum(-(-((b * total - second * (a + b)) ** 2 * MILLION) // ((a + b) * scale)) for a, b in pairs)
    noise = (second * _noise([a for a, _ in pairs]) + first * _noise([b for _, b in pairs])) // total
    return Likeness(len(pairs), dispersion, min(noise, MILLION))

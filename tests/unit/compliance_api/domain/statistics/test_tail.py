from __future__ import annotations

from fractions import Fraction
from math import comb

from compliance_api.domain.statistics.parameters import CountRule
from compliance_api.domain.statistics.tail import exceeded, threshold


def at_least(count: int, asked: int, rate: Fraction) -> Fraction:
    """P[Binomial >= count], in exact fractions."""
    return 1 - sum((comb(asked, k) * rate**k * (1 - rate) ** (asked - k) for k in range(count)), Fraction(0))


def test_the_threshold_is_the_smallest_that_keeps_the_level() -> None:
    for asked, rate, level in (
        (400, "0.001", "0.01"),
        (20, "0.01", "0.002"),
        (160, "0.01", "0.005"),
        (30, "0.02", "0.00001"),
    ):
        rule = CountRule(float(rate), float(level), 1)
        count = threshold(asked, rule)
        assert at_least(count, asked, Fraction(rate)) <= Fraction(level)
        assert at_least(count - 1, asked, Fraction(rate)) > Fraction(level)


def test_fewer_hits_than_the_least_never_count() -> None:
    rule = CountRule(0.000001, 0.01, 4)
    assert threshold(100, rule) == 4
    assert not exceeded(3, 3, rule)
    assert exceeded(4, 400, rule)


def test_nobody_exceeds_who_was_not_asked() -> None:
    assert not exceeded(0, 0, CountRule(0.001, 0.01, 1))

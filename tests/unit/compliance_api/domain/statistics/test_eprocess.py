from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import product

import pytest
from scipy.stats import bernoulli

from compliance_api.domain.statistics.eprocess import FAMILIES, UNIT, Standing, ratios, step
from compliance_api.domain.statistics.parameters import Family, ProcessRule

RULE = ProcessRule()


def by_definition(days: list[bool | None], rule: ProcessRule) -> Fraction:
    """The average over beginnings of the likelihood ratios since then, multiplied out."""
    bad, good = ratios(rule)
    total = Fraction(0)
    for begin in range(len(days)):
        product_ = Fraction(1)
        for day in days[begin:]:
            product_ *= 1 if day is None else bad if day else good
        total += product_
    return total / rule.horizon


def after(days: list[bool | None], rule: ProcessRule = RULE, family: Family = Family.FILTERING) -> Standing:
    standing = Standing()
    for day in days:
        standing = standing.after({family: day}, rule)
    return standing


def test_ratios_are_exact_in_the_decimals_of_the_law() -> None:
    assert ratios(ProcessRule(honest=0.05, cheating=0.9)) == (Fraction(18), Fraction(2, 19))


def test_the_step_is_the_definition_rounded_down() -> None:
    for days in product([True, False, None], repeat=5):
        value = after(list(days)).values[0]
        exact = by_definition(list(days), RULE) * UNIT
        assert value <= exact
        assert exact - value < exact / 10**8 + 10**6


def test_the_value_is_the_mean_likelihood_ratio_over_beginnings_as_scipy_has_it() -> None:
    rule, rng = ProcessRule(), random.Random(5)
    days = [rng.random() < 0.3 for _ in range(60)]
    ratio = bernoulli.logpmf(days, rule.cheating) - bernoulli.logpmf(days, rule.honest)
    value = 0
    for number, bad in enumerate(days, 1):
        value = step(value, bad, rule)
        expected = sum(math.exp(ratio[begin:number].sum()) for begin in range(number)) / rule.horizon
        assert value / UNIT == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_expected_value_under_an_honest_course_is_one_at_most() -> None:
    rule = ProcessRule(horizon=9)
    honest = Fraction(3, 100)
    expected = Fraction(0)
    for days in product([True, False], repeat=9):
        chance = Fraction(1)
        for day in days:
            chance *= honest if day else 1 - honest
        expected += chance * after(list(days), rule).values[0]
    assert expected <= UNIT
    assert expected > UNIT * 999 // 1000


@pytest.mark.parametrize(
    ("days", "accused"),
    [
        ([True] * 4, False),
        ([True] * 5, True),
        ([True] * 5 + [False], False),
        ([True, True, False, True, True, True], False),
        ([True, True, False, True, True, True, True], True),
        ([True] * 4 + [None, True], True),
        ([None] * 366, False),
        ([False] * 300 + [True] * 5, True),
        ([False] * 300 + [True] * 4, False),
    ],
)
def test_what_it_takes_with_the_defaults(days: list[bool | None], accused: bool) -> None:
    expected = (Family.FILTERING,) if accused else ()
    assert after(days).accused(RULE) == expected


def test_families_do_not_add_up_to_an_accusation_of_nothing_in_particular() -> None:
    standing = Standing()
    for day in range(8):
        standing = standing.after({family: index == day % 4 for index, family in enumerate(FAMILIES)}, RULE)
    assert standing.accused(RULE) == ()


def test_a_day_without_evidence_takes_nothing_back() -> None:
    before = after([True, True]).values[0]
    assert step(before, None, RULE) == before + UNIT // RULE.horizon


def test_a_year_ends() -> None:
    with pytest.raises(ValueError, match="366 days"):
        after([None] * 367)

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import linregress

from compliance_api.domain.statistics.parameters import SlopeRule
from compliance_api.domain.statistics.slope import MILLION, Moments, Slope, moments, slope

RULE = SlopeRule()


def pairs(factor: float, *, count: int = 400, seed: int = 1) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    asked = rng.choice([0, 4, 8, 16], count)
    return [(int(x), round(factor * int(x + rng.poisson(3)))) for x in asked]


def known(values: list[tuple[int, int]]) -> Slope:
    found = slope(moments(values), RULE)
    assert found is not None
    return found


def test_the_slope_is_scipys_and_its_error_the_textbooks() -> None:
    values = pairs(1.0)
    found = known(values)
    x, y = np.array(values, float).T
    reference = linregress(x, y)
    assert float(found.beta) == pytest.approx(reference.slope, rel=1e-12)
    design = np.column_stack([np.ones_like(x), x])
    bread = np.linalg.inv(design.T @ design)
    residuals = y - reference.intercept - reference.slope * x
    covariance = bread @ (design.T * residuals**2) @ design @ bread * len(x) / (len(x) - 2)
    assert float(found.variance) == pytest.approx(covariance[1, 1], rel=1e-9)


def test_sums_add_up_in_any_order() -> None:
    values = pairs(1.0)
    assert moments(values[:100]) + moments(values[100:]) == moments(values[::-1])


@pytest.mark.parametrize(("factor", "accused"), [(1.0, False), (1.1, False), (0.0, True), (0.6, True), (1.5, True)])
def test_counters_that_count_are_not_accused_and_others_are(factor: float, accused: bool) -> None:
    assert known(pairs(factor)).accuses(RULE) is accused


def test_invented_counters_are_accused_even_without_noise() -> None:
    found = known([(x, 7) for x in (0, 4, 8, 16) * 20])
    assert (found.beta, found.variance) == (0, 0)
    assert found.accuses(RULE)
    assert found.bounds(5) == (0, 0)


def test_a_slope_that_is_not_known_well_accuses_nobody() -> None:
    rng = np.random.default_rng(3)
    noisy = [(int(x), int(rng.poisson(4000))) for x in rng.choice([0, 1], 80)]
    assert not known(noisy).accuses(RULE)


def test_few_or_equal_challenges_say_nothing() -> None:
    assert slope(Moments(), RULE) is None
    assert slope(moments(pairs(0.0, count=59)), RULE) is None
    assert slope(moments([(5, y) for y in range(100)]), RULE) is None


def test_bounds_are_rounded_outward() -> None:
    found = known(pairs(1.0))
    low, high = found.bounds(2)
    error = float(found.variance) ** 0.5
    assert low <= (float(found.beta) - 2 * error) * MILLION <= low + 3
    assert high - 3 <= (float(found.beta) + 2 * error) * MILLION <= high

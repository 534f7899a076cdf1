from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from compliance_api.domain.statistics.copies import MILLION, likeness
from compliance_api.domain.statistics.parameters import CopyRule

RULE = CopyRule()
RNG = np.random.default_rng(7)
DAY = 200 * (1.2 + np.sin(np.linspace(0, 2 * np.pi, 288)))


def counts(rates: np.ndarray) -> list[int]:
    return [int(one) for one in RNG.poisson(rates)]


def test_the_dispersion_is_the_chi_square_of_the_table() -> None:
    one, other = counts(DAY), counts(DAY / 3)
    found = likeness(one, other, RULE)
    assert found is not None
    reference = chi2_contingency(np.array([one, other]), correction=False)
    assert found.windows - 1 == reference.dof
    assert found.dispersion / MILLION == pytest.approx(reference.statistic, rel=1e-6)


def test_honest_nodes_with_the_same_day_are_not_accused() -> None:
    for scale in (1.0, 0.3, 2.0):
        found = likeness(counts(DAY), counts(DAY * scale), RULE)
        assert found is not None
        assert not found.accuses(RULE)


def test_steady_clients_on_an_honest_pair_accuse_nobody() -> None:
    steady = np.round(DAY * 50)
    for noisy in (DAY, DAY * 50):
        found = likeness(counts(noisy), [int(one) for one in steady], RULE)
        assert found is not None
        assert not found.accuses(RULE)


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.5, 0.9, 3.0])
def test_a_copy_is_found_exact_or_scaled(scale: float) -> None:
    own = counts(DAY)
    found = likeness(own, [round(one * scale) for one in own], RULE)
    assert found is not None
    assert found.accuses(RULE)


def test_counters_too_steady_to_tell_accuse_nobody() -> None:
    found = likeness([100] * 288, [100] * 288, RULE)
    assert found is not None
    assert not found.accuses(RULE)


def test_few_or_small_counters_say_nothing() -> None:
    assert likeness([50] * 143, [50] * 143, RULE) is None
    assert likeness([3] * 288, [3] * 288, RULE) is None
    assert likeness([0] * 288, [50] * 288, RULE) is None
    assert likeness([], [], RULE) is None

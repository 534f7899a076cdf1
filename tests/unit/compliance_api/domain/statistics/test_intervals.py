from __future__ import annotations

import pytest
from scipy.stats import binomtest

from compliance_api.domain.statistics.intervals import MILLION, Interval, clopper_pearson


# Exact 95 % limits as printed in statistical tables (Documenta Geigy, Scientific Tables; Clopper & Pearson's chart).
@pytest.mark.parametrize(
    ("hits", "asked", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (1, 20, 0.0013, 0.2487),
        (10, 100, 0.0490, 0.1762),
        (0, 100, 0.0, 0.0362),
    ],
)
def test_limits_agree_with_printed_tables(hits: int, asked: int, low: float, high: float) -> None:
    found = clopper_pearson(hits, asked)
    assert found.low / MILLION == pytest.approx(low, abs=6e-5)
    assert found.high / MILLION == pytest.approx(high, abs=6e-5)


def test_limits_hold_scipys_and_are_no_wider_than_rounding() -> None:
    for asked in (1, 7, 400, 5000):
        for hits in {0, 1, asked // 3, asked - 1, asked}:
            for confidence in (0.95, 0.999):
                exact = binomtest(hits, asked).proportion_ci(confidence, method="exact")
                found = clopper_pearson(hits, asked, confidence)
                assert found.low <= exact.low * MILLION < found.low + 1.01
                assert found.high - 1.01 < exact.high * MILLION <= found.high


def test_nothing_asked_says_nothing() -> None:
    assert clopper_pearson(0, 0) == Interval(0, MILLION)


@pytest.mark.parametrize(("hits", "asked", "confidence"), [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 1.0), (1, 3, 0.0)])
def test_impossible_counts_are_refused(hits: int, asked: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="no interval"):
        clopper_pearson(hits, asked, confidence)

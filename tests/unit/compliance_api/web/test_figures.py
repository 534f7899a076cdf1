from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance_api.web.figures import rate, segments


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=4))
def test_a_bar_is_full_or_empty(counts: list[int]) -> None:
    bar = segments({str(index): count for index, count in enumerate(counts)})
    if sum(counts):
        assert sum(float(part.width) for part in bar) == pytest.approx(100, abs=0.05)
        assert [part.kind for part in bar] == [str(index) for index, count in enumerate(counts) if count]
    else:
        assert bar == ()


@given(st.integers(1, 10**7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share(pair: tuple[int, int]) -> None:
    hits, trials = pair
    shown = rate(hits, trials)
    assert shown is not None
    assert 0 <= shown.low <= shown.share + 1e-9
    assert shown.share <= shown.high + 1e-9 <= 1 + 1e-9


def test_wilsons_interval_by_the_book() -> None:
    shown = rate(10, 100)
    assert shown is not None
    assert (round(shown.low, 4), round(shown.high, 4)) == (0.0552, 0.1744)
    none = rate(0, 30)
    assert none is not None
    assert none.low == 0
    assert round(none.high, 4) == 0.1135
    assert rate(0, 0) is None

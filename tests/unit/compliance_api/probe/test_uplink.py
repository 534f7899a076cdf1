from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from compliance_api.probe.uplink import MAX_BATCH, MAX_BATCH_BYTES, backoff, batch_of


@given(st.lists(st.integers(0, 20_000), max_size=400))
def test_a_batch_fits_into_a_call(sizes: list[int]) -> None:
    items = [bytes(size) for size in sizes]
    count = batch_of(items)
    assert count <= MAX_BATCH
    assert sum(sizes[:count]) <= MAX_BATCH_BYTES
    assert bool(count) == bool(items)


def test_one_item_too_large_still_travels_alone() -> None:
    assert batch_of([bytes(MAX_BATCH_BYTES + 1), b""]) == 1


def test_a_batch_may_be_asked_to_be_smaller() -> None:
    assert batch_of([b"x"] * 10, most=3) == 3


@given(st.integers(1, 10_000), st.integers())
def test_the_wait_grows_and_stays_bounded(failures: int, seed: int) -> None:
    wait = backoff(failures, 1.0, 300.0, Random(seed))
    assert 0.5 <= wait <= 300
    if failures < 8:
        assert 2 ** (failures - 1) / 2 <= wait <= 2 ** (failures - 1)

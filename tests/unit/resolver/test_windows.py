from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from resolver.windows import SPANS_MAX, cover, covers, due_windows, lost_before

NOON = 1_750_000_200  # a multiple of 300


def test_a_window_is_due_a_second_after_it_closed() -> None:
    assert due_windows((), NOON + 300.9, NOON, 300) == ()
    assert due_windows((), NOON + 301, NOON, 300) == (NOON,)
    assert due_windows(((NOON, NOON + 300),), NOON + 301, NOON, 300) == ()


def test_nothing_from_before_the_ring_is_due() -> None:
    assert due_windows((), NOON + 301, NOON + 10, 300) == (NOON,)
    assert due_windows((), NOON + 301, NOON + 300, 300) == ()


def test_a_long_absence_is_bounded_by_the_ring() -> None:
    due = due_windows(((0, NOON),), NOON + 300 * 10_000 + 5, NOON - 10**6, 300)
    assert len(due) == 63
    assert due[-1] == NOON + 300 * 9_999
    assert lost_before(((0, NOON),), due[0], 300) == 10_000 - 63


def test_a_clock_set_back_makes_told_windows_due_no_more() -> None:
    spans = ((0, NOON + 3000),)
    assert due_windows(spans, NOON + 1000, NOON - 10**6, 300) == ()
    assert due_windows(spans, NOON + 3301, NOON - 10**6, 300) == (NOON + 3000,)


def test_a_clock_set_back_behind_the_ring_begins_with_the_newest_window() -> None:
    assert due_windows((), NOON + 301, NOON + 10**7, 300) == (NOON,)


def test_a_clock_that_was_far_ahead_does_not_silence_the_node() -> None:
    ahead = NOON + 3_000_000_000
    spans = cover(cover((), NOON, NOON + 300), ahead, ahead + 300)
    assert lost_before(((NOON, NOON + 300),), ahead, 300) == 9_999_999
    assert due_windows(spans, NOON + 601, NOON, 300) == (NOON + 300,)


def test_what_is_told_side_by_side_becomes_one_span() -> None:
    assert cover(((0, 300),), 900, 1200) == ((0, 300), (900, 1200))
    assert cover(((900, 1200),), 300, 600) == ((300, 600), (900, 1200))
    assert cover(((900, 1200), (300, 600)), 600, 900) == ((300, 1200),)
    assert lost_before(((900, 1200),), 300, 300) == 0


def test_another_window_length_never_tells_a_time_twice() -> None:
    assert due_windows(((0, NOON + 300),), NOON + 661, NOON, 60) == tuple(range(NOON + 300, NOON + 660, 60))
    assert due_windows(((0, NOON + 300),), NOON + 661, NOON, 600) == ()


def test_before_1970_nothing_is_due() -> None:
    assert due_windows((), -5000.0, 0, 300) == ()


@given(
    st.lists(st.tuples(st.integers(-(10**6), 10**6), st.sampled_from([5, 60, 300])), max_size=60),
    st.integers(0, 2 * 10**6),
)
def test_no_moment_is_told_twice_whatever_the_clock_does(moves: list[tuple[int, int]], since: int) -> None:
    now = 2 * 10**6
    spans: tuple[tuple[int, int], ...] = ()
    told: list[tuple[int, int]] = []
    for step, seconds in moves:
        now = max(0, now + step)
        due = due_windows(spans, now, since, seconds)
        assert len(due) < 64
        for start in due:
            assert start + seconds < now
            assert not covers(told, start, start + seconds)
            told.append((start, start + seconds))
            spans = cover(spans, start, start + seconds)
            assert covers(spans, start, start + seconds)
        assert len(spans) <= SPANS_MAX
        assert all(first[1] < second[0] for first, second in itertools.pairwise(spans))

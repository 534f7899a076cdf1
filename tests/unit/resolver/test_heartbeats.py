"""Who drains for whom, and who stands still for too long: decided from lines alone."""

from __future__ import annotations

import mmap
from collections.abc import Iterable

import pytest

from resolver.heartbeats import LATE_MS, LINE_BYTES, Beat, Beats, Stalls, duty

NOW = 1_000_000


def beats(*late: tuple[int, int]) -> list[Beat]:
    """Of (number, milliseconds ago), each in a seat of its own."""
    return [Beat(seat, NOW - ago, number) for seat, (number, ago) in enumerate(late)]


def test_a_line_is_there_from_the_first_beat_until_who_sits_there_leaves() -> None:
    memory = memoryview(mmap.mmap(-1, 4096))
    own, other = Beats(memory, 3), Beats(memory, 3)
    assert own.read() == []
    own.beat(2, 1, NOW)
    other.beat(0, 0, NOW + 5)
    assert other.read() == own.read() == [Beat(0, NOW + 5, 0), Beat(2, NOW, 1)]
    own.leave(2)
    assert other.read() == [Beat(0, NOW + 5, 0)]
    assert not any(memory[3 * LINE_BYTES :])


@pytest.mark.parametrize(
    ("late", "number", "wanted"),
    [
        # Nobody is late.
        ([(0, 0), (1, LATE_MS), (2, 10)], 1, set()),
        # The one that comes next drains, nobody else.
        ([(0, LATE_MS + 1), (1, 0), (2, 0)], 1, {0}),
        ([(0, LATE_MS + 1), (1, 0), (2, 0)], 2, set()),
        ([(0, 0), (1, 0), (2, 900)], 0, {2}),
        # Of several in a row, all; of one that never came, too.
        ([(0, 900), (2, 0)], 2, {0, 1}),
        ([(2, 0)], 2, {0, 1}),
        # Two serve one number while it is replaced: one that goes on is enough.
        ([(0, 900), (1, 0), (0, 0)], 1, set()),
        # Whoever asks goes on, whatever its line says.
        ([(0, 900), (1, 900), (2, 900)], 1, {0, 2}),
    ],
)
def test_who_comes_next_drains_for_those_that_stand_still(
    late: list[tuple[int, int]], number: int, wanted: set[int]
) -> None:
    assert duty(beats(*late), number, 3, NOW) == wanted


def test_one_alone_drains_for_nobody() -> None:
    assert duty([], 0, 1, NOW) == frozenset()


def test_for_each_that_stands_still_one_drains() -> None:
    for state in range(1, 1 << 5):
        late = beats(*((number, 0 if state >> number & 1 else 900) for number in range(5)))
        going = [number for number in range(5) if state >> number & 1]
        drained = [other for number in going for other in duty(late, number, 5, NOW)]
        assert sorted(drained) == [number for number in range(5) if number not in going]


STEP = 100
LIMIT = 1000


def looks(stalls: Stalls, times: Iterable[int], at: int) -> list[int]:
    return [time for time in times if stalls.look([Beat(4, at, 0)], time, LIMIT) == [4]]


def test_who_stands_still_beyond_the_limit_is_named() -> None:
    stalls = Stalls(STEP)
    assert looks(stalls, range(NOW, NOW + LIMIT, STEP), NOW) == []
    assert looks(stalls, [NOW + LIMIT], NOW) == [NOW + LIMIT]
    # It went on after all.
    assert looks(stalls, [NOW + LIMIT + STEP], NOW + LIMIT + 1) == []


def test_a_pause_of_the_watcher_is_nobodys_fault() -> None:
    stalls = Stalls(STEP)
    assert stalls.look([Beat(4, NOW, 0)], NOW, LIMIT) == []
    # An hour in which nothing ran here: it counts as two steps.
    late = NOW + 3_600_000
    assert looks(stalls, range(late, late + LIMIT - 2 * STEP, STEP), NOW) == []


def test_who_left_is_forgotten() -> None:
    stalls = Stalls(STEP)
    assert looks(stalls, range(NOW, NOW + LIMIT, STEP), NOW) == []
    assert stalls.look([], NOW + LIMIT, LIMIT) == []
    assert looks(stalls, [NOW + LIMIT + STEP], NOW) == []

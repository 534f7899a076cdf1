from __future__ import annotations

import ctypes
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lachan import clock
from lachan.clock import Discipline, Reading, StepDetector

SECOND = 1_000_000_000


def at(wall: float, boot: float, width: int = 0) -> Reading:
    return Reading(round(wall * SECOND), round(boot * SECOND), width)


def test_the_kernel_answers() -> None:
    state = clock.discipline()
    assert isinstance(state.synchronised, bool)
    assert state.max_error_us >= 0


def test_the_structure_has_the_kernels_size() -> None:
    # 208 bytes on 64-bit Linux: a shorter one would let the kernel write past its end.
    assert ctypes.sizeof(ctypes.c_long) != 8 or ctypes.sizeof(clock._Timex) == 208


def test_a_kernel_that_may_not_answer_leaves_a_clock_that_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        @staticmethod
        def adjtimex(_: object) -> int:
            return -1

    monkeypatch.setattr(clock, "_libc", Refusing())
    assert clock.discipline() == Discipline(synchronised=False, max_error_us=clock.UNKNOWN_ERROR_US)


@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [
        (0, 0x2001, Discipline(True, 7)),
        (0, 0x0040, Discipline(False, 7)),
        (5, 0x0000, Discipline(False, 7)),
        (1, 0x0001, Discipline(True, 7)),
    ],
)
def test_both_signs_of_an_undisciplined_clock_count(state: int, status: int, expected: Discipline) -> None:
    assert clock.interpret(state, status, 7) == expected


def test_a_reading_holds_both_clocks() -> None:
    reading = clock.read()
    assert abs(reading.wall - time.time_ns()) < 10 * SECOND
    assert 0 <= reading.width < 10 * SECOND
    assert reading.boot > 0


def test_time_passing_is_no_step() -> None:
    detector = StepDetector(at(1000, 10))
    assert detector.observe(at(1300.004, 310)) == 0
    assert detector.take() == 0


def test_steps_both_ways_add_up_and_are_taken_once() -> None:
    detector = StepDetector(at(1000, 10))
    assert detector.observe(at(1065, 15)) == 60_000
    assert detector.observe(at(1050, 20)) == -20_000
    assert detector.observe(at(1055, 25)) == 0
    assert detector.take() == 80_000
    assert detector.take() == 0


def test_a_slow_reading_is_no_step() -> None:
    detector = StepDetector(at(1000, 10))
    assert detector.observe(at(1005.2, 15, width=SECOND)) == 0


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(-(10**15), 10**15)), max_size=20))
def test_what_is_taken_is_the_sum_of_what_was_told(moves: list[tuple[int, int]]) -> None:
    wall, boot = 10**18, 0
    detector = StepDetector(Reading(wall, boot, 0))
    told = 0
    for passed, step in moves:
        boot += passed
        wall += passed + step
        told += abs(detector.observe(Reading(wall, boot, 0)))
    assert abs(detector.take() - told) <= len(moves)

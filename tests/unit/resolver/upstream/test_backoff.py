"""When a failing upstream is tried again."""

from __future__ import annotations

from resolver.upstream.backoff import FIRST_SECONDS, MOST_SECONDS, BackOff


def test_the_first_failure_costs_no_time_and_the_others_ever_more() -> None:
    back_off = BackOff()
    assert back_off.allows(0.0)
    back_off.failed(0.0)
    assert back_off.failing
    assert back_off.allows(0.0)
    back_off.failed(0.0)
    assert not back_off.allows(FIRST_SECONDS * 0.99)
    assert back_off.allows(FIRST_SECONDS)
    back_off.failed(0.0)
    assert not back_off.allows(FIRST_SECONDS)
    assert back_off.allows(2 * FIRST_SECONDS)


def test_there_is_a_most() -> None:
    back_off = BackOff()
    for _ in range(2000):
        back_off.failed(0.0)
    assert not back_off.allows(MOST_SECONDS - 0.01)
    assert back_off.allows(MOST_SECONDS)


def test_a_success_forgets_all_failures() -> None:
    back_off = BackOff()
    for _ in range(9):
        back_off.failed(0.0)
    back_off.succeeded()
    assert not back_off.failing
    assert back_off.allows(0.0)

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from compliance_api.domain.window import inside, owed

T0 = datetime(2025, 1, 1, tzinfo=UTC)


def minutes(*numbers: float) -> list[datetime]:
    return [T0 + timedelta(minutes=number) for number in numbers]


def test_only_whole_windows_between_the_two_moments_are_owed() -> None:
    found = owed(T0 + timedelta(seconds=30), T0 + timedelta(minutes=5, seconds=59), 60, minutes(1, 2, 4, 4))
    assert (found.expected, found.received) == (4, 3)
    assert found.missing == tuple(minutes(3))


def test_nothing_is_owed_before_the_beginning() -> None:
    assert owed(T0 + timedelta(hours=1), T0, 60, []).expected == 0


def test_a_moment_near_the_edge_lies_in_no_window_for_certain() -> None:
    assert inside(T0 + timedelta(seconds=30), T0, 60, 5)
    assert not inside(T0 + timedelta(seconds=4), T0, 60, 5)
    assert not inside(T0 + timedelta(seconds=55), T0, 60, 5)

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from compliance_api.domain.reports.window import Absence, inside, owed

T0 = datetime(2025, 1, 1, tzinfo=UTC)


def minutes(*numbers: float) -> list[datetime]:
    return [T0 + timedelta(minutes=number) for number in numbers]


def spans(*numbers: float, seconds: float = 60) -> list[tuple[datetime, datetime]]:
    return [(one, one + timedelta(seconds=seconds)) for one in minutes(*numbers)]


def test_only_whole_windows_between_the_two_moments_are_owed() -> None:
    found = owed(T0 + timedelta(seconds=30), T0 + timedelta(minutes=5, seconds=59), 60, spans(1, 2, 4, 4))
    assert (found.expected, found.received) == (4, 3)
    assert found.missing == tuple(minutes(3))


def test_a_window_is_told_where_reports_cover_all_of_it() -> None:
    ends = T0, T0 + timedelta(minutes=6)
    assert owed(*ends, 60, spans(0, 1, 2, seconds=1)).received == 0
    assert owed(*ends, 120, spans(0, 1, 2, 3, 5)).missing == tuple(minutes(4))
    assert owed(*ends, 60, spans(1, seconds=180)).missing == tuple(minutes(0, 4, 5))
    # In whatever order, and over one another.
    assert owed(*ends, 120, [*spans(1.5, 0.5), *spans(0, 2.5, 3)]).missing == tuple(minutes(4))


def test_nothing_is_owed_before_the_beginning() -> None:
    assert owed(T0 + timedelta(hours=1), T0, 60, []).expected == 0


def test_no_window_is_owed_that_ends_after_its_node_left_until_it_is_back() -> None:
    left, back = T0 + timedelta(minutes=2, seconds=30), T0 + timedelta(minutes=4, seconds=30)
    gone = owed(T0, T0 + timedelta(minutes=6), 60, spans(0), [Absence(left)])
    assert (gone.expected, gone.received, gone.missing) == (2, 1, tuple(minutes(1)))
    again = owed(T0, T0 + timedelta(minutes=6), 60, spans(0), [Absence(left, back)])
    assert (again.expected, again.missing) == (4, tuple(minutes(1, 4, 5)))
    # What was closed at the very moment could still be handed in.
    assert owed(T0, T0 + timedelta(minutes=6), 60, [], [Absence(T0 + timedelta(minutes=2))]).expected == 2
    # A machine that is enrolled anew takes over within one moment, and nothing is let off.
    anew = Absence(left, left + timedelta(microseconds=1))
    assert owed(T0, T0 + timedelta(minutes=6), 60, [], [anew]).expected == 6


def test_a_moment_near_the_edge_lies_in_no_window_for_certain() -> None:
    assert inside(T0 + timedelta(seconds=30), T0, 60, 5)
    assert not inside(T0 + timedelta(seconds=4), T0, 60, 5)
    assert not inside(T0 + timedelta(seconds=55), T0, 60, 5)

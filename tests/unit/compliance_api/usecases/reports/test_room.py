from __future__ import annotations

from contextlib import ExitStack

import pytest

from compliance_api.errors import BusyError
from compliance_api.usecases.reports.room import Capacity, Room

A, B = ("a", "e1"), ("b", "e1")


@pytest.mark.parametrize("second", [(9, 10), (1, 91)])
def test_what_is_in_hand_is_bounded_in_number_and_size(second: tuple[int, int]) -> None:
    room = Room(Capacity(reports=10, size=100))
    with room.hold(A, 2, 10):
        with pytest.raises(BusyError), room.hold(B, *second):
            pass
        with room.hold(B, 8, 90):
            assert (room.reports, room.size) == (10, 100)
    assert (room.reports, room.size) == (0, 0)


def test_a_node_takes_no_more_than_its_share() -> None:
    room = Room(Capacity(calls_of_a_node=2))
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(room.hold(A, 1, 1))
        with pytest.raises(BusyError, match="of this node"), room.hold(A, 1, 1):
            pass
        held.enter_context(room.hold(B, 1, 1))
    with room.hold(A, 1, 1):
        assert room.reports == 1


def test_one_call_is_let_into_an_empty_room_whatever_its_size() -> None:
    room = Room(Capacity(reports=1, size=1))
    with room.hold(A, 256, 4 << 20):
        assert room.reports == 256


def test_room_is_given_back_where_the_work_fails() -> None:
    room = Room(Capacity())
    with pytest.raises(ZeroDivisionError), room.hold(A, 3, 3):
        raise ZeroDivisionError
    assert (room.reports, room.size) == (0, 0)

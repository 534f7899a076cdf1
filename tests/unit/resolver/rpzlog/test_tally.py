"""What was counted, and how far: kept together, told once."""

from __future__ import annotations

from collections import Counter

import pytest

from resolver.counters import DEPTH
from resolver.rpzlog.follow import Place
from resolver.rpzlog.tally import Tally, TallyError, Window

NOW, SECONDS = 1_800_000_123, 300
START = NOW - NOW % SECONDS


def tally() -> Tally:
    return Tally(bytes(16), NOW)


def test_what_is_kept_is_what_was_counted() -> None:
    one = tally()
    one.place = Place(1, 2, 3, b"\n")
    one.count(NOW, (4, 1), NOW, SECONDS, ())
    one.count(NOW, (4, 1), NOW, SECONDS, ())
    one.count(NOW, None, NOW, SECONDS, ())
    one.note(NOW, SECONDS, (), gaps=1)
    one.answered_by(7, bytes(32), NOW)
    again = Tally.decode(one.encode())
    assert again == one
    assert again.counts(START, SECONDS).blocked == {(4, 1): 2}
    assert (again.windows[START].unknown, again.windows[START].gaps) == (1, 1)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"version": 2}', b'{"version": 1, "epoch": "x"}', b"\xff"])
def test_what_is_no_tally_is_refused(data: bytes) -> None:
    with pytest.raises(TallyError):
        Tally.decode(data)


def test_a_hit_of_a_window_that_was_told_is_late_and_counted_in_none() -> None:
    one = tally()
    spans = ((START - SECONDS, START),)
    one.count(START - 1, (4, 1), NOW, SECONDS, spans)
    assert (one.windows.keys(), one.windows[START].late) == ({START}, 1)
    assert not one.windows[START].blocked


@pytest.mark.parametrize("away", [-DEPTH * SECONDS, 2 * SECONDS, 10**9])
def test_windows_are_bounded_whatever_times_a_log_has(away: int) -> None:
    one = tally()
    one.count(NOW + away, (4, 1), NOW, SECONDS, ())
    assert one.windows.keys() == {START}
    assert one.windows[START].late == 1


def test_what_is_noticed_in_a_told_window_goes_to_the_next() -> None:
    one = tally()
    one.note(NOW, SECONDS, ((START, START + SECONDS),), malformed=1)
    assert one.windows.keys() == {START + SECONDS}


def test_what_was_seen_is_the_sum_of_all_windows_and_ends_with_the_process() -> None:
    one = tally()
    for at in (NOW, NOW - SECONDS, NOW - 10**9):
        one.count(at, (4, 1), NOW, SECONDS, ())
    one.count(NOW, None, NOW, SECONDS, ())
    one.note(NOW, SECONDS, (), malformed=2, gaps=1)
    seen = one.seen.copy()
    one.forget(((START - 600, START + 600),))
    one.count(NOW, (4, 1), NOW, SECONDS, ())
    assert seen == Window(Counter({(4, 1): 2}), unknown=1, malformed=2, late=1, gaps=1)
    assert one.seen.blocked[4, 1] == 3
    assert Tally.decode(one.encode()).seen == Window()


def test_told_windows_are_forgotten() -> None:
    one = tally()
    one.count(NOW, (4, 1), NOW, SECONDS, ())
    one.forget(((START - 600, START),))
    assert one.windows.keys() == {START}
    one.forget(((START, START + SECONDS),))
    assert not one.windows


def test_a_release_is_in_force_since_the_resolver_first_said_so() -> None:
    one = tally()
    one.answered_by(7, b"a", NOW)
    one.answered_by(7, b"a", NOW + 60)
    assert (one.serial_since, one.serial_asked_at) == (NOW, NOW + 60)
    one.answered_by(8, b"b", NOW + 120)
    assert (one.serial, one.records_digest, one.serial_since) == (8, b"b", NOW + 120)

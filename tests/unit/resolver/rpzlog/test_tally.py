"""What was counted, and how far: kept together, told once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from lachan.rulecounts import BEYOND, verify
from resolver.counters import DEPTH
from resolver.openings import HOUR, Openings
from resolver.rpzlog import tally as module
from resolver.rpzlog.follow import Place
from resolver.rpzlog.judging import Judged
from resolver.rpzlog.tally import Tally, TallyError, Window

NOW, SECONDS = 1_800_000_123, 300
START = NOW - NOW % SECONDS
HIT = Judged((4, 1), 0xAB)
THIS_HOUR = NOW - NOW % HOUR


def tally() -> Tally:
    return Tally(bytes(16), NOW)


def test_what_is_kept_is_what_was_counted() -> None:
    one = tally()
    one.place = Place(1, 2, 3, b"\n")
    one.count(NOW, HIT, NOW, SECONDS, ())
    one.count(NOW, HIT, NOW, SECONDS, ())
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
    one.count(START - 1, HIT, NOW, SECONDS, spans)
    assert (one.windows.keys(), one.windows[START].late) == ({START}, 1)
    assert not one.windows[START].blocked


@pytest.mark.parametrize("away", [-DEPTH * SECONDS, 2 * SECONDS, 10**9])
def test_windows_are_bounded_whatever_times_a_log_has(away: int) -> None:
    one = tally()
    one.count(NOW + away, HIT, NOW, SECONDS, ())
    assert one.windows.keys() == {START}
    assert one.windows[START].late == 1


def test_what_is_noticed_in_a_told_window_goes_to_the_next() -> None:
    one = tally()
    one.note(NOW, SECONDS, ((START, START + SECONDS),), malformed=1)
    assert one.windows.keys() == {START + SECONDS}


def test_what_was_seen_is_the_sum_of_all_windows_and_ends_with_the_process() -> None:
    one = tally()
    for at in (NOW, NOW - SECONDS, NOW - 10**9):
        one.count(at, HIT, NOW, SECONDS, ())
    one.count(NOW, None, NOW, SECONDS, ())
    one.note(NOW, SECONDS, (), malformed=2, gaps=1)
    seen = one.seen.copy()
    one.forget(((START - 600, START + 600),))
    one.count(NOW, HIT, NOW, SECONDS, ())
    assert seen == Window(Counter({(4, 1): 2}), unknown=1, malformed=2, late=1, gaps=1)
    assert one.seen.blocked[4, 1] == 3
    assert Tally.decode(one.encode()).seen == Window()


def test_told_windows_are_forgotten() -> None:
    one = tally()
    one.count(NOW, HIT, NOW, SECONDS, ())
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


def test_hits_are_counted_by_name_where_they_are_to_be_committed_to() -> None:
    one = tally()
    one.count(NOW, HIT, NOW, SECONDS, ())
    assert (one.rules, one.fold(THIS_HOUR)) == ({}, None)
    one.count_rules(THIS_HOUR - 1, wanted=True)
    one.count_rules(NOW, wanted=True)
    for _ in range(3):
        one.count(NOW, HIT, NOW, SECONDS, ())
    one.count(NOW, None, NOW, SECONDS, ())
    # What is late is in no report's window, and in no hour either.
    one.count(NOW - DEPTH * SECONDS, HIT, NOW, SECONDS, ())
    assert one.fold(THIS_HOUR) == {0xAB: 3}
    assert Tally.decode(one.encode()) == one
    # An hour that was begun without counting is nobody's to commit to.
    assert one.fold(THIS_HOUR - HOUR) is None
    one.forget_rules(THIS_HOUR + HOUR)
    assert one.rules == {}
    one.count_rules(NOW, wanted=False)
    assert (one.rules_since, one.fold(THIS_HOUR)) == (0, None)


def test_of_hours_with_a_gap_in_the_log_nothing_is_known() -> None:
    one = tally()
    one.count_rules(THIS_HOUR - 1, wanted=True)
    one.count(NOW, HIT, NOW, SECONDS, ())
    one.note(NOW, SECONDS, (), gaps=1)
    assert (one.fold(THIS_HOUR), one.rules) == (None, {})
    assert one.fold(THIS_HOUR + HOUR) == {}


def test_names_beyond_the_bound_stand_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RULES", 2)
    one = tally()
    one.count_rules(THIS_HOUR - 1, wanted=True)
    for name in (1, 2, 3, 4, 2):
        one.count(NOW, Judged((4, 1), name), NOW, SECONDS, ())
    assert one.fold(THIS_HOUR) == {1: 1, 2: 2, BEYOND: 2}


def test_what_was_kept_before_there_were_these_is_read() -> None:
    raw = json.loads(tally().encode())
    del raw["rules"], raw["rules_since"]
    assert Tally.decode(json.dumps(raw).encode()) == tally()


def test_an_hour_is_committed_to_and_opened_as_an_edge_does(tmp_path: Path) -> None:
    one = tally()
    one.count_rules(THIS_HOUR - 1, wanted=True)
    for _ in range(5):
        one.count(NOW, HIT, NOW, SECONDS, ())
    openings = Openings(tmp_path, one, 0, lambda: [0xAB, 0xCD])
    found = openings.root_before(THIS_HOUR + HOUR)
    assert found is not None
    hour, root = found
    one.forget_rules(THIS_HOUR + HOUR)
    # The agent was started anew since.
    again = Openings(tmp_path, one, 0, list)
    counted = again.commitment(hour)
    assert (hour, again.root_before(THIS_HOUR + HOUR)) == (THIS_HOUR, found)
    assert counted is not None
    assert verify(root, [0xAB, 0xCD, BEYOND], *counted.open([BEYOND, 0xAB, 0xCD])) == {0xAB: 5, 0xCD: 0, BEYOND: 0}

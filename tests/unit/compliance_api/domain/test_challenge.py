"""What is challenged, and what comes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from compliance_api.domain.challenge import (
    TIMES,
    Challenge,
    Opened,
    State,
    challengeable,
    draw_rules,
    hour_of,
    hours,
    outcome,
)
from compliance_api.domain.draws import derived
from compliance_api.domain.law import ChallengeDuty
from compliance_api.domain.sampling import ListedName
from compliance_api.domain.statistics.parameters import SlopeRule

AT = datetime(2026, 6, 1, 5, tzinfo=UTC)
SEED = bytes(32)
LISTED = [ListedName(f"n{n}.example", 4, "OR-1", 1, AT - timedelta(days=9), n + 1) for n in range(300)]


def challenge(count: int = 60) -> Challenge:
    rules = draw_rules(SEED, "edge-1", AT, LISTED, count)
    return Challenge("a", b"c" * 16, "edge-1", AT, AT, 1, rules, AT + timedelta(hours=25), AT + timedelta(hours=73))


def test_as_many_hours_are_drawn_as_the_day_needs_and_all_are_as_likely() -> None:
    duty = ChallengeDuty(pairs_a_day=120, pairs_an_hour=20)
    seen: Counter[tuple[str, int]] = Counter()
    times = 800
    for number in range(times):
        drawn = hours(derived(SEED, str(number)), ["e1", "e2"], duty)
        assert len(drawn) == 6
        seen.update(drawn)
    assert set(seen) == {(node, hour) for node in ("e1", "e2") for hour in range(24)}
    spread = 5 * (times / 8 * 7 / 8) ** 0.5
    assert all(abs(count - times / 8) < spread for count in seen.values())
    assert hours(SEED, ["e1"], ChallengeDuty(pairs_a_day=0)) == set()
    assert hours(SEED, [], duty) == set()
    assert len(hours(SEED, ["e1"], ChallengeDuty(pairs_a_day=10_000, pairs_an_hour=1))) == 24


def test_only_ordinary_entries_that_others_seldom_ask_are_challenged() -> None:
    strange = [
        replace(LISTED[0], qname="unknown.example", fingerprint=0),
        replace(LISTED[0], qname="abuse.example", category=1),
        replace(LISTED[0], qname="new.example", added_at=AT),
        replace(LISTED[0], qname="busy.example"),
    ]
    found = challengeable([*strange, *LISTED], frozenset({"busy.example"}), AT - timedelta(days=1))
    assert found == LISTED


def test_rules_are_repeated_from_the_seed_whatever_the_order_of_the_names() -> None:
    drawn = draw_rules(SEED, "edge-1", AT, LISTED, 40)
    assert drawn == draw_rules(SEED, "edge-1", AT, LISTED[::-1], 40)
    assert drawn != draw_rules(SEED, "edge-2", AT, LISTED, 40)
    assert drawn != draw_rules(SEED, "edge-1", AT + timedelta(hours=1), LISTED, 40)
    assert len({rule.qname for rule in drawn}) == 40
    assert {rule.times for rule in draw_rules(SEED, "edge-1", AT, LISTED, 300)} == set(TIMES)


def opened(state: State = State.OPENED, factor: int = 1, *, beyond: int = 0, lost: int = 0) -> Opened:
    one = challenge()
    answered = {rule.qname: rule.times for rule in one.rules if rule.times}
    reported: dict[str, int | None] = {
        rule.qname: factor * rule.times + number % 3 for number, rule in enumerate(one.rules)
    }
    for rule in one.rules[:lost]:
        reported[rule.qname] = None
    return Opened(one, state, reported if state is State.OPENED else {}, beyond, answered)


def test_honest_counters_are_never_accused_and_scaled_ones_are() -> None:
    honest = outcome("a", AT, AT, [opened(), opened()], SlopeRule())
    assert honest.slope is not None
    assert (honest.opened, honest.closed, honest.sums.n, honest.accuses) == (2, 0, 120, False)
    assert abs(float(honest.slope.beta) - 1) < 0.05
    assert outcome("a", AT, AT, [opened(factor=2)], SlopeRule()).accuses
    assert outcome("a", AT, AT, [opened(factor=0)], SlopeRule()).accuses
    few = outcome("a", AT, AT, [Opened(challenge(5), State.OPENED, {}, 0, {})], SlopeRule())
    assert (few.slope, few.accuses) == (None, False)


def test_what_was_not_opened_is_counted_and_says_nothing_of_the_slope() -> None:
    results = [opened(state) for state in State if state is not State.OPENED]
    found = outcome("a", AT, AT, results, SlopeRule())
    # What is only drawn may still be opened.
    assert (found.opened, found.refused, found.untrue, found.unanswered, found.sums.n) == (0, 1, 1, 1, 0)
    assert found.closed == 3


def test_a_rule_that_the_list_lacks_or_that_found_no_room_is_no_pair() -> None:
    gone = opened(lost=4)
    assert (gone.absent, len(gone.pairs())) == (4, 56)
    silent = opened(factor=0)
    crowded = replace(silent, beyond=7)
    zeros = sum(not count for count in silent.reported.values())
    assert len(silent.pairs()) - len(crowded.pairs()) == zeros > 0


def test_entries_that_others_ask_often_are_named() -> None:
    one = opened()
    often = one.challenge.rules[0].qname
    busy = replace(one, reported={**one.reported, often: one.answered.get(often, 0) + 11})
    assert busy.busy(10) == [often]
    assert one.busy(10) == []


def test_an_hour_is_of_utc() -> None:
    assert hour_of(datetime.fromisoformat("2026-06-01T12:34:56+07:00")) == AT


def test_what_a_node_is_asked_for_tells_neither_order_nor_times() -> None:
    one = challenge()
    assert list(one.fingerprints) == sorted(rule.fingerprint for rule in one.rules)

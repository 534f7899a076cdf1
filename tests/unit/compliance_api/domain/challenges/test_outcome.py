"""What the challenges of some days say together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from compliance_api.domain.challenges.challenge import Challenge, State, draw_rules
from compliance_api.domain.challenges.openness import Shut
from compliance_api.domain.challenges.outcome import Opened, outcome
from compliance_api.domain.drawing.sampling import ListedName
from compliance_api.domain.statistics.parameters import SlopeRule

AT = datetime(2026, 6, 1, 5, tzinfo=UTC)
SEED = bytes(32)
LISTED = [ListedName(f"n{n}.example", 4, "OR-1", 1, AT - timedelta(days=9), n + 1) for n in range(300)]


def challenge(count: int = 60) -> Challenge:
    rules = draw_rules(SEED, "edge-1", AT, LISTED, count)
    return Challenge("a", b"c" * 16, "edge-1", AT, AT, 1, rules, AT + timedelta(hours=25), AT + timedelta(hours=73))


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
    assert (len(honest.opened), honest.closed, honest.sums.n, honest.accuses) == (2, 0, 120, False)
    assert abs(float(honest.slope.beta) - 1) < 0.05
    assert outcome("a", AT, AT, [opened(factor=2)], SlopeRule()).accuses
    assert outcome("a", AT, AT, [opened(factor=0)], SlopeRule()).accuses
    few = outcome("a", AT, AT, [Opened(challenge(5), State.OPENED, {}, 0, {})], SlopeRule())
    assert (few.slope, few.accuses) == (None, False)


def test_what_was_not_opened_is_counted_and_says_nothing_of_the_slope() -> None:
    results = [opened(state) for state in State if state is not State.OPENED]
    found = outcome("a", AT, AT, results, SlopeRule())
    # What is only drawn may still be opened.
    assert set(found.states.values()) == {0, 1}
    assert (found.states[State.OPENED], found.closed, found.sums.n, found.complete) == (0, 4, 0, False)


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


def test_the_slope_is_looked_at_once_nothing_can_be_opened_any_more() -> None:
    drawn = opened(State.DRAWN)
    waiting = outcome("a", AT, AT, [opened(factor=2), drawn], SlopeRule())
    assert (waiting.complete, waiting.refuted, waiting.accuses) == (False, False, False)
    over = outcome("a", AT, AT, [opened(factor=2), replace(drawn, state=State.UNANSWERED)], SlopeRule())
    assert (over.complete, over.refuted, over.accuses) == (True, True, True)


def test_an_opening_that_its_own_commitment_refutes_accuses_while_others_are_waited_for() -> None:
    found = outcome("a", AT, AT, [opened(State.UNTRUE), opened(State.DRAWN)], SlopeRule())
    assert found.accuses
    assert [one.state for one in found.untrue] == [State.UNTRUE]
    # Who had committed to nothing has not lied about it.
    assert not outcome("a", AT, AT, [opened(State.UNCOMMITTED)], SlopeRule()).accuses


def test_more_cannot_be_opened_than_was_reported_for_all_rules() -> None:
    one = opened(beyond=5)
    assert one.counted == sum(count or 0 for count in one.reported.values()) + 5
    exact = replace(one, total=one.counted)
    short = replace(one, total=one.counted - 1)
    assert (one.above, exact.above, short.above, replace(short, state=State.UNTRUE).above) == (
        False,
        False,
        True,
        False,
    )
    assert not outcome("a", AT, AT, [short, short, exact], SlopeRule(), 3).accuses
    found = outcome("a", AT, AT, [short, short, short, exact], SlopeRule(), 3)
    assert found.accuses
    assert (found.above.counted, found.above.total) == (3 * one.counted, 3 * (one.counted - 1))


def test_a_node_that_stays_closed_accuses() -> None:
    assert outcome("a", AT, AT, [], SlopeRule(), 3, [Shut("edge-1", 5, (), 5)]).accuses

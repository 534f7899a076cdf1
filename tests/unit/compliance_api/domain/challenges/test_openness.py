"""Whether nodes open what they are asked to, day by day."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta

from compliance_api.domain.challenges.challenge import State
from compliance_api.domain.challenges.openness import Hour, shut
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.statistics.parameters import ProcessRule
from tests.support.cases import NOW

FIRST = LegalDay.of(NOW)
RULE = ProcessRule(accusation=240_000)
G, R, S, U, D = State.OPENED, State.REFUSED, State.UNANSWERED, State.UNCOMMITTED, State.DRAWN


def hours(days: Iterable[Iterable[State]], node: str = "edge-1") -> list[Hour]:
    return [
        Hour(bytes([number, place]), node, FIRST.after(number).start + timedelta(hours=4 * place), state, 20)
        for number, states in enumerate(days)
        for place, state in enumerate(states)
    ]


def accused(made: Iterable[Hour]) -> list[str]:
    return [one.node for one in shut(made, 0.25, RULE)]


def test_who_refuses_says_nothing_or_commits_to_nothing_is_accused_on_the_sixth_day() -> None:
    for state in (R, S, U):
        good = [[G] * 6] * 20
        assert accused(hours([*good, *([state] * 6 for _ in range(5))])) == []
        (found,) = shut(hours([*good, *([state] * 6 for _ in range(6))]), 0.25, RULE)
        assert (found.node, found.hours, len(found.closed), found.days) == ("edge-1", 156, 36, 6)
        assert {one.state for one in found.closed} == {state}


def test_outages_of_days_accuse_nobody() -> None:
    good, gone = [G] * 6, [S] * 6
    # A day, the three days of the longest shock that is reckoned with, and two such shocks in ten days.
    assert accused(hours([*([good] * 9), gone, *([good] * 9)])) == []
    year = [
        *([good] * 20),
        gone,
        gone,
        gone,
        *([good] * 4),
        gone,
        gone,
        gone,
        *([good] * 20),
        gone,
        gone,
        *([good] * 3),
    ]
    assert accused(hours(year)) == []
    # One hour of six is within what is tolerated on any day.
    assert accused(hours([[R, *([G] * 5)]] * 60)) == []
    # Two are not.
    assert accused(hours([[R, R, *([G] * 4)]] * 6)) == ["edge-1"]


def test_an_hour_that_may_still_be_opened_holds_up_its_day_and_those_after_it() -> None:
    assert accused(hours([[S] * 6] * 6)) == ["edge-1"]
    assert accused(hours([[S] * 6, [S] * 6, [D, *([S] * 5)], [S] * 6, [S] * 6, [S] * 6])) == []


def test_a_list_without_what_was_asked_is_closed() -> None:
    made = [
        Hour(bytes([number]), "edge-1", FIRST.after(number).start, G, rules, absent)
        for number, (rules, absent) in enumerate([(20, 20)] * 6)
    ]
    assert accused(made) == ["edge-1"]
    # A few may have been taken out meanwhile.
    assert accused([Hour(one.challenge_id, one.node, one.start, G, 20, 5) for one in made]) == []


def test_of_several_nodes_each_takes_more() -> None:
    others = [one for node in ("edge-2", "edge-3", "edge-4") for one in hours([[G] * 6] * 20, node)]
    assert accused([*others, *hours([[G]] * 14 + [[R]] * 6)]) == ["edge-1"]
    many = [one for number in range(40) for one in hours([[G]] * 20, f"node-{number}")]
    assert accused([*many, *hours([[G]] * 14 + [[R]] * 6)]) == []
    assert accused([*many, *hours([[G]] * 13 + [[R]] * 7)]) == ["edge-1"]


def test_days_that_were_paid_back_are_not_held_against_a_node_later() -> None:
    days = [[R], [R], *([[G]] * 10), *([[R]] * 6)]
    (found,) = shut(hours(days), 0.25, RULE)
    assert found.days == 6
    assert min(one.start for one in found.closed) == FIRST.after(12).start


def test_honest_nodes_with_as_many_outages_as_are_granted_are_hardly_ever_accused() -> None:
    rng = random.Random(3)
    found = 0
    for _ in range(600):
        days = [[S if rng.random() < RULE.honest else G] for _ in range(90)]
        found += bool(accused(hours(days)))
    # Expected: less than 600 * 1.25 / 240,000.
    assert found == 0


def test_nothing_challenged_is_nothing_said() -> None:
    assert accused([]) == []

"""What challenges say, summed up again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from compliance_api.domain.challenges.challenge import Challenge, State
from compliance_api.domain.challenges.openness import Hour
from compliance_api.domain.challenges.outcome import ChallengeOutcome, Opened
from compliance_api.domain.law.law import Law
from compliance_api.domain.law.law_history import LawHistory, content, read
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Registry,
)
from compliance_api.usecases.challenges.outcome import Summary
from tests.support.cases import NOW, law

NAME = Label("x", "x")
TODAY = LegalDay.of(NOW)
DUTY: dict[str, Any] = {"days": {"accusation": 8000}}


def registry() -> Registry:
    node = Node("edge-1", b"", (), frozenset({"hcm"}))
    operator = Organisation("a", OrganisationKind.OPERATOR, NAME, frozenset({"hcm"}), (node,))
    idle = Organisation("b", OrganisationKind.OPERATOR, NAME, frozenset({"hcm"}))
    return Registry((Jurisdiction("hcm", NAME),), (operator, idle))


class Laws:
    def __init__(self, *laws: Law) -> None:
        self._laws = laws

    async def history(self) -> LawHistory:
        return LawHistory(tuple(read(one.id, 1, one.effective_from, content(one)) for one in self._laws))


class Store:
    """Challenged hours, one a day, of as many days up to today."""

    def __init__(self, *states: State) -> None:
        self.asked: list[Opened] = []
        self.saved: list[ChallengeOutcome] = []
        self.expired: list[datetime] = []
        self.named = ["edge-1"]
        for back, state in enumerate(reversed(states)):
            hour = TODAY.after(-back).start + timedelta(hours=3)
            self.asked.append(
                Opened(Challenge("a", bytes([back]) * 16, "edge-1", hour, hour, 1, (), hour, hour), state)
            )

    async def expire(self, now: datetime) -> int:
        self.expired.append(now)
        return 0

    async def results(
        self, _operator: str, start: datetime, end: datetime, _explained: Callable[[int], int]
    ) -> list[Opened]:
        return [one for one in self.asked if start <= one.challenge.hour < end]

    async def hours(self, operator: str, nodes: Sequence[str], start: datetime, end: datetime) -> list[Hour]:
        assert (operator, nodes) == ("a", self.named)
        return [one.hour for one in self.asked if start <= one.challenge.hour < end]

    async def note(self, _operator: str, busy: Mapping[bytes, Sequence[str]]) -> None:
        assert all(not names for names in busy.values())

    async def save(self, found: ChallengeOutcome, _now: datetime) -> bool:
        self.saved.append(found)
        return True


async def summed(store: Store, *laws: Law) -> list[ChallengeOutcome]:
    found = await Summary(registry(), Laws(*laws), store, store).evaluate(NOW)
    assert store.expired == [NOW]
    assert found == store.saved[-1:]
    return store.saved


async def test_days_are_summed_up_until_each_of_their_hours_can_have_been_answered() -> None:
    found = await summed(Store(*[State.OPENED] * 20), law(burden=DUTY))
    # An hour at the end of a day is asked for a day later, and may be answered for two more.
    assert [one.end for one in found] == [TODAY.after(back).end for back in range(-4, 1)]
    assert {len(one.opened) for one in found} == {5}
    assert not any(one.accuses for one in found)


async def test_a_node_that_stays_closed_is_remembered_for_longer_than_the_slope_looks_back() -> None:
    refuses = [State.OPENED] * 10 + [State.REFUSED] * 8 + [State.OPENED] * 2
    found = await summed(Store(*refuses), law(burden=DUTY))
    assert [one.accuses for one in found] == [True] * 5
    assert [one.days for one in found[-1].shut] == [8]


async def test_another_law_on_counters_begins_anew_and_one_that_says_the_same_does_not() -> None:
    before = law(burden=DUTY, effective_until=TODAY.after(-3).start)
    refuses = [State.REFUSED] * 10
    same = law(id="law-2", burden=DUTY, period="2h", effective_from=TODAY.after(-3).start)
    assert [one.accuses for one in await summed(Store(*refuses), before, same)] == [True] * 5
    # Four days of the new law are not enough, whatever was before; days of before are judged as before.
    other = law(id="law-2", burden=DUTY, effective_from=TODAY.after(-3).start, challenges={"closed_tolerated": 0.2})
    found = await summed(Store(*refuses), before, other)
    assert [one.accuses for one in found] == [True, False, False, False, False]
    assert found[-1].start == TODAY.after(-3).start


async def test_without_a_law_or_a_challenge_nothing_is_said() -> None:
    assert await summed(Store(State.OPENED), law(effective_from=NOW + timedelta(days=1))) == []
    assert await summed(Store(), law()) == []


async def test_what_a_node_says_counts_in_its_places_and_in_no_other() -> None:
    places = ("hcm", "hn", "dn")
    nodes = tuple(
        Node(name, b"", (), frozenset(where))
        for name, where in (("south", {"hcm"}), ("north", {"hn"}), ("everywhere", {"hcm", "hn"}))
    )
    operator = Organisation("a", OrganisationKind.OPERATOR, NAME, frozenset(places), nodes)
    there = Registry(tuple(Jurisdiction(one, NAME) for one in places), (operator,))

    async def said(states: Mapping[str, State]) -> dict[str, tuple[int, bool]]:
        store = Store()
        hour = TODAY.after(-1).start
        store.asked = [
            Opened(Challenge("a", name.encode() * 2, name, hour, hour, 1, (), hour, hour), state)
            for name, state in states.items()
        ]
        store.named = [node.name for node in nodes]
        found = await Summary(there, Laws(law(jurisdictions=places)), store, store).evaluate(NOW)
        return {one.jurisdiction: (sum(one.states.values()), one.accuses) for one in found}

    opened = dict.fromkeys(("south", "north", "everywhere"), State.OPENED)
    assert await said(opened) == {"hcm": (2, False), "hn": (2, False)}
    assert await said({**opened, "north": State.UNTRUE}) == {"hcm": (2, False), "hn": (2, True)}
    assert await said({**opened, "everywhere": State.UNTRUE}) == {"hcm": (2, True), "hn": (2, True)}


async def test_a_node_that_stays_closed_is_accused_where_it_is() -> None:
    refuses = Store(*[State.REFUSED] * 20)
    nodes = (Node("edge-1", b"", (), frozenset({"hcm"})), Node("edge-2", b"", (), frozenset({"hn"})))
    operator = Organisation("a", OrganisationKind.OPERATOR, NAME, frozenset({"hcm", "hn"}), nodes)
    there = Registry((Jurisdiction("hcm", NAME), Jurisdiction("hn", NAME)), (operator,))
    refuses.named = ["edge-1", "edge-2"]
    for one in list(refuses.asked):
        refuses.asked.append(replace(one, challenge=replace(one.challenge, node="edge-2"), state=State.OPENED))
    found = await Summary(there, Laws(law(burden=DUTY)), refuses, refuses).evaluate(NOW)
    assert {one.jurisdiction: [shut.node for shut in one.shut] for one in found} == {"hcm": ["edge-1"], "hn": []}

"""Whom a challenge is drawn for, and which names it may ask; the rest of its road runs on a real database elsewhere."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from compliance_api.domain.challenges.challenge import Challenge
from compliance_api.domain.drawing.sampling import ListedName, Pool
from compliance_api.domain.law.law import LawBook
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Registry,
)
from compliance_api.usecases.challenges.challenge import Challenger
from tests.support.cases import NOW, TEXT

NAME = Label("x", "x")
NODE = Node("edge-1", b"k" * 32, (), frozenset({"hcm"}), clients=20_000)
LAW = {
    "id": "x",
    "effective_from": datetime(2020, 1, 1, tzinfo=NOW.tzinfo),
    "authority": TEXT,
    "default_citation": TEXT,
    # Every hour of every large node.
    "challenges": {"pairs_a_day": 10_000, "pairs_an_hour": 4},
}
POOL = Pool(
    7,
    tuple(
        ListedName(f"n{number}.example", 4, "OR-1", 7, NOW - timedelta(days=30), number + 1, unfit=number == 3)
        for number in range(4)
    ),
    (),
)


class Memory:
    """What the use case asks of its store."""

    def __init__(self, loads: Mapping[str, int]) -> None:
        self._loads = loads
        self.drawn: list[tuple[Challenge, Sequence[ListedName]]] = []

    async def loads(self, operator: str, since: datetime) -> Mapping[str, int]:
        assert (operator, since) == ("a", NOW - timedelta(days=1))
        return self._loads

    async def is_drawn(self, _operator: str, node: str, hour: datetime) -> bool:
        return any((one.node, one.hour) == (node, hour) for one, _ in self.drawn)

    async def busy(self, _operator: str, _since: datetime) -> frozenset[str]:
        return frozenset()

    async def add(self, challenge: Challenge, names: Sequence[ListedName]) -> None:
        self.drawn.append((challenge, names))


class Seeds:
    async def seed(self, operator: str, purpose: str, day: date) -> bytes:
        return f"{operator}/{purpose}/{day}".encode()


class Names:
    async def pool(self, *_: object) -> Pool:
        return POOL


async def drawn(loads: Mapping[str, int], *nodes: Node) -> dict[str, set[str]]:
    """By challenged node, the names that it may be asked for."""
    operator = Organisation("a", OrganisationKind.OPERATOR, NAME, frozenset({"hcm"}), nodes)
    registry = Registry((Jurisdiction("hcm", NAME),), (operator,))
    store: Any = Memory(loads)
    names: Any = Names()
    laws = LawBook.model_validate({"laws": [LAW]})
    challenger = Challenger(registry, laws, store, Seeds(), names, random.Random(1).randbytes)
    assert await challenger.draw(NOW) == len(store.drawn)
    assert await challenger.draw(NOW) == 0
    for challenge, known in store.drawn:
        # What it was drawn from is kept beside it, and is all that it could be drawn from.
        assert {rule.qname for rule in challenge.rules} == {one.qname for one in known}
    return {challenge.node: {one.qname for one in known} for challenge, known in store.drawn}


async def test_what_no_zone_has_room_for_is_asked_of_those_alone_who_measure_queries() -> None:
    everything = {one.qname for one in POOL.names}
    found = await drawn({"edge-1": 1}, NODE, replace(NODE, name="zone"))
    assert found == {"edge-1": everything, "zone": everything - {"n3.example"}}


@pytest.mark.parametrize(
    ("clients", "load", "challenged"),
    [
        (20_000, None, True),
        # By the register's word nobody is large, and no queries are known.
        (10_000, None, False),
        # 10,000 clients of 20,000 queries a day, and one more.
        (0, 200_000_000, False),
        (0, 200_020_000, True),
        (20_000, 1, True),
    ],
)
async def test_a_node_is_large_by_the_register_or_by_what_it_measured(
    clients: int, load: int | None, challenged: bool
) -> None:
    found = await drawn({"edge-1": load} if load is not None else {}, replace(NODE, clients=clients))
    assert bool(found) is challenged

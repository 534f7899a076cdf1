"""What goes with an assignment."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from compliance_api.domain.challenges.challenge import Challenge, Rule
from compliance_api.domain.observations import nonce
from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Probe,
    Registry,
)
from compliance_api.usecases.probing.extras import Extras, NonceZone, shown
from lachan.line import Line
from lachan.whoami import NONCE

AT = datetime(2026, 6, 1, 5, tzinfo=UTC)
NAME = Label("x", "x")
KEY = bytes(32)
RULES = tuple(Rule(f"n{times}.example", times, times, 4, "OR-1", 1, AT) for times in (0, 16, 32, 64))
CHALLENGE = Challenge("a", b"c" * 16, "e1", AT, AT, 1, RULES, AT, AT)


def probe(name: str, line: Line = Line.CONSUMER) -> Probe:
    return Probe(name, b"", name, name, "so", line)


def registry(count: int, own_name: str = "dns.a.test") -> Registry:
    places = frozenset({"hcm"})
    node = Node("e1", b"", (), places, own_name=own_name)
    watchers = tuple(probe(f"p{number}") for number in range(count))
    return Registry(
        (Jurisdiction("hcm", NAME),),
        (
            Organisation("a", OrganisationKind.OPERATOR, NAME, places, (node,)),
            Organisation("so", OrganisationKind.AUTHORITY, NAME, places, probes=watchers),
        ),
    )


class Live:
    def __init__(self, challenge: Challenge | None = CHALLENGE) -> None:
        self.challenge = challenge
        self.counts: Counter[str] = Counter()

    async def challenged(self, operator: str, node: str, hour: datetime) -> Challenge | None:
        return self.challenge if (operator, node, hour) == ("a", "e1", AT) else None

    async def given(self, operator: str, challenge_id: bytes) -> Mapping[str, int]:
        assert (operator, challenge_id) == ("a", b"c" * 16)
        return self.counts


def extras(live: Live, count: int = 4, zone: bool = True) -> Extras:
    nonces = NonceZone("n.authority.test", KEY) if zone else None
    return Extras(registry(count), live, nonces, random.Random(3).randbytes, (1, 28))


async def test_each_assignment_has_nonces_of_its_own() -> None:
    made = extras(Live(None))
    first = await made.questions("a", "e1", probe("p1"), AT, 60)
    second = await made.questions("a", "e1", probe("p1"), AT, 60)
    assert [one.arm for one in first] == [Arm.WHOAMI, Arm.EGRESS]
    who, egress = (one.qname for one in first)
    drawn, _, rest = who.partition(".")
    assert NONCE.fullmatch(drawn)
    assert rest == "whoami.dns.a.test"
    assert nonce.holds(KEY, egress.removesuffix(".n.authority.test"))
    assert not {one.qname for one in first} & {one.qname for one in second}
    unnamed = Extras(registry(1, own_name=""), Live(None), None, random.Random(3).randbytes)
    assert await unnamed.questions("a", "e1", probe("p1"), AT, 60) == ()


async def test_a_nonce_marks_a_line_so_few_ask_and_always_the_same() -> None:
    known = registry(10)

    async def asking(number: int, line: Line = Line.CONSUMER) -> set[str]:
        made = Extras(known, Live(None), NonceZone("n.authority.test", KEY), random.Random(3).randbytes, (1,), number)
        watchers = [replace(one, line=line) for one in known.organisations[1].probes]
        return {one.name for one in watchers if await made.questions("a", "e1", one, AT, 60)}

    four = await asking(4)
    assert (len(four), four) == (4, await asking(4))
    # At least half of them stay hidden, and whoever was shown before is shown still.
    assert len(await asking(100)) == 5
    assert four < await asking(100)
    assert await asking(0) == set()
    # The authority's own lines are known anyway.
    assert len(await asking(0, Line.AUTHORITY)) == 10


def test_lines_that_are_handed_resolvers_come_first_for_those_who_hand_them() -> None:
    known = registry(10)
    operator, authority = known.organisations
    customers = tuple(replace(one, operators=frozenset({"a"})) for one in authority.probes[:3])
    strangers = tuple(replace(one, operators=frozenset({"b"})) for one in authority.probes[3:5])
    lines = (*customers, *strangers, *authority.probes[5:])
    mixed = Registry(known.jurisdictions, (operator, replace(authority, probes=lines)))
    assert shown(mixed, "a", 3) == set(customers)
    assert not shown(mixed, "a", 100) & set(strangers)


async def test_a_challenge_is_spread_over_the_probes_and_asked_no_more_often_than_drawn() -> None:
    live = Live()
    made = extras(live)
    asked: Counter[str] = Counter()
    for number in range(6):
        given = [
            one.qname
            for one in await made.questions("a", "e1", probe(f"p{number}"), AT, 60)
            if one.arm is Arm.CHALLENGE
        ]
        assert max(Counter(given).values(), default=0) <= 16
        asked.update(given)
        live.counts.update(given)
    assert asked == {"n16.example": 16, "n32.example": 32, "n64.example": 64}


async def test_what_could_not_be_asked_within_the_hour_or_from_that_line_is_not_given_out() -> None:
    made = extras(Live(), zone=False)
    late = AT + timedelta(minutes=50)

    async def challenged(line: Line, now: datetime, spread: float) -> bool:
        found = await made.questions("a", "e1", replace(probe("p"), line=line), now, spread)
        return any(one.arm is Arm.CHALLENGE for one in found)

    assert await challenged(Line.CONSUMER, late, 600)
    assert not await challenged(Line.CONSUMER, late, 601)
    assert not await challenged(Line.SCHOOL, AT, 60)
    assert not await challenged(Line.CONSUMER, AT + timedelta(hours=1), 60)

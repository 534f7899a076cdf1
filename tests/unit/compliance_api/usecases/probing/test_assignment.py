from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from compliance_api.domain.drawing.sampling import Inputs, ListedName, Pool, Unsettled
from compliance_api.domain.law.law import LawBook
from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.parties.organisation import (
    Endpoint,
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Probe,
    Registry,
    Transport,
)
from compliance_api.errors import NotPermittedError
from compliance_api.usecases.probing.assignment import Assigner, Assignment, Round, Wanted
from compliance_api.usecases.probing.plan import Plan, questions
from lachan.line import Line
from lachan.tls import Identity, Role
from tests.support.cases import NOW, TEXT

NAME = Label("x", "x")
RESOLVER = Endpoint("192.0.2.1", 53, Transport.UDP)
REFERENCE = Endpoint("192.0.2.9", 53, Transport.UDP)
SECOND = Endpoint("2001:db8::54", 853, Transport.DOT, "dns.example")
POOL = Pool(7, tuple(ListedName(f"n{n}.example", 1 + n % 3, "OR-1", 7, NOW) for n in range(30)), ())


def probe(name: str, line: Line = Line.CONSUMER, operators: frozenset[str] = frozenset()) -> Probe:
    return Probe(name, b"", name, name, "so", line, operators)


REGISTRY = Registry(
    (Jurisdiction("hcm", NAME),),
    (
        Organisation(
            "so",
            OrganisationKind.AUTHORITY,
            NAME,
            frozenset({"hcm"}),
            probes=(probe("p1"), probe("p2"), probe("school", Line.SCHOOL), probe("far", operators=frozenset({"b"}))),
        ),
        Organisation(
            "a", OrganisationKind.OPERATOR, NAME, frozenset({"hcm"}), (Node("e", b"", (RESOLVER,), frozenset({"hcm"})),)
        ),
    ),
)
LAWS = LawBook.model_validate(
    {
        "laws": [
            {
                "id": "x",
                "effective_from": datetime(2020, 1, 1, tzinfo=UTC),
                "authority": TEXT,
                "default_citation": TEXT,
            }
        ]
    }
)
PLAN = Plan(
    interval=60,
    listed=12,
    spread=30,
    expires=50,
    reference=REFERENCE,
    second_reference=SECOND,
    qtypes=(1,),
    controls=("c1.example", "c2.example"),
    neighbours=("neighbour.example",),
)


class Memory:
    """The store's rules in memory."""

    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.assignments: list[Assignment] = []
        self.kept: dict[tuple[str, int], bytes] = {}
        self.against = Unsettled()
        # None: nobody is to ask.
        self.measuring_nodes: set[str] | None = None
        # Drawn anew, one round in a hundred has none of a category that its test looks for.
        self.entropy = random.Random(1).randbytes

    async def has_round(self, operator: str, node: str, endpoint: Endpoint, number: int) -> bool:
        return any(
            (one.operator, one.node, one.endpoint, one.number) == (operator, node, endpoint, number)
            for one in self.rounds
        )

    async def add_round(self, one: Round) -> None:
        self.rounds.append(one)

    async def unsettled(self, _operator: str, _node: str, wanted: Wanted) -> Unsettled:
        self.wanted = wanted
        return self.against

    async def measuring(self, operator: str, nodes: Sequence[str]) -> frozenset[str]:
        assert (operator, self.measuring_nodes is not None) == ("a", True)
        return frozenset(self.measuring_nodes or ()) & frozenset(nodes)

    async def inputs(self, operator: str, number: int) -> bytes | None:
        return self.kept.get((operator, number))

    async def keep_inputs(self, operator: str, number: int, day: date, content: bytes) -> bytes:
        assert isinstance(day, date)
        return self.kept.setdefault((operator, number), content)

    async def asked(self, operator: str, since: datetime, names: Sequence[str]) -> frozenset[str]:
        drawn = [one for one in self.rounds if one.operator == operator and one.drawn_at >= since]
        held = {one.qname for each in drawn for one in each.questions}
        return frozenset(held & set(names))

    async def open_round(
        self, caller: Identity, operators: Sequence[str], handed: Sequence[str], now: datetime
    ) -> Round | None:
        given = {(one.round_id, one.probe) for one in self.assignments}
        for one in self.rounds:
            reached = one.operator in (operators if one.endpoint.address else handed)
            if reached and one.expires_at > now and (one.round_id, caller.name) not in given:
                return one
        return None

    async def add_assignment(self, assignment: Assignment) -> bool:
        self.assignments.append(assignment)
        return True


class Names:
    held = POOL

    async def pool(self, *_: object) -> Pool:
        return self.held


class Seeds:
    async def seed(self, operator: str, purpose: str, day: date) -> bytes:
        return f"{operator}/{purpose}/{day}".encode()


def assigner(store: Memory, registry: Registry = REGISTRY) -> Assigner:
    names: Any = Names()
    return Assigner(registry, LAWS, store, names, Seeds(), PLAN, store.entropy)


def caller(name: str, role: Role = Role.PROBE) -> Identity:
    return Identity("so", role, name)


async def test_a_round_is_drawn_once_an_interval() -> None:
    store = Memory()
    assert await assigner(store).draw_rounds(NOW) == 1
    assert await assigner(store).draw_rounds(NOW + timedelta(seconds=59)) == 0
    assert await assigner(store).draw_rounds(NOW + timedelta(seconds=60)) == 1
    (first, second) = store.rounds
    assert first.expires_at == NOW + timedelta(seconds=60)
    assert first.seed != second.seed
    assert [one.arm for one in first.questions].count(Arm.LISTED) == 12


async def test_probes_are_given_the_same_names_each_in_its_own_order() -> None:
    store = Memory()
    await assigner(store).draw_rounds(NOW)
    first = await assigner(store).take(caller("p1"), NOW)
    second = await assigner(store).take(caller("p2"), NOW)
    assert first is not None
    assert second is not None
    assert set(first.questions) == set(second.questions)
    assert first.questions != second.questions
    for work in (first, second):
        arms = [one.arm is not Arm.LISTED for one in work.questions]
        assert arms == sorted(arms), "listed names first"
        assert len(work.questions) == 15
        assert (work.endpoint, work.reference, work.second_reference) == (RESOLVER, REFERENCE, SECOND)
        assert work.assignment.expires_at == NOW + timedelta(seconds=50)
    assert await assigner(store).take(caller("p1"), NOW) is None


async def test_abuse_of_children_is_not_asked_about_from_a_school() -> None:
    store = Memory()
    await assigner(store).draw_rounds(NOW)
    work = await assigner(store).take(caller("school"), NOW)
    assert work is not None
    assert {one.category for one in work.questions} == {0, 3}
    assert {one.category for one in store.rounds[0].questions} == {0, 1, 2, 3}


async def test_a_probe_is_asked_only_about_operators_it_reaches() -> None:
    store = Memory()
    await assigner(store).draw_rounds(NOW)
    assert await assigner(store).take(caller("far"), NOW) is None


@pytest.mark.parametrize("who", [caller("unknown"), caller("p1", Role.NODE), Identity("a", Role.PROBE, "p1")])
async def test_only_known_probes_get_work(who: Identity) -> None:
    with pytest.raises(NotPermittedError):
        await assigner(Memory()).take(who, NOW)


async def test_resolvers_that_are_handed_out_are_asked_from_their_own_customers_lines_alone() -> None:
    store = Memory()
    handed = replace(REGISTRY.organisations[1].nodes[0], endpoints=(Endpoint("", 53, Transport.UDP),))
    lines = (probe("p1"), probe("customer", operators=frozenset({"a"})), probe("far", operators=frozenset({"b"})))
    registry = Registry(
        REGISTRY.jurisdictions,
        (replace(REGISTRY.organisations[0], probes=lines), replace(REGISTRY.organisations[1], nodes=(handed,))),
    )
    own = assigner(store, registry)
    await own.draw_rounds(NOW)
    taken = {one.name: await own.take(caller(one.name), NOW) for one in lines}
    assert [name for name, work in taken.items() if work is not None] == ["customer"]


async def test_every_resolver_is_asked_the_same_names_and_the_draw_is_repeatable() -> None:
    store = Memory()
    two = replace(REGISTRY.organisations[1].nodes[0], endpoints=(RESOLVER, replace(RESOLVER, transport=Transport.TCP)))
    operator = replace(REGISTRY.organisations[1], nodes=(two,))
    registry = Registry(REGISTRY.jurisdictions, (REGISTRY.organisations[0], operator))
    names: Any = Names()
    plan = replace(PLAN, aged=2, controls_asked=1, parents=3, qtypes=(1, 28, 65), dnssec_share=0.5)
    made = Assigner(registry, LAWS, store, names, Seeds(), plan, store.entropy)
    assert await made.draw_rounds(NOW) == 2
    udp, tcp = store.rounds
    assert [one.qname for one in udp.questions] == [one.qname for one in tcp.questions]
    assert [one.qtype for one in udp.questions] != [one.qtype for one in tcp.questions]
    assert [one.arm for one in udp.questions].count(Arm.CONTROL) == 2
    kept = Inputs.decode(store.kept["a", udp.number])
    for one in store.rounds:
        assert tuple(questions(plan, kept, one.seed, f"e/{one.endpoint}")) == one.questions
    # What was asked is not fresh: the next round asks others as long as there are any.
    assert await made.draw_rounds(NOW + timedelta(seconds=60)) == 2
    listed = [{one.qname for one in drawn.questions if one.arm is Arm.LISTED} for drawn in store.rounds]
    assert not listed[0] & listed[2]


async def test_what_no_zone_has_room_for_is_asked_of_those_alone_who_hold_the_list() -> None:
    store = Memory()
    own = REGISTRY.organisations[1].nodes[0]
    nodes = tuple(replace(own, name=name) for name in ("ours", "new", "zone"))
    registry = Registry(
        REGISTRY.jurisdictions, (REGISTRY.organisations[0], replace(REGISTRY.organisations[1], nodes=nodes))
    )
    # The new node has not told anything yet: it may go by a zone, too.
    store.measuring_nodes = {"ours"}
    names: Any = Names()
    long = [replace(one, qname=f"long{number}.example", unfit=True) for number, one in enumerate(POOL.names[:3])]
    names.held = replace(POOL, names=(*POOL.names[3:12], *long[:2]), young=(long[2],))
    made = Assigner(registry, LAWS, store, names, Seeds(), PLAN, store.entropy)
    assert await made.draw_rounds(NOW) == 3
    drawn = {one.node: {each.qname for each in one.questions} for one in store.rounds}
    assert drawn["ours"] - drawn["zone"] == drawn["ours"] - drawn["new"] == {"long0.example", "long1.example"}
    kept = Inputs.decode(store.kept["a", store.rounds[0].number])
    assert (kept.unfit, kept.zoned) == (("long0.example", "long1.example", "long2.example"), ("new", "zone"))
    for one in store.rounds:
        repeated = questions(PLAN, kept, one.seed, f"{one.node}/{one.endpoint}", kept.spared(one.node))
        assert tuple(repeated) == one.questions
    # One that times a release is not asked of them either.
    timed = replace(kept, young=(long[2],))
    for node, count in (("ours", 1), ("zone", 0)):
        found = [one.qname for one in questions(PLAN, timed, b"seed", node, timed.spared(node))]
        assert found.count("long2.example") == count


async def test_names_that_can_be_confirmed_in_an_open_day_are_asked_again() -> None:
    store = Memory()
    store.against = Unsettled((replace(POOL.names[0], qname="missed.example", types=(1,)),))
    made = assigner(store)
    await made.draw_rounds(NOW)
    (drawn,) = store.rounds
    assert [one.qname for one in drawn.questions if one.again] == ["missed.example"]
    # 12:00 UTC is 19:00 in Viet Nam: yesterday is closed, and what was seen six hours ago may be confirmed.
    assert store.wanted.since == NOW - timedelta(days=1)
    assert store.wanted.until == NOW - timedelta(hours=6) + timedelta(seconds=PLAN.spread)
    await made.draw_rounds(NOW + timedelta(hours=10))
    # At five in the morning yesterday is still open.
    assert store.wanted.since == NOW - timedelta(hours=19)

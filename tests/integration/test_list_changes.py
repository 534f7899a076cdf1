"""How names came and went on the list, on a real PostgreSQL: what is kept, and what it makes of what was seen."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.observations.removal import Removal
from compliance_api.domain.parties.organisation import Endpoint, Transport
from compliance_api.storage.judging.tallies import Tallies
from compliance_api.storage.probing.assignments import Assignments
from compliance_api.storage.probing.listchanges import ListChangeStore
from compliance_api.storage.tables import ledger_leaves, observations
from compliance_api.usecases.judging.count import Place
from compliance_api.usecases.probing.assignment import Round, Wanted
from compliance_api.usecases.probing.question import Question
from tests.support.cases import NOW, law

PLACE = Place("a", "hcm", ("edge-1",))
DAY = law().day.of(NOW).after(-3)
OUT = DAY.start + timedelta(seconds=30)


def removal(name: str, serial: int = 5, at: datetime = OUT, **more: Any) -> Removal:
    return Removal(name, serial, at, 1, 3, "OR-1", **{"free": True, **more})


async def observe(engine: AsyncEngine, number: int, name: str, arm: Arm, seconds: float, **more: Any) -> None:
    """Something that was asked on the day."""
    words = "probe_organisation probe vantage_point access_network custodian endpoint order_reference"
    values = {
        **dict.fromkeys(words.split(), "x"),
        "operator_id": "a", "assignment_id": bytes([number]) * 16, "question": 0, "node": "edge-1", "qname": name,
        "asked_at": DAY.start + timedelta(seconds=seconds), "received_at": NOW, "qtype": 1, "arm": arm, "category": 3,
        "added_serial": 1, "added_at": DAY.start - timedelta(days=9), "result": "not_blocked", "shape": "answer",
        "reference_alive": True, "digest": b"d", "observation": b"o", "signature": b"s", "key_id": b"k", **more,
    }  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(insert(observations).values(values))


async def test_what_was_heard_first_stands_and_is_in_the_ledger(engine: AsyncEngine) -> None:
    store = ListChangeStore(engine)
    assert await store.last() == 0
    await store.save([], NOW)
    first = [removal("b.example"), removal("a.example", free=False)]
    await store.save(first, NOW)
    await store.save([*first, removal("a.example")], NOW + timedelta(days=1))
    await store.save([removal("a.example", 7, OUT + timedelta(seconds=9), control=True)], NOW)
    assert await store.last() == 7
    found = await store.free(OUT, 10)
    assert [(one.qname, one.serial, one.control) for one in found] == [("a.example", 7, True), ("b.example", 5, False)]
    # Of too many, the authority's own come first.
    assert [one.qname for one in await store.free(OUT, 1)] == ["a.example"]
    assert await store.free(OUT + timedelta(seconds=10), 10) == []
    wanted = select(ledger_leaves.c.subject, ledger_leaves.c.content).order_by(ledger_leaves.c.log_index)
    async with engine.connect() as connection:
        leaves = (await connection.execute(wanted)).all()
    assert [row.subject for row in leaves] == ["removals/5", "removals/7"]
    assert b"example" not in b"".join(row.content for row in leaves)


async def test_a_sighting_stands_in_the_arm_that_its_name_was_in(engine: AsyncEngine) -> None:
    store, tallies = ListChangeStore(engine), Tallies(engine)
    for number, (name, arm, seconds) in enumerate(
        (
            ("a.example", Arm.LISTED, 10),
            ("a.example", Arm.LISTED, 40),
            ("kept.example", Arm.LISTED, 41),
            ("control.example", Arm.CONTROL, 42),
            ("control.example", Arm.CONTROL, 20),
        ),
        1,
    ):
        await observe(engine, number, name, arm, seconds)
    assert await tallies.seen(PLACE, [DAY], 60, NOW) == {DAY.number: 5}
    await store.save([removal("a.example")], NOW)
    await store.note_listed({"control.example": OUT}, NOW)
    await store.note_listed({"control.example": OUT}, NOW + timedelta(days=1))
    await store.note_listed({}, NOW)
    seen = await tallies.evidence(PLACE, DAY.start, DAY.end, NOW)
    assert [(one.qname, one.arm, one.removed_serial) for one in seen] == [
        ("a.example", Arm.LISTED, 0),
        ("control.example", Arm.CONTROL, 0),
        ("a.example", Arm.RELEASED, 5),
        ("kept.example", Arm.LISTED, 0),
    ]
    # A day is counted anew where what is heard concerns what was asked on it afterwards, and nowhere else.
    assert await tallies.seen(PLACE, [DAY], 60, NOW) == {DAY.number: 7}
    # What was heard later was not known then.
    await store.save([removal("kept.example")], NOW + timedelta(days=1))
    assert await tallies.seen(PLACE, [DAY], 60, NOW) == {DAY.number: 7}
    assert [one.arm for one in await tallies.evidence(PLACE, DAY.start, DAY.end, NOW)][-1] is Arm.LISTED
    assert await tallies.seen(PLACE, [DAY], 60, NOW + timedelta(days=1)) == {DAY.number: 8}


async def test_only_what_must_be_blocked_is_asked_again(engine: AsyncEngine) -> None:
    store, assignments = ListChangeStore(engine), Assignments(engine)
    await observe(engine, 1, "gone.example", Arm.LISTED, 1)
    await observe(engine, 2, "back.example", Arm.LISTED, 2, added_serial=6)
    await observe(engine, 3, "still.example", Arm.LISTED, 3)
    await observe(engine, 4, "dead.example", Arm.NEIGHBOUR, 4, reference_alive=False)
    await observe(engine, 5, "alive.example", Arm.NEIGHBOUR, 5, reference_alive=False)
    await observe(engine, 6, "alive.example", Arm.NEIGHBOUR, 6)
    await store.save([removal("gone.example"), removal("back.example")], NOW)
    wanted = Wanted(DAY.start, DAY.end, law().confirmation)
    found = await assignments.unsettled("a", "edge-1", wanted)
    assert [one.qname for one in (*found.firm, *found.loose)] == ["back.example", "still.example"]
    names = ["dead.example", "alive.example", "never.example"]
    assert await assignments.dead("a", DAY.start, names) == {"dead.example"}
    assert await assignments.dead("a", DAY.end, names) == frozenset()


async def test_what_was_asked_as_not_listed_is_remembered(engine: AsyncEngine) -> None:
    asked = (
        Question("c.example", 1, Arm.CONTROL),
        Question("l.example", 1, Arm.LISTED),
        Question("r.example", 1, Arm.RELEASED),
    )
    endpoint = Endpoint("192.0.2.1", 53, Transport.UDP)
    one = Round("a", b"r" * 16, "edge-1", endpoint, 7, b"seed", 1, NOW, NOW + timedelta(minutes=1), asked)
    await Assignments(engine).add_round(one)
    store = ListChangeStore(engine)
    assert await store.asked_unlisted(NOW, 10) == ["c.example", "r.example"]
    assert await store.asked_unlisted(NOW, 1) == ["c.example"]
    assert await store.asked_unlisted(NOW + timedelta(seconds=1), 10) == []

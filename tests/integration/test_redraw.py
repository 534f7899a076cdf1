"""A day's draw, made again from what the ledger committed to; and what somebody with the database does to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, delete, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.drawing.draws import derived
from compliance_api.domain.drawing.sampling import Inputs, ListedName, Pool
from compliance_api.domain.parties.organisation import Endpoint, Transport
from compliance_api.storage.probing.assignments import Assignments
from compliance_api.storage.probing.redraw import Redrawn, redraw
from compliance_api.storage.probing.seeds import Seeds
from compliance_api.storage.tables import assignments, draws, ledger_leaves, questions, rounds, seeds
from compliance_api.usecases.probing.assignment import PURPOSE, Assignment, Round
from compliance_api.usecases.probing.plan import Plan
from compliance_api.usecases.probing.plan import questions as drawn

DAY = datetime(2026, 11, 20, tzinfo=UTC)
NUMBER = int(DAY.timestamp() // 3600) + 7
RESOLVER = Endpoint("192.0.2.53", 53, Transport.UDP)
NAMES = tuple(
    ListedName(f"bad{number}.example", 3, "OR-1", 1, DAY - timedelta(days=30), number, "example")
    for number in range(50)
)
PLAN = Plan(3600, 10, 600, 3600, RESOLVER, RESOLVER, (1, 28), ("control.example",), ("near.example",))


async def given(engine: AsyncEngine) -> None:
    """A round as the service draws and gives it out."""
    store = Assignments(engine)
    day = await Seeds(engine).seed("a", PURPOSE, DAY.date())
    inputs = Inputs(Pool(1, NAMES, NAMES[:20], (), ()), (), (), ())
    kept = Inputs.decode(await store.keep_inputs("a", NUMBER, DAY.date(), inputs.encode()))
    seed = derived(day, str(NUMBER))
    asked = tuple(drawn(PLAN, kept, seed, f"edge-1/{RESOLVER}"))
    at = DAY + timedelta(hours=7)
    end = at + timedelta(hours=1)
    await store.add_round(Round("a", b"r" * 16, "edge-1", RESOLVER, NUMBER, seed, 1, at, end, asked))
    shares = tuple(range(0, len(asked), 2)), tuple(range(1, len(asked), 2))
    for name, share in zip(("p1", "p2"), shares, strict=True):
        await store.add_assignment(Assignment("a", name.encode() * 8, b"r" * 16, "so", name, at, end, share))


async def again(engine: AsyncEngine, plan: Plan = PLAN) -> Redrawn:
    (one,) = await redraw(engine, plan, "a", DAY.date())
    return one


async def test_what_was_drawn_is_drawn_again(engine: AsyncEngine) -> None:
    await given(engine)
    one = await again(engine)
    assert (one.node, one.number, one.assignments, one.wrong) == ("edge-1", NUMBER, 2, ())
    assert one.questions > PLAN.listed
    assert await redraw(engine, PLAN, "a", (DAY + timedelta(days=1)).date()) == []
    assert await redraw(engine, PLAN, "b", DAY.date()) == []


@pytest.mark.parametrize(
    ("table", "change", "wrong"),
    [
        (questions, {"qname": "chosen.example"}, ["drawn again", "assignment", "assignment"]),
        (seeds, {"seed": b"x" * 32}, ["day's seed is not what leaf"]),
        (rounds, {"seed": b"x" * 32}, ["does not follow from the day's", "drawn again"]),
        (assignments, {"positions": [0, 1]}, ["assignment", "assignment"]),
        (assignments, {"log_index": None}, ["is not in the ledger", "is not in the ledger"]),
        (assignments, {"log_index": 0}, ["in front of what it was drawn by", "is not what leaf", "in front", "is not"]),
    ],
)
async def test_what_somebody_chose_is_named(
    engine: AsyncEngine, table: Table, change: dict[str, Any], wrong: list[str]
) -> None:
    await given(engine)
    async with engine.begin() as connection:
        which = table.c.position == 0 if table is questions else table.c.operator_id == "a"
        if table is assignments and "positions" in change:
            change = {**change, "questions": 2}
        await connection.execute(update(table).where(which).values(change))
    found = (await again(engine)).wrong
    kinds = {expected for expected in wrong if any(expected in one for one in found)}
    assert kinds == set(wrong), found


async def test_what_is_not_kept_any_more_is_said(engine: AsyncEngine) -> None:
    await given(engine)
    async with engine.begin() as connection:
        await connection.execute(delete(draws))
        assert (await connection.execute(select(ledger_leaves.c.log_index))).all()
    assert (await again(engine)).wrong == ("what it was drawn from is not kept any more: it cannot be drawn again",)

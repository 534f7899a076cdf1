"""The ledger's store on a real PostgreSQL: no holes, no steps back, from however many processes."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.drawing.sampling import Release
from compliance_api.storage.ledger.entering import Citations
from compliance_api.storage.ledger.leaves import LedgerClockError, NewLeaf, append
from compliance_api.storage.probing.assignments import Releases
from compliance_api.storage.tables import ledger_leaves
from compliance_api.usecases.ledger.cite import Cited
from lachan.ledger.leaf import Kind, Opening


def law(number: int) -> NewLeaf:
    return NewLeaf(Kind.LAW, b'{"number":%d}' % number, f"law/{number}")


async def enter(engine: AsyncEngine, leaves: list[NewLeaf]) -> int:
    async with engine.begin() as connection:
        return await append(connection, leaves)


async def test_many_who_append_at_once_leave_no_hole(engine: AsyncEngine) -> None:
    firsts = await asyncio.gather(*(enter(engine, [law(2 * one), law(2 * one + 1)]) for one in range(20)))
    assert sorted(firsts) == list(range(0, 40, 2))
    async with engine.connect() as connection:
        rows = (await connection.execute(select(ledger_leaves).order_by(ledger_leaves.c.log_index))).all()
    assert [row.log_index for row in rows] == list(range(40))
    assert [row.entered_at for row in rows] == sorted(row.entered_at for row in rows)
    assert len({row.salt for row in rows}) == 40
    for first, one in zip(firsts, range(20), strict=True):
        assert rows[first].subject == f"law/{2 * one}"
        assert rows[first + 1].content == b'{"number":%d}' % (2 * one + 1)
    for row in rows:
        Opening(row.salt, Kind(row.kind), row.entered_at, row.content).check(row.commitment)


async def test_what_is_rolled_back_leaves_no_hole(engine: AsyncEngine) -> None:
    async with engine.connect() as connection, connection.begin() as transaction:
        assert await append(connection, [law(1)]) == 0
        await transaction.rollback()
    assert await enter(engine, [law(2)]) == 0


async def test_reports_have_their_bytes_in_a_table_of_their_own(engine: AsyncEngine) -> None:
    await enter(engine, [NewLeaf(Kind.REPORT, b"signed", "a/edge-1")])
    async with engine.connect() as connection:
        row = (await connection.execute(select(ledger_leaves))).one()
    assert row.content is None
    Opening(row.salt, Kind.REPORT, row.entered_at, b"signed").check(row.commitment)


async def test_what_the_list_authority_tells_is_entered_once(engine: AsyncEngine) -> None:
    first = Release(7, b"d" * 32, datetime(2026, 1, 2, tzinfo=UTC), 5, urgent=False)
    for _ in range(2):
        await asyncio.gather(*(Releases(engine).save([first], first.published_at) for _ in range(3)))
    order = Cited(Kind.ORDER, "order/1", {"issuer": "Sở", "number": "1"})
    assert await Citations(engine).save([order]) == 1
    assert await Citations(engine).save([order]) == 0
    assert await Citations(engine).save([replace(order, told={"issuer": "another"})]) == 1
    async with engine.connect() as connection:
        rows = (await connection.execute(select(ledger_leaves).order_by(ledger_leaves.c.log_index))).all()
    assert [(row.kind, row.subject) for row in rows] == [
        ("release", "release/7"),
        ("order", "order/1"),
        ("order", "order/1"),
    ]
    assert json.loads(rows[0].content) == {
        "serial": 7,
        "records_digest": (b"d" * 32).hex(),
        "published_at": 1767312000,
        "entries": 5,
        "urgent": False,
    }
    assert rows[1].content == '{"issuer":"Sở","number":"1"}'.encode()


async def test_time_does_not_go_back_when_a_clock_does(engine: AsyncEngine) -> None:
    ahead = int(time.time()) + 30
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE log_position SET entered_at = :ahead"), {"ahead": ahead})
    await enter(engine, [law(1)])
    async with engine.connect() as connection:
        assert (await connection.execute(select(ledger_leaves.c.entered_at))).scalar_one() == ahead


async def test_nothing_is_entered_while_clocks_disagree(engine: AsyncEngine) -> None:
    with pytest.raises(LedgerClockError, match=r"more than 60 s apart"):
        async with engine.begin() as connection:
            await append(connection, [law(1)], clock=lambda: time.time() + 100)
    assert await enter(engine, [law(2)]) == 0

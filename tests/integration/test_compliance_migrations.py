"""Migrations run beside the release before: what it wrote before, during and after one is there, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import URL, Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.reports.chain import Link, Relation
from compliance_api.storage.migrate import migrate
from compliance_api.storage.reports.reports import Reports
from compliance_api.usecases.reports.claim import Claim
from compliance_api.usecases.reports.grouping import Call
from compliance_api.usecases.reports.standing import Logged
from lachan import postgres
from tests.support import schemas

EPOCH = b"e" * 16
# What release 0002 knew of a report, in its own words.
ADD = text(
    "INSERT INTO reports (operator_id, node, boot_epoch, sequence, digest, log_index, accepted_at, relation,"
    " window_start, window_seconds, list_serial, list_activated_at, queries, queries_measured, blocked, enforcing,"
    " report, signature, key_id) VALUES (:operator_id, 'edge-1', :epoch, :sequence, :digest, :log_index, now(),"
    " 'extends', :window, 300, 1, now(), 10, true, 3, true, 'r', 's', 'k')"
)
LOCK = text("SELECT sequence FROM chain_heads WHERE operator_id = :operator_id AND node = 'edge-1' FOR UPDATE")
POSITION = text("UPDATE log_position SET next_index = next_index + 1 RETURNING next_index - 1")
HEAD = text(
    "UPDATE chain_heads SET boot_epoch = :epoch, sequence = :sequence, digest = :digest, window_end = :window"
    " WHERE operator_id = :operator_id AND node = 'edge-1'"
)


def digest(sequence: int, salt: bytes = b"") -> bytes:
    return (sequence.to_bytes(8, "big") + salt).ljust(32, b"d")


@pytest.fixture
async def engine(url: URL) -> AsyncIterator[AsyncEngine]:
    made = postgres.engine(url, 10, "test")
    yield made
    await made.dispose()


async def test_every_release_can_write_and_read_by_its_own_columns_on_the_newest_schema(engine: AsyncEngine) -> None:
    known: dict[str, dict[str, list[schemas.OldColumn]]] = {}
    for revision in schemas.revisions():
        await schemas.upgrade(engine, revision)
        async with engine.connect() as connection:
            known[revision] = await connection.run_sync(schemas.columns)

    def write(connection: Connection) -> None:
        for number, (revision, tables) in enumerate(known.items()):
            for name, columns in tables.items():
                if name in {"log_position", "membership"}:
                    continue
                with connection.begin_nested() as one:
                    try:
                        schemas.write(connection, name, columns, number)
                    except Exception as error:
                        raise AssertionError(f"release {revision} cannot write {name}: {error}") from error
                    one.rollback()

    async with engine.connect() as connection:
        await connection.run_sync(write)


class Writer:
    """A process of release 0002 that adds reports, each in a transaction of its own."""

    def __init__(self, engine: AsyncEngine, operator: str) -> None:
        self._engine = engine
        self.operator = operator
        self.sequence = 0

    async def _add(self, connection: AsyncConnection, window: datetime) -> None:
        own: dict[str, Any] = {"operator_id": self.operator, "epoch": EPOCH}
        before = (await connection.execute(LOCK, own)).scalar_one() or 0
        own |= {"sequence": before + 1, "digest": digest(before + 1), "window": window}
        index = (await connection.execute(POSITION)).scalar_one()
        await connection.execute(ADD, {**own, "log_index": index})
        await connection.execute(HEAD, own)
        self.sequence = before + 1

    async def write(self, window: datetime) -> None:
        async with self._engine.begin() as connection:
            await self._add(connection, window)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.write(datetime.now(UTC) - timedelta(minutes=5 * self.sequence))


def claim(sequence: int, *, salt: bytes = b"") -> Claim:
    link = Link(EPOCH, b"", sequence, digest(sequence, salt), digest(sequence - 1), False, datetime.now(UTC), 300)
    return Claim(link, "", 1, schemas.T0, 10, True, 3, True, b"report", b"s", b"k" * 32)


async def take(store: Reports, claims: list[Claim]) -> list[Logged]:
    (stored,) = await store.write([Call("b", "edge-1", claims)], datetime.now(UTC))
    assert stored is not None
    return stored


async def test_reports_become_partitions_while_the_release_before_goes_on_adding(engine: AsyncEngine) -> None:
    await schemas.upgrade(engine, "0002")
    writers = [Writer(engine, name) for name in ("a", "b", "c")]
    async with engine.begin() as connection:
        for one in writers:
            await connection.execute(
                text("INSERT INTO chain_heads (operator_id, node, enrolled_at) VALUES (:name, 'edge-1', now())"),
                {"name": one.operator},
            )
    # Of a clock that is wrong by years, either way.
    await writers[0].write(datetime(1999, 1, 1, tzinfo=UTC))
    await writers[0].write(datetime(2090, 1, 1, tzinfo=UTC))
    stop = asyncio.Event()
    tasks = [asyncio.create_task(one.run(stop)) for one in writers]

    async def wrote(count: int) -> None:
        goal = [one.sequence + count for one in writers]
        while any(one.sequence < wanted for one, wanted in zip(writers, goal, strict=True)):
            assert not any(task.done() for task in tasks)
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await wrote(5)
        await migrate(engine)
        await wrote(5)
    stop.set()
    await asyncio.gather(*tasks)
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT log_index, tableoid::regclass::text FROM reports"))).all()
    assert sorted(row[0] for row in rows) == list(range(sum(one.sequence for one in writers)))
    # What was there is the first partition, and what came later lies in a week or, where its clock was wrong, beside.
    places = {row[1].rstrip("0123456789") for row in rows}
    assert places == {"reports_until", "reports_default"}

    # Numbers that the release before used are known to this one, whatever the head said of them.
    store, last = Reports(engine), writers[1].sequence
    logged = await take(store, [claim(last, salt=b"x"), claim(last + 1)])
    assert [one.relation for one in logged] == [Relation.EQUIVOCATION, Relation.EXTENDS]
    await writers[1].write(datetime.now(UTC))
    logged = await take(store, [claim(last + 2, salt=b"x"), claim(last + 3)])
    assert [one.relation for one in logged] == [Relation.EQUIVOCATION, Relation.EXTENDS]

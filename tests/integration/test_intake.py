"""Reports on their way into a real PostgreSQL: one that cannot go keeps none of the others, and calls have bounds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.reports.chain import Relation
from compliance_api.errors import InvalidRequestError
from compliance_api.storage.reports.reports import Reports
from compliance_api.usecases.reports.grouping import Call, Groups
from compliance_api.usecases.reports.standing import Logged
from lachan import postgres
from lachan.compliance.v1 import report_pb2
from lachan.compliance.v1 import report_service_pb2 as pb
from tests.support.cases import NOW
from tests.support.claims import chain, claim
from tests.support.compliance import Authority, NodeClient, Service, violated_fields

WINDOW = 1_800_000_000


@asynccontextmanager
async def held(engine: AsyncEngine, node: str) -> AsyncIterator[AsyncConnection]:
    """Somebody else at work on a node's chain."""
    async with engine.begin() as connection:
        await connection.execute(text("SELECT FROM chain_heads WHERE node = :node FOR UPDATE"), {"node": node})
        yield connection


async def test_a_chain_that_is_held_keeps_nobody_else_waiting(engine: AsyncEngine) -> None:
    groups = Groups(Reports(engine), lambda: NOW)
    first, second = chain(2)
    for node in ("slow", "quick"):
        # A node never heard of before begins with its first report.
        assert [one.relation for one in await groups.add(Call("a", node, [first]))] == [Relation.BEGINS]
    async with held(engine, "slow"):
        waiting = asyncio.create_task(groups.add(Call("a", "slow", [second])))
        for number in range(3):
            assert await groups.add(Call("a", f"other-{number}", [first]))
        assert await groups.add(Call("a", "quick", [second]))
        assert not waiting.done()
    assert [one.relation for one in await waiting] == [Relation.EXTENDS]


async def test_what_the_database_will_not_take_fails_alone(engine: AsyncEngine) -> None:
    groups = Groups(Reports(engine), lambda: NOW)
    # A count that fits no column, and a text that the server itself refuses.
    unfit, refused = replace(claim(1), queries=1 << 63), claim(1, flaw="a byte of nought: \0")
    calls = [Call("a", f"n{number}", [{4: unfit, 7: refused}.get(number, claim(1))]) for number in range(9)]
    # One alone first, so that the others make up a group.
    await groups.add(Call("a", "first", [claim(1)]))
    answers = await asyncio.gather(*(groups.add(call) for call in calls), return_exceptions=True)
    assert [number for number, one in enumerate(answers) if isinstance(one, InvalidRequestError)] == [4, 7]
    logged: list[Logged] = [one[0] for one in answers if not isinstance(one, BaseException)]
    assert sorted(one.index for one in logged) == list(range(1, 8)), "a refused one leaves no hole in the log"


async def test_rivals_that_come_to_several_processes_at_once_are_all_kept_and_one_is_first(
    engine: AsyncEngine,
) -> None:
    processes = [Groups(Reports(engine), lambda: NOW) for _ in range(4)]
    (first,) = chain(1)
    await processes[0].add(Call("a", "e1", [first]))
    rivals = [claim(2, first.link.digest, salt=bytes([number])) for number in range(4)]
    answers = await asyncio.gather(
        *(one.add(Call("a", "e1", [rival])) for one, rival in zip(processes, rivals, strict=True))
    )
    relations = sorted(str(one.relation) for answer in answers for one in answer)
    assert relations == ["equivocation"] * 3 + ["extends"]
    assert sorted(one.index for answer in answers for one in answer) == [1, 2, 3, 4]
    (won,) = [one for answer in answers for one in answer if one.relation is Relation.EXTENDS]
    # The chain goes on from whichever was first, and from no other.
    winner = next(rival for rival, answer in zip(rivals, answers, strict=True) if answer == [won])
    (after,) = await processes[1].add(Call("a", "e1", [claim(3, winner.link.digest)]))
    assert after.relation is Relation.EXTENDS


async def test_a_process_that_is_stopped_with_everybodys_lock_does_not_keep_it(url: URL, engine: AsyncEngine) -> None:
    groups = Groups(Reports(engine), lambda: NOW)
    stopped = postgres.engine(url, 1, "test", idle_seconds=1)
    connection = await stopped.connect()
    try:
        await connection.execute(text("SELECT next_index FROM log_position FOR UPDATE"))
        # It asks nothing more, and this ends all the same.
        assert await groups.add(Call("a", "e1", chain(2)))
        with pytest.raises(DBAPIError):
            await connection.execute(text("SELECT 1"))
    finally:
        await connection.invalidate()
        await connection.close()
        await stopped.dispose()


async def test_connections_that_were_cut_are_made_anew(engine: AsyncEngine) -> None:
    groups = Groups(Reports(engine), lambda: NOW)
    first, second = chain(2)
    await groups.add(Call("a", "e1", [first]))
    async with engine.connect() as connection:
        await connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                 " AND pid <> pg_backend_pid()")
        )  # fmt: skip
    assert [one.relation for one in await groups.add(Call("a", "e1", [second]))] == [Relation.EXTENDS]


def signed(node: NodeClient, number: int, **fields: object) -> report_pb2.SignedReport:
    return node.sign(node.report(WINDOW + 5 * number, **fields))


async def refused(node: NodeClient, *reports: report_pb2.SignedReport, seconds: float = 20.0) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await node.stub.SubmitReports(pb.SubmitReportsRequest(reports=reports), timeout=seconds)
    return error.value


def asks_to_come_again(error: grpc.aio.AioRpcError) -> bool:
    raw = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    return any(
        detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status_pb2.Status.FromString(raw).details
    )


async def test_a_call_has_bounds_and_says_which(url: URL, tmp_path: Path) -> None:
    settings = {
        "database": {"url": url.render_as_string(hide_password=False)},
        "console": None,
        "judge": {"interval": "1h"},
        "intake": {"calls_of_a_node": 2},
    }
    authority = Authority(tmp_path, settings=settings)
    service = Service(authority.configure(lists=1), tmp_path / "service.log")
    service.start()
    node = NodeClient(authority, "a", service.addresses["grpc"])
    database = postgres.engine(url, 2, "test")
    try:
        first, second = signed(node, 1), signed(node, 2)
        await node.submit(first)
        too_many = await refused(node, *[first] * 257)
        assert (too_many.code(), violated_fields(too_many)) == (grpc.StatusCode.INVALID_ARGUMENT, ["reports"])
        large = report_pb2.SignedReport(report=os.urandom((1 << 16) + 1))
        assert violated_fields(await refused(node, first, large)) == ["reports[1].report"]
        beyond = await refused(node, *[report_pb2.SignedReport(report=os.urandom(1 << 16))] * 70)
        assert beyond.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, "the channel's bound"
        async with held(database, "edge-1"):
            late = await refused(node, second, seconds=0.3)
            assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            calls = [asyncio.create_task(node.submit(second)) for _ in range(3)]
            (one_too_many,), waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            busy = one_too_many.exception()
            assert isinstance(busy, grpc.aio.AioRpcError)
            assert busy.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert asks_to_come_again(busy)
        answers = await asyncio.gather(*waiting)
        assert answers[0] == answers[1]
        assert service.stop() == 0
    finally:
        await database.dispose()
        await node.close()
        service.close()

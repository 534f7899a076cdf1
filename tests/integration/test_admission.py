"""Who may call a service of two processes, and how much: by authorities of one's own, and by one share of both."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from sqlalchemy import URL, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.parties.bucket import Allowance
from compliance_api.storage.membership.shares import AHEAD, ShareTable
from compliance_api.storage.tables import shares as shares_table
from compliance_api.usecases.membership.share import Drawn
from lachan import channel
from lachan.compliance.v1 import report_pb2
from lachan.compliance.v1 import report_service_pb2 as pb
from lachan.compliance.v1.report_service_pb2_grpc import ReportServiceStub
from lachan.tls import TlsMaterial
from tests.support import foreign
from tests.support.compliance import COMMAND, DEADLINE, Authority, NodeClient, Service

WINDOW = 1_800_000_000
CALLS = 30
B1 = "lachan://b/node/edge-1"


class Roots(Authority):
    """Three operators, of whom some have authorities of their own."""

    def __init__(self, folder: Path, settings: dict[str, Any], **roots: foreign.Party) -> None:
        self.roots = roots
        super().__init__(folder, settings=settings, operators=dict.fromkeys(("a", "b", "c"), ("edge-1",)))

    def registry(self) -> dict[str, Any]:
        told = super().registry()
        for one in told["organisations"]:
            if one["id"] in self.roots:
                (self.folder / f"{one['id']}.pem").write_bytes(self.roots[one["id"]].pem)
                one["roots"] = f"{one['id']}.pem"
        return told

    def apply(self, config: Path, **roots: foreign.Party) -> None:
        """Has the service's database take over what the file says from now on."""
        self.roots = roots
        file = self._write("organisations.yaml", self.registry())
        subprocess.run([*COMMAND, "organisation", "apply", str(file), "--config", str(config)], check=True)

    def of(self, leaf: foreign.Party) -> TlsMaterial:
        """A leaf from elsewhere, in the hand of somebody who trusts this authority's service."""
        return leaf.material(self.material("so/service/compliance").ca)


@contextmanager
def running(config: Path, count: int) -> Iterator[list[str]]:
    """So many processes of the service; where each answers."""
    services = [Service(config, config.parent / f"service-{number}.log") for number in range(count)]
    try:
        for one in services:
            one.start()
        yield [one.addresses["grpc"] for one in services]
    finally:
        for one in services:
            one.close()


@asynccontextmanager
async def line(target: str, material: TlsMaterial) -> AsyncIterator[ReportServiceStub]:
    opened = channel.connect(target, material, 500)
    try:
        yield ReportServiceStub(opened)
    finally:
        await opened.close()


async def told(stub: Any, report: report_pb2.SignedReport) -> grpc.StatusCode:
    try:
        await stub.SubmitReports(pb.SubmitReportsRequest(reports=[report]), timeout=DEADLINE, wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def authorities(place: Roots, config: Path, one: str, two: str, *roots: foreign.Party) -> None:
    """Each call is held against the authorities of its organisation, as they are then."""
    theirs, others = roots
    node = NodeClient(place, "b", one)
    # Signed by the node's own key, whoever brings it.
    report = node.sign(node.report(WINDOW))
    await node.close()
    own = place.of(theirs.leaf(B1))
    async with line(one, own) as mine, line(two, own) as beside:
        assert [await told(each, report) for each in (mine, beside)] == [grpc.StatusCode.OK] * 2
        for material in (place.of(others.leaf(B1)), place.material("b/node/edge-1")):
            # TLS lets in whom another organisation's authority vouches for, and whom ours does.
            async with line(two, material) as stranger:
                assert await told(stranger, report) is grpc.StatusCode.UNAUTHENTICATED
        later = foreign.root("later")
        place.apply(config, b=later, c=others)
        # On the connections that stand, in both processes.
        assert [await told(each, report) for each in (mine, beside)] == [grpc.StatusCode.UNAUTHENTICATED] * 2
    async with line(two, place.of(later.leaf(B1))) as renewed:
        assert await told(renewed, report) is grpc.StatusCode.OK
        place.apply(config, c=others)
        assert await told(renewed, report) is grpc.StatusCode.UNAUTHENTICATED
    async with line(one, place.material("b/node/edge-1")) as ours:
        assert await told(ours, report) is grpc.StatusCode.OK


async def granted(stub: Any, report: report_pb2.SignedReport, most: int) -> int:
    """How many calls of at most so many are granted before one is refused, which says when to come again."""
    for number in range(most):
        code = await told(stub, report)
        if code is not grpc.StatusCode.OK:
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            return number
    return most


async def shares(place: Roots, *targets: str) -> None:
    """What one grants the other grants no more, and another party does not notice."""
    nodes = [NodeClient(place, "a", target) for target in targets]
    other = NodeClient(place, "c", targets[0])
    report = nodes[0].sign(nodes[0].report(WINDOW))
    try:
        # Each has a part before either runs out.
        first = [await granted(node.stub, report, 5) for node in nodes]
        rest = [await granted(node.stub, report, 100) for node in nodes]
        assert first == [5, 5]
        assert sum(first + rest) == CALLS
        assert await granted(other.stub, other.sign(other.report(WINDOW)), 5) == 5
    finally:
        for node in (*nodes, other):
            await node.close()


async def test_two_processes_are_one_door(url: URL, tmp_path: Path) -> None:
    theirs, others = foreign.root("theirs"), foreign.root("others")
    share = {"calls_per_second": 0.001, "calls_burst": CALLS, "items_per_second": 1000, "items_burst": 20000}
    settings = {
        "database": {"url": url.render_as_string(hide_password=False)},
        "console": None,
        "judge": {"interval": "1h"},
        "limits": {"party": share},
    }
    place = Roots(tmp_path, settings, b=theirs)
    config = place.configure(lists=1)
    with running(config, 2) as targets:
        await shares(place, *targets)
        place.apply(config, b=theirs, c=others)
        await authorities(place, config, *targets, theirs, others)


async def test_a_share_is_one_row_that_grows_with_the_databases_time(engine: AsyncEngine) -> None:
    table, allowance = ShareTable(engine), Allowance(rate=0.002, burst=20)

    async def draw(need: float, wanted: float) -> Drawn:
        found = await table.draw("lachan://a/node/e1", "calls", allowance, need, wanted)
        return Drawn(round(found.amount), round(found.left))

    async def shift(seconds: int) -> None:
        async with engine.begin() as connection:
            await connection.execute(update(shares_table).values(at=func.now() + timedelta(seconds=seconds)))

    many = await asyncio.gather(*(draw(1, 2) for _ in range(10)))
    # Ten at once, and the first of them made the row.
    assert sum(one.amount for one in many) == 20
    await shift(3600)
    # A clock that was set back stops nobody for an hour.
    assert await draw(4, 4) == Drawn(0, 0)
    async with engine.connect() as connection:
        behind = (await connection.execute(select(shares_table.c.at - func.now()))).scalar_one()
    assert behind <= AHEAD
    await shift(-3000)
    assert await draw(4, 5) == Drawn(5, 1)
    await shift(-1_000_000)
    assert await draw(4, 5) == Drawn(5, 15)
    assert await table.draw("lachan://a/node/e1", "items", allowance, 4, 5) == Drawn(5, 15)

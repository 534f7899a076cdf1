"""The service as a process: real TLS, real PostgreSQL, synthetic nodes and probes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from lachan import channel, postgres
from lachan.compliance.v1 import report_pb2
from lachan.compliance.v1 import report_service_pb2 as pb
from lachan.compliance.v1.report_service_pb2_grpc import ReportServiceStub
from lachan.signing import SigningKey
from tests.support.compliance import (
    COMMAND,
    LAW,
    Authority,
    NodeClient,
    ProbeClient,
    Service,
    eventually,
    list_authority,
    violated_fields,
)


class World:
    """The service, and clients that are closed with it."""

    def __init__(self, authority: Authority, service: Service) -> None:
        self.authority = authority
        self.service = service
        self._open: list[Any] = []

    @property
    def target(self) -> str:
        return self.service.addresses["grpc"]

    def node(self, operator: str) -> NodeClient:
        self._open.append(NodeClient(self.authority, operator, self.target))
        return self._open[-1]

    def probe(self, name: str) -> ProbeClient:
        self._open.append(ProbeClient(self.authority, name, self.target))
        return self._open[-1]

    def channel(self, uri: str) -> grpc.aio.Channel:
        self._open.append(channel.connect(self.target, self.authority.material(uri), 500))
        return self._open[-1]

    async def verdicts(self) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            "verdicts",
            "--json",
            "--config",
            str(self.service.config),
            stdout=subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(out)["operators"]

    async def shown(self) -> dict[str, Any]:
        """The same from the console, which costs no process: while it is waited for, probes are to go on asking."""
        async with httpx.AsyncClient() as client:
            document = (await client.get(f"http://{self.service.addresses['console']}/api/v1/verdicts")).json()
        return {
            one["organisation"]: {
                "verdict": one["verdict"],
                "findings": sorted(finding["kind"] for finding in one["findings"]),
            }
            for one in document["operators"]
        }

    async def exported(self, since: str, until: str) -> tuple[list[dict[str, Any]], str]:
        """What was seen in days of UTC, as others publish it, and what is said of the rest."""
        words = ["observations", "export", "--since", since, "--until", until, "--config", str(self.service.config)]
        process = await asyncio.create_subprocess_exec(*COMMAND, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, told = await process.communicate()
        assert process.returncode == 0, told.decode()
        return [json.loads(line) for line in out.splitlines()], told.decode()

    async def until(self, operator: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async def check() -> dict[str, Any] | None:
            found = (await self.shown()).get(operator)
            return found if found and holds(found) else None

        return await eventually(check, f"the verdict on {operator}")

    async def metric(self, sample: str) -> float:
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://{self.service.addresses['metrics']}/metrics")).text
        line = next((one for one in text.splitlines() if one.startswith(sample + " ")), None)
        return float(line.rsplit(" ", 1)[1]) if line else 0.0

    async def close(self) -> None:
        for one in self._open:
            await one.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    authority = Authority(tmp_path)
    async with list_authority(authority) as lists:
        service = Service(authority.configure(lists), tmp_path / "service.log")
        try:
            service.start()
            world = World(authority, service)
            yield world
            await world.close()
            assert service.stop() == 0, service.log_path.read_text()
        finally:
            service.close()


def recent_windows(count: int) -> list[int]:
    """Starts of the last windows that are over."""
    last = int(time.time()) // 5 * 5
    return [last - 5 * number for number in range(count, 0, -1)]


async def test_an_honest_nodes_reports_are_acknowledged_once_and_again(world: World) -> None:
    node = world.node("a")
    signed = [node.sign(node.report(start)) for start in recent_windows(5)]
    receipts = await node.submit(*signed)
    assert await node.submit(*signed) == receipts
    indices = [report_pb2.Receipt.FromString(one.receipt).index for one in receipts]
    assert indices == list(range(indices[0], indices[0] + 5))
    assert await world.metric('lachan_compliance_reports_total{result="extends"}') == 4
    assert await world.metric('lachan_compliance_reports_total{result="begins"}') == 1
    assert await world.metric('lachan_compliance_reports_total{result="again"}') == 5


async def test_who_may_not_report_is_refused(world: World) -> None:
    node = world.node("a")
    report = node.sign(node.report(recent_windows(1)[0]))
    request = pb.SubmitReportsRequest(reports=[report])
    for uri in ("so/node/stranger", "b/node/edge-1", "so/probe/p1"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ReportServiceStub(world.channel(uri)).SubmitReports(request, timeout=20)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_field_out_of_bounds_is_named(world: World) -> None:
    node = world.node("a")
    start = recent_windows(1)[0]
    report = node.report(start + 1, boot_epoch=b"short")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await node.submit(node.sign(node.report(start)), node.sign(report))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(refused.value) == ["reports[1].report.boot_epoch", "reports[1].report.window_start"]


async def test_what_contradicts_itself_becomes_findings(world: World) -> None:
    node = world.node("b")
    windows = recent_windows(5)
    first = node.report(windows[0])
    rival = report_pb2.Report()
    rival.CopyFrom(first)
    rival.upstream_failures = 7
    forged = node.sign(node.report(windows[1]), SigningKey.generate())
    # The forged one is not part of the chain, so the next one names a digest that nobody knows.
    after = node.sign(node.report(windows[2]))
    receipts = await node.submit(node.sign(first), node.sign(rival), forged, after)
    assert len({one.receipt for one in receipts}) == 4
    expected = {"broken_chain", "equivocation", "bad_signature"}
    found = await world.until("b", lambda one: expected <= set(one["findings"]))
    assert found["verdict"] == "not_compliant"
    assert (await world.verdicts())["a"] == {"verdict": "not_enough_evidence", "findings": ["low_coverage"]}


async def test_claims_and_sightings_come_to_verdicts(world: World) -> None:
    honest, cheat = world.node("a"), world.node("b")
    eyes = [world.probe("p1"), world.probe("p2")]
    blocks = {"a": ("old", "new"), "b": ("old",)}

    async def round_of_work() -> None:
        for eye in eyes:
            while (assignment := await eye.take()) is not None:
                await eye.submit(eye.observe(assignment, blocks[assignment.organisation]))

    reported: set[int] = set()

    async def report_what_ended() -> None:
        for start in recent_windows(6):
            if start not in reported:
                reported.add(start)
                for node in (honest, cheat):
                    await node.submit(node.sign(node.report(start)))

    async def both() -> dict[str, Any] | None:
        await report_what_ended()
        await round_of_work()
        found = await world.shown()
        if not {"a", "b"} <= set(found):
            return None
        settled = found["a"]["verdict"] == "compliant" and "stale_list" in found["b"]["findings"]
        return found if settled else None

    found = await eventually(both, "both verdicts")
    assert found["a"] == {"verdict": "compliant", "findings": []}
    assert found["b"]["verdict"] == "not_compliant"
    assert {"stale_list", "under_blocking"} <= set(found["b"]["findings"])
    assert "over_blocking" not in found["b"]["findings"]
    async with httpx.AsyncClient() as client:
        page = await client.get(f"http://{world.service.addresses['console']}/")
        detail = await client.get(f"http://{world.service.addresses['console']}/operators/b")
    assert page.status_code == detail.status_code == 200
    assert "Operator a" in page.text

    async def shown() -> bool:
        return await world.metric('lachan_compliance_findings{kind="stale_list"}') == 1

    # Shown once everybody is judged; each verdict is there before.
    assert await eventually(shown, "the metric")


async def test_an_observation_is_taken_once_and_only_from_its_probe(world: World) -> None:
    mine, other = world.probe("p1"), world.probe("p2")
    assignment = await eventually(mine.take, "an assignment")
    arms = [question.arm for question in assignment.questions]
    assert arms == sorted(arms)
    assert arms.count(2) == 4
    signed = mine.observe(assignment, ("old", "new"))
    assert await mine.submit(signed) == len(signed)
    assert await mine.submit(signed) == len(signed)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await mine.submit(mine.observe(assignment, ())[:2])
    assert violated_fields(refused.value) == ["observations[0].observation.index", "observations[1].observation.index"]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await other.submit(other.observe(assignment, ())[:1])
    assert violated_fields(refused.value) == ["observations[0].observation.assignment_id"]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await other.submit(signed[:1])
    assert violated_fields(refused.value) == ["observations[0].key_id"]
    assert await world.metric('lachan_compliance_observations_total{result="blocked"}') == 12
    # Both days of a run over midnight.
    first, last = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}" for days in (-1, 2))
    exported, told = await world.exported(first, last)
    asked = {question.qname for question in assignment.questions}
    assert {one["test_keys"]["queries"][0]["hostname"] for one in exported} >= asked
    assert told == ""
    assert await world.exported(last, last) == ([], "")


async def test_health_and_reflection_answer(world: World) -> None:
    stub = health_pb2_grpc.HealthStub(world.channel("a/node/edge-1"))
    request = health_pb2.HealthCheckRequest(service="lachan.compliance.v1.ReportService")

    async def serving() -> bool:
        try:
            return (await stub.Check(request, timeout=20)).status == health_pb2.HealthCheckResponse.SERVING
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return False

    assert await eventually(serving, "health")
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    answers = reflection_pb2_grpc.ServerReflectionStub(world.channel("a/node/edge-1")).ServerReflectionInfo(asked)
    names = [one.name async for answer in answers for one in answer.list_services_response.service]
    assert {"lachan.compliance.v1.ReportService", "lachan.compliance.v1.ProbeService"} <= set(names)


async def test_a_missing_report_is_found(tmp_path: Path) -> None:
    law = {**LAW, "report": {"window": "5s", "deadline": "5s", "first_within": "10m"}}
    authority = Authority(tmp_path, law)
    async with list_authority(authority) as lists:
        service = Service(authority.configure(lists), tmp_path / "service.log")
        world = World(authority, service)
        try:
            service.start()
            node = world.node("a")
            windows = recent_windows(8)
            await node.submit(*(node.sign(node.report(start)) for start in windows if start != windows[3]))
            found = await world.until("a", lambda one: "missing_reports" in one["findings"])
            assert found["verdict"] == "not_compliant"
        finally:
            await world.close()
            service.close()


def retry_seconds(error: grpc.aio.AioRpcError) -> float:
    """When an UNAVAILABLE says to come again."""
    raw = next(value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin")
    detail = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(raw).details[0].Unpack(detail)
    return detail.retry_delay.ToMilliseconds() / 1000


async def test_a_database_that_is_killed_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "own-db"
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        url = first.enter_context(postgres.embedded(folder)).database("compliance")
        authority = Authority(tmp_path, settings={"database": {"url": url.render_as_string(hide_password=False)}})
        async with list_authority(authority) as lists:
            service = Service(authority.configure(lists), tmp_path / "service.log")
            second.callback(service.close)
            service.start()
            world = World(authority, service)
            node = world.node("a")
            signed = [node.sign(node.report(start)) for start in recent_windows(4)]
            receipts = await node.submit(*signed[:2])

            os.kill(int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0]), signal.SIGKILL)
            first.close()
            with pytest.raises(grpc.aio.AioRpcError) as away:
                await node.submit(*signed[2:])
            assert away.value.code() is grpc.StatusCode.UNAVAILABLE
            assert 1 <= retry_seconds(away.value) <= 3
            await eventually(lambda: failures(world), "a failed evaluation that is tried again")

            second.enter_context(postgres.embedded(folder))
            assert (await node.submit(*signed))[:2] == receipts
            await world.close()
            assert service.stop() == 0


async def failures(world: World) -> bool:
    return await world.metric('lachan_compliance_task_failures_total{task="judge"}') > 0

"""Announcements: real servers and real agents, over mutual TLS on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from blocklist_sync.central.serving import announcing
from blocklist_sync.central.serving.announcing import Announcements
from blocklist_sync.central.serving.metrics import Metrics
from blocklist_sync.central.serving.settings import PushSettings as ServerSettings
from blocklist_sync.edge.agent import Activation, Agent, ClientCertificate, SyncSettings
from lachan import channel, tls
from lachan.blocklist.v1 import release_service_pb2 as pb
from lachan.blocklist.v1 import release_service_pb2_grpc as rpc
from tests.support.list_authority import ListAuthority, Server
from tests.support.papers import Papers
from tests.support.wait import until

LIST_SERVER = "lachan://so-test/service/blocklist"
HOUR = "1h"


@dataclass
class Place:
    """A list authority, its HTTPS server, and certificates."""

    folder: Path
    authority: ListAuthority
    server: Server
    papers: Papers

    @contextlib.asynccontextmanager
    async def announcing(self, **changes: Any) -> AsyncIterator[Announcements]:
        settings = ServerSettings(**({"listen": "127.0.0.1:0", "tls": self.papers.of(LIST_SERVER)} | changes))
        started = await announcing.start(settings, self.authority.repository, Metrics())
        try:
            yield started
        finally:
            await started.stop()

    def edge(self, name: str, target: str, **push: Any) -> SyncSettings:
        """An edge that would ask by itself once in an hour; no resolver anywhere knows its `list.example`."""
        own = self.papers.of(f"lachan://isp-a/node/{name}")
        both = self.folder / "both.pem"
        both.write_bytes(own.ca.read_bytes() + self.authority.ca_path.read_bytes())
        return self.authority.settings(
            self.server,
            ca=both,
            tls=ClientCertificate(certificate=own.certificate, key=own.key),
            poll_interval=HOUR,
            hosts={"addresses": {"list.example": ["127.0.0.1"]}},
            push={
                "target": target,
                "poll_interval": HOUR,
                "spread": 0.1,
                "backoff_first": "50ms",
                "backoff_max": "200ms",
            }
            | push,
        )

    def stub(self, uri: str, port: int) -> rpc.ReleaseServiceAsyncStub:
        return rpc.ReleaseServiceStub(channel.connect(f"127.0.0.1:{port}", tls.load(self.papers.of(uri))))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("bad.example")
    with authority.serve() as server:
        yield Place(tmp_path, authority, server, Papers(tmp_path / "papers"))


@dataclass
class Running:
    """An agent at work, and the serials that it put in force."""

    agent: Agent
    serials: list[int] = field(default_factory=list)

    async def take(self, activation: Activation) -> None:
        self.serials.append(activation.serial)


@contextlib.asynccontextmanager
async def running(settings: SyncSettings, folder: Path) -> AsyncIterator[Running]:
    found = Running(Agent(settings, folder))
    task = asyncio.create_task(found.agent.run(found.take))
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_edges_of_any_server_take_a_release_when_it_is_announced(place: Place, tmp_path: Path) -> None:
    async with place.announcing() as first, place.announcing() as second, contextlib.AsyncExitStack() as stack:
        edges = [
            await stack.enter_async_context(
                running(place.edge(f"n{number}", f"{host}:{server.port}"), tmp_path / f"edge-{number}")
            )
            for number, (host, server) in enumerate((("localhost", first), ("list.example", second)))
        ]
        await until(lambda: all(edge.serials == [1] and edge.agent.streaming for edge in edges))
        for serial in (2, 3):
            await asyncio.to_thread(place.authority.publish, "bad.example", f"new-{serial}.example")
            await until(lambda serial=serial: all(edge.serials[-1] == serial for edge in edges))
        # A signature renewed is no release: nobody is woken for it.
        before, seen = len(place.server.requests), first._service._bulletin._seen
        await asyncio.to_thread(place.authority.publish)
        await until(lambda: first._service._bulletin._seen != seen)
        assert len(place.server.requests) == before


async def test_an_edge_whose_server_ends_listens_again_and_misses_nothing(place: Place, tmp_path: Path) -> None:
    async with place.announcing() as server:
        port = server.port
        settings = place.edge("n1", f"127.0.0.1:{port}")
        async with running(settings, tmp_path / "edge") as edge:
            await until(lambda: edge.agent.streaming and edge.serials == [1])
            await server.stop()
            await until(lambda: not edge.agent.streaming)
            await asyncio.to_thread(place.authority.publish, "new.example")
            async with place.announcing(listen=f"127.0.0.1:{port}"):
                await until(lambda: edge.serials == [1, 2])
            assert edge.agent._listener.failures["UNAVAILABLE"] >= 1


async def test_a_stream_that_falls_silent_is_given_up(place: Place, tmp_path: Path) -> None:
    async with (
        place.announcing(heartbeat=40.0) as server,
        running(place.edge("n1", f"127.0.0.1:{server.port}", silence="300ms"), tmp_path / "edge") as edge,
    ):
        await until(lambda: edge.agent._listener is not None and edge.agent._listener.failures["SILENT"] >= 1)


async def test_an_announcement_that_is_not_true_changes_nothing(place: Place, tmp_path: Path) -> None:
    class Liar(rpc.ReleaseServiceServicer):
        async def WatchReleases(self, *_: Any) -> AsyncIterator[pb.WatchReleasesResponse]:  # noqa: N802 # the contract's
            for serial in (7, 1 << 62, 3):
                yield pb.WatchReleasesResponse(serial=serial, records_digest=bytes(32), urgent=True)
            await asyncio.Event().wait()

    server = channel.server()
    rpc.add_ReleaseServiceServicer_to_server(Liar(), server)
    port = channel.bind(server, "127.0.0.1:0", tls.load(place.papers.of(LIST_SERVER)))
    await server.start()
    try:
        async with running(place.edge("n1", f"127.0.0.1:{port}"), tmp_path / "edge") as edge:
            await until(lambda: edge.serials == [1] and edge.agent._listener.announcements == 3)
            assert sum(edge.agent.refused.values()) == sum(edge.agent.failed.values()) == 0
    finally:
        await server.stop(None)


async def test_streams_are_for_nodes_and_bounded(place: Place) -> None:
    async with place.announcing(max_streams=3, max_streams_per_node=2) as server:

        async def begin(uri: str) -> Any:
            call = place.stub(uri, server.port).WatchReleases(pb.WatchReleasesRequest(), timeout=20)
            return call, await call.read()

        call, first = await begin("lachan://isp-a/node/n1")
        assert (first.serial, len(first.records_digest), first.urgent) == (1, 32, False)
        held = [call, (await begin("lachan://isp-a/node/n1"))[0]]
        # A third of one node ends its first.
        held.append((await begin("lachan://isp-a/node/n1"))[0])
        assert await held[0].code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await begin("lachan://isp-b/node/n1")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await begin("lachan://isp-c/node/n1")
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await begin("lachan://so-test/service/compliance")
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        held[1].cancel()
        await until(lambda: server._service.streams == 2)
        await begin("lachan://isp-c/node/n1")

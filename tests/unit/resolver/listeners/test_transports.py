"""A worker's streams put together: which socket speaks what, and what they share."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from resolver.edgefile import EdgeFile
from resolver.listeners.certificate import LOOK_SECONDS
from resolver.listeners.sockets import ListenSocket
from resolver.listeners.transports import StreamTransports
from resolver.settings import normalise
from tests.support.blocklist import OFFER, entry
from tests.support.engine import Rig, policy, rig
from tests.support.packets import question, read, reply
from tests.support.tls import Authority

DEADLINE = 5.0
SCHOOL_ONLY = question("school-only.example")
PLACES = {"tcp": 53, "dot": 853, "doh": 443}


@dataclass
class Worker:
    """The streams of a worker over an engine."""

    own: Rig
    transports: StreamTransports
    authority: Authority
    ports: dict[str, int]
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, kind: str, name: str = "dns.example") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        trusting = None if kind == "tcp" else self.authority.client()
        streams = await asyncio.open_connection(
            "127.0.0.1", self.ports[kind], ssl=trusting, server_hostname=name if trusting else None
        )
        self.clients.append(streams[1])
        return streams

    async def ask(self, kind: str, query: bytes, name: str = "dns.example", path: str = "/dns-query") -> str:
        """The answer's response code."""
        reader, writer = await self.connect(kind, name)
        async with asyncio.timeout(DEADLINE):
            if kind == "doh":
                head = f"POST {path} HTTP/1.1\r\nHost: {name}\r\nContent-Type: application/dns-message\r\n"
                writer.write(f"{head}Content-Length: {len(query)}\r\n\r\n".encode() + query)
                head_bytes = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = int(head_bytes.split(b"content-length:")[1].split(b"\r\n")[0])
                return read(await reader.readexactly(size)).rcode().name
            writer.write(len(query).to_bytes(2, "big") + query)
            return read(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))).rcode().name


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 # what is waited for happens in the same loop and sets no event
            await asyncio.sleep(0)


def edge_file(folder: Path) -> EdgeFile:
    tls = {"certificate": folder / "certificate.pem", "key": folder / "key.pem"}
    names = {"school.dns.example": "school"}
    return EdgeFile.model_validate(
        {
            "organisation": "a",
            "node": "edge-1",
            "listen": [
                {"address": "127.0.0.1"},
                {"address": "127.0.0.1", "protocol": "dot", "tls": tls, "profiles": {"server_names": names}},
                {
                    "address": "127.0.0.1",
                    "protocol": "doh",
                    "tls": tls,
                    "profiles": {"server_names": names, "paths": {"/dns-query/school": "school"}},
                },
            ],
            "upstreams": [{"address": "192.0.2.1"}],
            "profiles": [{"name": "school"}],
            "blocklist": {"snapshot": "rules.snapshot"},
        }
    )


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    authority = Authority(tmp_path)
    authority.issue()
    own = rig(policy(entry("bad.example"), entry("school-only.example", Category.GAMBLING, order=OFFER)))
    transports = StreamTransports(normalise(edge_file(tmp_path)), own.engine, lambda: None)
    loop = asyncio.get_running_loop()
    listeners, ports = [], {}
    for kind, port in PLACES.items():
        sock = ListenSocket.named(f"{kind}/127.0.0.1/{port}/0", -1)
        listener = await loop.create_server(transports.factory(sock), "127.0.0.1", 0)
        ports[kind] = listener.sockets[0].getsockname()[1]
        listeners.append(listener)
    made = Worker(own, transports, authority, ports)
    yield made
    for listener in listeners:
        listener.close()
    for writer in made.clients:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    await until(lambda: not transports.connections)


@pytest.mark.parametrize(("kind", "transport"), [("tcp", 2), ("dot", 3), ("doh", 4)])
async def test_each_transport_is_counted_as_what_it_is(worker: Worker, kind: str, transport: int) -> None:
    assert await worker.ask(kind, question("www.bad.example")) == "NXDOMAIN"
    assert [worker.own.queries(number, rcode=3) for number in range(2, 5)] == [
        int(number == transport) for number in range(2, 5)
    ]
    assert worker.transports.connections == 1


async def test_a_profile_is_chosen_by_server_name_or_path(worker: Worker) -> None:
    assert await worker.ask("dot", SCHOOL_ONLY, "school.dns.example") == "NXDOMAIN"
    assert await worker.ask("doh", SCHOOL_ONLY, "school.dns.example") == "NXDOMAIN"
    assert await worker.ask("doh", SCHOOL_ONLY, path="/dns-query/school") == "NXDOMAIN"
    assert worker.own.queries(3, profile=1, rcode=3) == 1
    assert worker.own.queries(4, profile=1, rcode=3) == 2
    # Anybody else goes by the network, and this network has no such rule: the upstream is asked.
    asking = [asyncio.create_task(worker.ask(kind, SCHOOL_ONLY)) for kind in PLACES]
    await until(lambda: worker.own.engine.outstanding)
    asked, source = await asyncio.to_thread(worker.own.upstreams[0].receive)
    worker.own.upstreams[0].send(reply(asked, "school-only.example. 60 IN A 192.0.2.1"), source)

    def answered() -> bool:
        worker.own.turn(0)
        for token in list(worker.own.told):
            worker.transports.deliver(token, worker.own.told.pop(token))
        return all(task.done() for task in asking)

    await until(answered)
    assert [task.result() for task in asking] == ["NOERROR"] * 3


async def test_a_sweep_takes_new_certificates_over_now_and_then(worker: Worker) -> None:
    before = worker.transports.certificates()
    assert set(before) == {"dot/127.0.0.1/853", "doh/127.0.0.1/443"}
    assert not any(one["refused"] for one in before.values())
    second = worker.authority.issue()
    now = asyncio.get_running_loop().time()
    worker.transports.sweep(now + LOOK_SECONDS)
    for kind in ("dot", "doh"):
        _, writer = await worker.connect(kind)
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        assert tls.getpeercert(binary_form=True) == second
    worker.authority.files.key.write_bytes(b"")
    worker.transports.sweep(now + LOOK_SECONDS + 0.1)
    assert not any(one["refused"] for one in worker.transports.certificates().values())
    worker.transports.sweep(now + 2 * LOOK_SECONDS)
    assert all(one["refused"] for one in worker.transports.certificates().values())


async def test_a_sweep_closes_what_is_idle_or_slow_on_every_transport(worker: Worker) -> None:
    for kind in PLACES:
        await worker.ask(kind, question("bad.example"))
    silent = socket.create_connection(("127.0.0.1", worker.ports["dot"]))
    with silent:
        await until(lambda: worker.transports.connections == 4)
        worker.transports.sweep(asyncio.get_running_loop().time() + 1000)
        await until(lambda: not worker.transports.connections)


async def test_once_retired_nobody_is_served_any_more(worker: Worker) -> None:
    for kind in PLACES:
        await worker.ask(kind, question("bad.example"))
    assert worker.transports.connections == 3
    worker.transports.retire()
    await until(lambda: not worker.transports.connections)
    reader, writer = await worker.connect("tcp")
    writer.write(b"\0\1x")
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""

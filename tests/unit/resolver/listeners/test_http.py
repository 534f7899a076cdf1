"""DNS over HTTPS on real connections, without the TLS around it: late answers, deadlines, bounds, goodbyes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import cast

import h2.config
import h2.connection
import h2.events
import pytest

from resolver.edgefile import Encrypted
from resolver.listeners.doh import Resource
from resolver.listeners.http import HttpServer
from resolver.listeners.queries import Queries
from resolver.listeners.stream import HIGH_WATER_BYTES
from resolver.listeners.tls import Channel
from tests.support.blocklist import entry
from tests.support.engine import Rig, policy, rig
from tests.support.packets import question, read, reply

DEADLINE = 5.0
DOH = 4
BAD = question("www.bad.example", id=0)


@dataclass
class Agreed:
    """What a TLS handshake has agreed on."""

    application_protocol: str | None
    server_name: str | None = None


@dataclass
class Edge:
    """A listener over an engine, driven as a worker drives it."""

    own: Rig
    server: HttpServer
    queries: Queries
    port: int
    settled: list[int]
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        streams = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(streams[1])
        return streams

    async def respond(self, *lines: str) -> None:
        """Answers the next question as the upstream."""
        asked, source = await asyncio.to_thread(self.own.upstreams[0].receive)
        self.own.upstreams[0].send(reply(asked, *lines), source)
        self.own.turn()
        for token in list(self.own.told):
            self.queries.deliver(token, self.own.told.pop(token))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 # what is waited for happens in the same loop and sets no event
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def serving(protocol: str | None = "http/1.1", **limits: float) -> AsyncIterator[Edge]:
    own = rig(policy(entry("bad.example")))
    settled: list[int] = []
    queries = Queries(own.engine, lambda: settled.append(own.engine.outstanding))
    server = HttpServer(queries, Encrypted(**limits))  # type: ignore[arg-type] # what a test gives
    factory = functools.partial(server.protocol, Resource({}, {}), cast("Channel", Agreed(protocol)))
    listener = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    edge = Edge(own, server, queries, listener.sockets[0].getsockname()[1], settled)
    try:
        yield edge
    finally:
        listener.close()
        for writer in edge.clients:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await until(lambda: not server.connections)


def get(query: bytes = BAD) -> bytes:
    encoded = base64.urlsafe_b64encode(query).rstrip(b"=")
    return b"GET /dns-query?dns=%b HTTP/1.1\r\nHost: dns.example\r\n\r\n" % encoded


async def response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    async with asyncio.timeout(DEADLINE):
        head = await reader.readuntil(b"\r\n\r\n")
        [size] = [
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        ]
        return int(head.split(b" ")[1]), await reader.readexactly(size)


@dataclass
class Http2Client:
    """A client's half of HTTP/2 on a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h2.connection.H2Connection = field(
        default_factory=lambda: h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    )
    events: list[h2.events.Event] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)
    ended: bool = False

    def start(self) -> None:
        self.http.initiate_connection()
        self.send()

    def send(self) -> None:
        self.writer.write(self.http.data_to_send())

    def ask(self, stream: int, query: bytes) -> None:
        fields = [(":method", "POST"), (":scheme", "https"), (":authority", "dns.example"), (":path", "/dns-query")]
        self.http.send_headers(stream, [*fields, ("content-type", "application/dns-message")])
        self.http.send_data(stream, query, end_stream=True)
        self.send()

    async def hear(self, done: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not done() and not self.ended:
                data = await self.reader.read(65536)
                self.ended = not data
                for event in self.http.receive_data(data):
                    self.events.append(event)
                    if isinstance(event, h2.events.DataReceived):
                        self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data


async def test_requests_are_answered_one_behind_the_other() -> None:
    async with serving() as edge:
        reader, writer = await edge.connect()
        writer.write(get() * 3)
        for _ in range(3):
            status, body = await response(reader)
            assert (status, read(body).rcode().name) == (200, "NXDOMAIN")
        assert edge.own.queries(DOH, rcode=3) == 3
        assert edge.settled


async def test_a_late_answer_lets_what_waited_behind_it_go_on() -> None:
    async with serving() as edge:
        reader, writer = await edge.connect()
        writer.write(get(question("late.example", id=7)) + get())
        await until(lambda: edge.own.engine.outstanding)
        await edge.respond("late.example. 60 IN A 192.0.2.1")
        first, second = await response(reader), await response(reader)
        assert read(first[1]).id == 7
        assert str(read(first[1]).answer[0][0]) == "192.0.2.1"
        assert read(second[1]).rcode().name == "NXDOMAIN"


async def test_streams_are_answered_as_they_are_ready() -> None:
    async with serving("h2") as edge:
        client = Http2Client(*await edge.connect())
        client.start()
        client.ask(1, question("late.example", id=0))
        client.ask(3, BAD)
        await client.hear(lambda: 3 in client.bodies)
        assert 1 not in client.bodies
        await edge.respond("late.example. 60 IN A 192.0.2.1")
        await client.hear(lambda: 1 in client.bodies)
        assert str(read(client.bodies[1]).answer[0][0]) == "192.0.2.1"


async def test_whoever_goes_before_the_answer_comes_costs_nothing() -> None:
    async with serving() as edge:
        _, writer = await edge.connect()
        writer.write(get(question("late.example")))
        await until(lambda: edge.own.engine.outstanding)
        writer.transport.abort()
        # It was not read while it waited: that it has gone shows when it is read again.
        await edge.respond("late.example. 60 IN A 192.0.2.1")
        await until(lambda: not edge.server.connections)


async def test_a_client_that_has_said_everything_still_gets_its_answer() -> None:
    async with serving() as edge:
        reader, writer = await edge.connect()
        writer.write(get(question("late.example")))
        writer.write_eof()
        await until(lambda: edge.own.engine.outstanding)
        await edge.respond("late.example. 60 IN A 192.0.2.1")
        assert (await response(reader))[0] == 200
        assert await reader.read() == b""


async def test_an_address_in_a_header_is_not_believed() -> None:
    async with serving() as edge:
        reader, writer = await edge.connect()
        forged = b"X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\n\r\n"
        writer.write(get()[:-2] + forged)
        # A stranger would be refused; loopback is not one.
        assert read((await response(reader))[1]).rcode().name == "NXDOMAIN"


async def test_an_idle_connection_is_closed_and_one_that_waits_for_an_answer_is_not() -> None:
    async with serving(idle=10.0) as edge:
        loop = asyncio.get_running_loop()
        reader, _ = await edge.connect()
        await until(lambda: edge.server.connections)
        edge.server.sweep(loop.time() + 9)
        assert edge.server.connections
        edge.server.sweep(loop.time() + 11)
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""


async def test_a_request_that_takes_too_long_is_told_so() -> None:
    async with serving(message=0.1) as edge:
        reader, writer = await edge.connect()
        writer.write(get()[:30])
        await until(lambda: any(one._codec.overdue(1e12, 0.1) for one in edge.server.connections))
        loop = asyncio.get_running_loop()
        while edge.server.connections:
            edge.server.sweep(loop.time())
            await asyncio.sleep(0)
        assert (await asyncio.wait_for(reader.read(), DEADLINE)).startswith(b"HTTP/1.1 408 ")


async def test_an_idle_http_2_connection_is_told_goodbye() -> None:
    async with serving("h2") as edge:
        client = Http2Client(*await edge.connect())
        client.start()
        client.ask(1, BAD)
        await client.hear(lambda: 1 in client.bodies)
        edge.server.sweep(asyncio.get_running_loop().time() + 1000)
        await client.hear(lambda: False)
        assert client.ended
        assert any(isinstance(event, h2.events.ConnectionTerminated) for event in client.events)


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
async def test_a_retired_server_answers_what_was_asked(protocol: str) -> None:
    async with serving(protocol) as edge:
        reader, writer = await edge.connect()
        client = Http2Client(reader, writer)
        if protocol == "h2":
            client.start()
            client.ask(1, question("late.example"))
        else:
            writer.write(get(question("late.example")))
        await until(lambda: edge.own.engine.outstanding)
        edge.server.retire()
        assert edge.server.connections
        await edge.respond("late.example. 60 IN A 192.0.2.1")
        if protocol == "http/1.1":
            assert (await response(reader))[0] == 200
        # h2's client hears nothing behind a goodbye; others do.
        rest = await asyncio.wait_for(reader.read(), DEADLINE)
        assert (b"\4late\7example\0" in rest) is (protocol == "h2")
        await until(lambda: not edge.server.connections)
        late, _ = await edge.connect()
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(late.read(), DEADLINE) == b""


async def test_connections_above_the_bound_are_closed() -> None:
    async with serving(connections=1) as edge:
        await edge.connect()
        await until(lambda: edge.server.connections)
        reader, writer = await edge.connect()
        writer.write(get())
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        assert len(edge.server.connections) == 1


async def test_whoever_does_not_read_is_not_read_and_in_the_end_cut_off() -> None:
    async with serving(idle=5.0) as edge:
        reader, writer = await edge.connect()
        cast("asyncio.Transport", writer.transport).pause_reading()
        await until(lambda: edge.server.connections)
        [connection] = edge.server.connections
        asked = 0
        while not connection._paused:
            writer.write(get() * 200)
            asked += 200
            await asyncio.sleep(0)
            assert asked < 1_000_000
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() < 2 * HIGH_WATER_BYTES + (1 << 20)
        cast("asyncio.Transport", writer.transport).resume_reading()
        for _ in range(asked):
            assert (await response(reader))[0] == 200
        loop = asyncio.get_running_loop()
        edge.server.sweep(loop.time() + 6)
        edge.server.sweep(loop.time() + 6)
        await until(lambda: not edge.server.connections)

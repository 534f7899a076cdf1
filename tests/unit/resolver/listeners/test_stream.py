"""DNS over TCP on real connections: pipelined, cut anywhere, answered out of order, and bounded in every direction."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import dns.rcode
import pytest

from blocklist_sync.artifact.categories import Action, Category
from resolver.edgefile import Tcp
from resolver.listeners.queries import Queries
from resolver.listeners.stream import HIGH_WATER_BYTES, StreamServer
from tests.support.blocklist import entry
from tests.support.engine import TCP, Rig, policy, rig
from tests.support.framing import framed
from tests.support.packets import question, raw, read, record, records, reply

DEADLINE = 5.0
BAD = question("www.bad.example")


@dataclass
class Edge:
    """A listener over an engine, driven as a worker drives it."""

    own: Rig
    server: StreamServer
    queries: Queries
    port: int
    settled: list[int]

    def hear(self) -> None:
        """Passes on what the engine tells."""
        self.own.engine.hear()
        self.own.engine.tick()
        for token, answer in self.own.engine.collect():
            self.queries.deliver(token, answer)

    async def asked(self) -> tuple[bytes, tuple[str, int]]:
        """What the upstream was asked."""
        await until(lambda: select.select([self.own.upstreams[0].socket], [], [], 0)[0])
        return self.own.upstreams[0].receive()

    def respond(self, asked: bytes, source: tuple[str, int], *lines: str) -> None:
        self.own.upstreams[0].send(reply(asked, *lines), source)
        self.own.turn(0)
        # `turn` collects for the rig: here answers belong to connections.
        for token in list(self.own.told):
            self.queries.deliver(token, self.own.told.pop(token))


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop run until the condition holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 # what is waited for happens in the same loop and sets no event
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def serving(own: Rig | None = None, **limits: float) -> AsyncIterator[Edge]:
    own = own or rig(policy(entry("bad.example")))
    settled: list[int] = []
    queries = Queries(own.engine, lambda: settled.append(own.engine.outstanding))
    server = StreamServer(queries, Tcp(**limits), TCP)
    listener = await asyncio.get_running_loop().create_server(server.protocol, "127.0.0.1", 0)
    try:
        yield Edge(own, server, queries, listener.sockets[0].getsockname()[1], settled)
    finally:
        listener.close()
        for connection in list(server.connections):
            connection.dismiss()
        await until(lambda: not server.connections)


class Client:
    """A connection that sends octets and reads messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2), "big"))

    async def ended(self) -> bool:
        """Whether the other side closes without a word."""
        async with asyncio.timeout(DEADLINE):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


@contextlib.asynccontextmanager
async def connected(edge: Edge) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No exception ends in the event loop."""
    yield
    assert [
        entry.getMessage() for entry in caplog.records if entry.name == "asyncio" and entry.levelname == "ERROR"
    ] == []


# Messages -------------------------------------------------------------------------------------------------------------


async def test_many_queries_in_one_write_are_answered_in_their_order() -> None:
    async with serving() as edge, connected(edge) as client:
        client.send(framed(*(question(f"n{number}.bad.example", id=number) for number in range(500))))
        for number in range(500):
            answer = read(await client.receive())
            assert (answer.id, str(answer.question[0].name)) == (number, f"n{number}.bad.example.")
        assert edge.own.queries(TCP, rcode=3) == edge.own.blocked(Category.GAMBLING, Action.NXDOMAIN) == 500


async def test_a_message_may_be_cut_anywhere() -> None:
    queries = framed(BAD, question("x.bad.example", id=2))
    async with serving() as edge, connected(edge) as client:
        client.writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(queries)):
            before = edge.own.queries(TCP, rcode=3)
            client.send(queries[:cut])
            whole = (cut >= len(BAD) + 2) + (cut >= len(queries))
            await until(lambda before=before, whole=whole: edge.own.queries(TCP, rcode=3) == before + whole)  # type: ignore[misc]
            [connection] = edge.server.connections
            rest = cut - whole * (len(BAD) + 2)
            await until(lambda connection=connection, rest=rest: len(connection._buffer) == rest)  # type: ignore[misc]
            client.send(queries[cut:])
            assert {read(await client.receive()).id, read(await client.receive()).id} == {0x1234, 2}


async def test_answers_come_as_they_are_ready() -> None:
    async with serving() as edge, connected(edge) as client:
        names = ("a.ok.example", "b.ok.example", "c.ok.example")
        client.send(framed(*(question(name, id=number) for number, name in enumerate(names)), BAD))
        assert read(await client.receive()).rcode() == dns.rcode.NXDOMAIN
        waiting = [await edge.asked() for _ in names]
        for number in (2, 0, 1):
            edge.respond(*waiting[number], f"{names[number]}. 300 IN A 192.0.2.{number}")
            answer = read(await client.receive())
            assert (answer.id, records(answer)) == (number, [f"{names[number]}. 300 IN A 192.0.2.{number}"])


async def test_answers_go_to_the_connection_that_asked() -> None:
    async with serving() as edge, connected(edge) as one, connected(edge) as two:
        one.send(framed(question("www.ok.example", id=1)))
        two.send(framed(question("WWW.ok.example", id=2)))
        await until(lambda: sum(connection.outstanding for connection in edge.server.connections) == 2)
        edge.respond(*await edge.asked(), "www.ok.example. 300 IN A 192.0.2.1")
        assert (read(await one.receive()).id, read(await two.receive()).id) == (1, 2)


async def test_answers_to_a_connection_that_has_gone_are_dropped() -> None:
    async with serving() as edge:
        async with connected(edge) as client:
            client.send(framed(question("www.ok.example")))
            asked = await edge.asked()
            # Gone altogether: closing alone would mean that it has nothing more to ask.
            linger = client.writer.transport.get_extra_info("socket")
            linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.writer.transport.abort()
            await until(lambda: not edge.server.connections)
        edge.respond(*asked, "www.ok.example. 300 IN A 192.0.2.1")
        async with connected(edge) as client:
            client.send(framed(question("www.ok.example")))
            assert len(read(await client.receive()).answer) == 1


async def test_what_would_not_fit_a_datagram_is_told_whole() -> None:
    async with serving() as edge, connected(edge) as client:
        client.send(framed(question("www.ok.example", "TYPE65280", edns=False)))
        asked, source = await edge.asked()
        edge.own.upstreams[0].send(raw(asked, *[record(65280, bytes(1000))] * 60), source)
        edge.own.turn(0)
        for token in list(edge.own.told):
            edge.queries.deliver(token, edge.own.told.pop(token))
        assert len(await client.receive()) > 60_000


@pytest.mark.parametrize("noise", [b"\0\0", b"\0\5short", framed(BAD[:2] + b"\x81" + BAD[3:]), b"\0\x0b" + bytes(11)])
async def test_what_is_no_query_ends_the_connection(noise: bytes) -> None:
    async with serving() as edge, connected(edge) as client:
        client.send(noise)
        assert await client.ended()


async def test_a_malformed_query_is_told_so_and_the_connection_goes_on() -> None:
    async with serving() as edge, connected(edge) as client:
        client.send(framed(BAD[:-1], BAD))
        assert (await client.receive())[3] & 15 == dns.rcode.FORMERR
        assert (await client.receive())[3] & 15 == dns.rcode.NXDOMAIN


async def test_queries_before_an_end_without_sense_are_followed_up() -> None:
    # One of them is on its way to an upstream: the clock must tick for it though its client has gone.
    async with serving() as edge, connected(edge) as client:
        client.send(framed(question("www.ok.example"), b"noise"))
        assert await client.ended()
        assert edge.own.engine.outstanding == 1
        assert edge.settled[-1] == 1


# Ends -----------------------------------------------------------------------------------------------------------------


async def test_who_has_asked_everything_still_gets_its_answers() -> None:
    async with serving() as edge, connected(edge) as client:
        client.send(framed(BAD, question("www.ok.example", id=2)))
        client.writer.write_eof()
        assert read(await client.receive()).rcode() == dns.rcode.NXDOMAIN
        asked = await edge.asked()
        edge.respond(*asked, "www.ok.example. 300 IN A 192.0.2.1")
        assert read(await client.receive()).id == 2
        assert await client.ended()
        await until(lambda: not edge.server.connections)


async def test_a_retired_listener_answers_what_it_was_asked_and_nothing_more() -> None:
    async with serving() as edge, connected(edge) as idle, connected(edge) as client:
        client.send(framed(question("www.ok.example", id=2)))
        asked = await edge.asked()
        edge.server.retire()
        assert await idle.ended()
        client.send(framed(BAD))
        edge.respond(*asked, "www.ok.example. 300 IN A 192.0.2.1")
        assert read(await client.receive()).id == 2
        assert await client.ended()
        async with connected(edge) as late:
            assert await late.ended()


# Bounds ---------------------------------------------------------------------------------------------------------------


async def test_connections_are_bounded() -> None:
    async with serving(connections=2) as edge:
        async with connected(edge) as one, connected(edge) as two:
            for client in (one, two):
                client.send(framed(BAD))
                await client.receive()
            async with connected(edge) as third:
                assert await third.ended()
            one.send(framed(BAD))
            await one.receive()
        await until(lambda: not edge.server.connections)
        async with connected(edge) as again:
            again.send(framed(BAD))
            await again.receive()


async def test_queries_outstanding_are_bounded_and_reading_stops_beyond() -> None:
    async with serving(outstanding=3) as edge, connected(edge) as client:
        names = [f"n{number}.ok.example" for number in range(8)]
        client.send(framed(*(question(name, id=number) for number, name in enumerate(names))))
        waiting = [await edge.asked() for _ in range(3)]
        [connection] = edge.server.connections
        assert (connection.outstanding, edge.own.engine.outstanding) == (3, 3)
        assert connection._transport is not None
        assert not connection._transport.is_reading()
        # Each answer makes room for one more.
        for number in range(8):
            edge.respond(*waiting[number], f"{names[number]}. 300 IN A 192.0.2.1")
            assert read(await client.receive()).id == number
            if number + 3 < 8:
                waiting.append(await edge.asked())
                assert connection.outstanding == 3
        assert connection._transport.is_reading()
        assert connection.outstanding == 0


async def test_a_message_has_a_deadline_from_its_first_octet() -> None:
    async with serving(message=1.0, idle=300.0) as edge, connected(edge) as client, connected(edge) as quiet:
        quiet.send(framed(BAD))
        await quiet.receive()
        client.send(framed(BAD)[:3])
        await until(lambda: any(connection._buffer for connection in edge.server.connections))
        start = asyncio.get_running_loop().time()
        edge.server.sweep(start + 0.5)
        # More octets do not make it later.
        client.send(framed(BAD)[3:5])
        await until(lambda: any(len(connection._buffer) == 5 for connection in edge.server.connections))
        edge.server.sweep(start + 0.9)
        assert len(edge.server.connections) == 2
        edge.server.sweep(start + 1.5)
        assert await client.ended()
        assert len(edge.server.connections) == 1


async def test_time_in_which_a_connection_is_not_read_is_not_its_delay() -> None:
    async with serving(message=1.0, idle=300.0, outstanding=1) as edge, connected(edge) as client:
        whole, part = framed(question("www.ok.example")), framed(BAD)[:4]
        client.send(whole + part)
        asked = await edge.asked()
        [connection] = edge.server.connections
        await until(lambda: bytes(connection._buffer) == part)
        # As if the answer had come long after.
        connection._message_at -= 100
        edge.server.sweep(asyncio.get_running_loop().time())
        assert edge.server.connections
        edge.respond(*asked, "www.ok.example. 300 IN A 192.0.2.1")
        await client.receive()
        edge.server.sweep(asyncio.get_running_loop().time())
        assert edge.server.connections
        client.send(framed(BAD)[4:])
        assert read(await client.receive()).rcode() == dns.rcode.NXDOMAIN


async def test_an_idle_connection_is_closed() -> None:
    async with serving(idle=10.0) as edge, connected(edge) as client:
        client.send(framed(BAD))
        await client.receive()
        now = asyncio.get_running_loop().time()
        edge.server.sweep(now + 9)
        assert edge.server.connections
        edge.server.sweep(now + 11)
        assert await client.ended()


async def test_who_waits_for_an_upstream_is_not_idle() -> None:
    async with serving(idle=0.5) as edge, connected(edge) as client:
        client.send(framed(question("www.ok.example")))
        asked = await edge.asked()
        edge.server.sweep(asyncio.get_running_loop().time() + 3)
        edge.respond(*asked, "www.ok.example. 300 IN A 192.0.2.1")
        assert len(read(await client.receive()).answer) == 1


async def test_who_does_not_read_is_not_read_and_costs_bounded_memory() -> None:
    own = rig(policy(entry("bad.example")))
    query = question("www.ok.example", "TYPE65280", edns=False)
    own.exchange(query, lambda asked: raw(asked, *[record(65280, bytes(1200))] * 3))
    async with serving(own) as edge:
        with socket.socket() as slow:
            slow.setblocking(False)
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", edge.port))
            # Twenty thousand answers of 3.6 kB each are asked for and not read.
            sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(slow, framed(query) * 20_000))
            await until(lambda: any(connection._paused for connection in edge.server.connections))
            [connection] = edge.server.connections
            transport = connection._transport
            assert transport is not None
            largest = 0
            for _ in range(200):
                await asyncio.sleep(0)
                largest = max(largest, transport.get_write_buffer_size())
            assert not transport.is_reading()
            assert largest < 3 * HIGH_WATER_BYTES
            assert len(connection._buffer) < 1 << 20
            # Others are served meanwhile.
            async with connected(edge) as client:
                client.send(framed(BAD))
                await client.receive()
            # It reads at last: everything comes.
            received = 0
            answer = len(own.ask(query) or b"") + 2
            async with asyncio.timeout(30):
                while received < 20_000 * answer:
                    received += len(await asyncio.get_running_loop().sock_recv(slow, 1 << 20))
            await sending
            assert received == 20_000 * answer

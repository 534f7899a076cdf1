"""TLS under a stream: first without a socket, then on real connections."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.edgefile import Encrypted
from resolver.listeners.certificate import DOT_PROTOCOLS, Certificate, context
from resolver.listeners.stream import HIGH_WATER_BYTES
from resolver.listeners.tls import HANDSHAKES_A_TURN, Channel, TlsConnection, TlsServer
from resolver.settings import mapped
from tests.support.tls import Authority, Client, opened

DEADLINE = 5.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tls"))
    made.issue()
    return made


@pytest.fixture(scope="module")
def server(authority: Authority) -> ssl.SSLContext:
    return context(authority.files, DOT_PROTOCOLS)


# Without a socket.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_handshake_brings_server_name_and_protocol(
    authority: Authority, server: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    trusting = authority.client("dot")
    trusting.minimum_version = trusting.maximum_version = version
    client, channel = Client(trusting, "School.DNS.example"), Channel(server)
    assert not channel.open
    opened(client, channel.receive, channel.take)
    assert channel.open
    assert channel.server_name == "school.dns.example"
    assert channel.application_protocol == "dot"
    assert channel.receive(client.say(b"hello ", b"world")) == b"hello world"
    channel.send(b"answer")
    assert client.receive(channel.take()) == b"answer"


def test_a_resumed_session_brings_its_server_name_too(authority: Authority, server: ssl.SSLContext) -> None:
    trusting = authority.client()
    first, channel = Client(trusting, "school.dns.example"), Channel(server)
    opened(first, channel.receive, channel.take)
    first.receive(channel.take())
    again, channel = Client(trusting, "school.dns.example", first.tls.session), Channel(server)
    opened(again, channel.receive, channel.take)
    assert again.tls.session_reused
    assert channel.server_name == "school.dns.example"


def test_no_name_and_no_protocol_are_none(authority: Authority, server: ssl.SSLContext) -> None:
    client, channel = Client(authority.client(), "127.0.0.1"), Channel(server)
    opened(client, channel.receive, channel.take)
    assert channel.open
    assert (channel.server_name, channel.application_protocol) == (None, None)


def test_bytes_may_come_one_by_one_and_the_last_of_a_handshake_with_the_first_of_what_is_said(
    authority: Authority, server: ssl.SSLContext
) -> None:
    client, channel = Client(authority.client()), Channel(server)
    client.receive(b"")
    for octet in client.take():
        assert channel.receive(bytes([octet])) == b""
    client.receive(channel.take())
    said = b""
    for octet in client.say(b"hello"):
        said += channel.receive(bytes([octet]))
    assert (channel.open, said) == (True, b"hello")


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 100_000])
def test_what_is_said_may_be_longer_than_a_record(authority: Authority, server: ssl.SSLContext, size: int) -> None:
    client, channel = Client(authority.client()), Channel(server)
    opened(client, channel.receive, channel.take)
    channel.send(bytes(size))
    assert client.receive(channel.take()) == bytes(size)


def test_goodbyes_are_said_and_heard(authority: Authority, server: ssl.SSLContext) -> None:
    client, channel = Client(authority.client()), Channel(server)
    opened(client, channel.receive, channel.take)
    assert channel.receive(client.say(b"last") + client.close()) == b"last"
    assert channel.ended
    # What is owed is still said.
    channel.send(b"answer")
    channel.close()
    assert client.receive(channel.take()) == b"answer"
    assert client.receive(b"") == b""
    channel.close()


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\3\1\0\5\1\0\0\1\0", b"\x15\3\3\0\2\2\x28", bytes(100), b"\x16\3\1\xff\xff"],
)
def test_what_is_no_tls_is_an_error(server: ssl.SSLContext, data: bytes) -> None:
    channel = Channel(server)
    with pytest.raises(ssl.SSLError):
        channel.receive(data)
    assert not channel.open
    channel.take()
    channel.close()


def test_nothing_older_than_tls_1_2_is_taken(server: ssl.SSLContext) -> None:
    # A ClientHello of TLS 1.1 at most: OpenSSL's own client would not send one.
    hello = b"\3\2" + bytes(32) + b"\0" + b"\0\4\xc0\x14\0\x35" + b"\1\0" + b"\0\0"
    handshake = b"\1" + len(hello).to_bytes(3, "big") + hello
    channel = Channel(server)
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        channel.receive(b"\x16\3\1" + struct.pack("!H", len(handshake)) + handshake)
    assert channel.take()[:1] == b"\x15"


@given(st.binary(max_size=300), st.integers(0, 300))
def test_whatever_is_sent_only_an_ssl_error_is_raised(data: bytes, at: int) -> None:
    made = _CONTEXT
    client, channel = Client(made[0]), Channel(made[1])
    client.receive(b"")
    hello = client.take()
    with contextlib.suppress(ssl.SSLError):
        channel.receive(hello[:at] + data)
        channel.receive(data)
    assert not channel.open


def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        made = Authority(Path(folder))
        made.issue()
        return made.client(), context(made.files, DOT_PROTOCOLS)


_CONTEXT = _contexts()


# On real connections.


@dataclass
class Inner(asyncio.Protocol):
    """What is spoken inside: it says back what it hears, behind its length so far."""

    channel: Channel
    said: bytearray = field(default_factory=bytearray)
    happened: list[str] = field(default_factory=list)
    stays: bool = False
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.happened.append("made")

    def data_received(self, data: bytes) -> None:
        self.said += data
        assert self.transport is not None
        self.transport.writelines([b"<", data, b">"])

    def eof_received(self) -> bool:
        self.happened.append("eof")
        return self.stays

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # asyncio's signature
        self.happened.append("lost")

    def pause_writing(self) -> None:
        self.happened.append("pause")

    def resume_writing(self) -> None:
        self.happened.append("resume")


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Listening:
    tls: TlsServer
    certificate: Certificate
    inner: list[Inner]
    port: int
    loop: asyncio.AbstractEventLoop

    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    async def client(self, trusting: ssl.SSLContext | None = None) -> Streams:
        """A connection, with TLS or without."""
        name = "dns.example" if trusting is not None else None
        streams = await asyncio.open_connection("127.0.0.1", self.port, ssl=trusting, server_hostname=name)
        self.clients.append(streams[1])
        return streams


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 # what is waited for happens in the same loop and sets no event
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def serving(authority: Authority, *, stays: bool = False, **limits: float) -> AsyncIterator[Listening]:
    loop = asyncio.get_running_loop()
    tls = TlsServer(Encrypted(**limits))  # type: ignore[arg-type] # what a test gives
    certificate = Certificate(authority.files, DOT_PROTOCOLS, loop.time())
    inner: list[Inner] = []

    def speak(channel: Channel) -> Inner:
        inner.append(Inner(channel, stays=stays))
        return inner[-1]

    listener = await loop.create_server(lambda: tls.protocol(certificate, speak), "127.0.0.1", 0)
    made = Listening(tls, certificate, inner, listener.sockets[0].getsockname()[1], loop)
    try:
        yield made
    finally:
        listener.close()
        for writer in made.clients:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await until(lambda: not tls.connections)


async def test_what_is_said_is_passed_on_and_answered(authority: Authority) -> None:
    async with serving(authority) as listening:
        reader, writer = await listening.client(authority.client("dot"))
        writer.write(b"hello")
        assert await reader.readexactly(7) == b"<hello>"
        [inner] = listening.inner
        assert inner.channel.application_protocol == "dot"
        assert inner.transport is not None
        assert inner.transport.get_extra_info("peername")[0] == "127.0.0.1"
        assert inner.transport.get_extra_info("nothing", 7) == 7
        writer.close()
        await until(lambda: inner.happened == ["made", "eof", "lost"])
        assert not listening.tls.connections
        # Gone: what is still said to it goes nowhere.
        assert inner.transport.is_closing()
        inner.transport.write(b"late")
        inner.transport.pause_reading()
        inner.transport.resume_reading()
        inner.transport.set_write_buffer_limits(high=1)
        inner.transport.close()
        cast("asyncio.Transport", inner.transport).abort()


async def test_a_goodbye_waits_for_what_is_owed(authority: Authority) -> None:
    async with serving(authority, stays=True) as listening:
        client = Client(authority.client())
        reader, writer = await listening.client()
        client.receive(b"")
        while not client.open:
            writer.write(client.take())
            client.receive(await reader.read(65536))
        writer.write(client.say(b"hello") + client.close())
        await until(lambda: listening.inner and "eof" in listening.inner[0].happened)
        assert listening.inner[0].transport is not None
        listening.inner[0].transport.write(b"late")
        listening.inner[0].transport.close()
        said = b""
        while data := await reader.read(65536):
            said += client.receive(data)
        assert said == b"<hello>late"
        writer.close()


async def test_what_is_no_tls_is_told_so_and_closed(authority: Authority) -> None:
    async with serving(authority) as listening:
        reader, writer = await listening.client()
        writer.write(b"\x16\3\3\0\4\2\0\0\0")
        alert = await asyncio.wait_for(reader.read(), DEADLINE)
        assert alert[:1] == b"\x15"
        assert listening.inner == []
        writer.close()
        await until(lambda: not listening.tls.connections)


async def test_an_error_after_the_handshake_ends_the_connection(authority: Authority) -> None:
    async with serving(authority) as listening:
        client = Client(authority.client())
        reader, writer = await listening.client()
        client.receive(b"")
        while not client.open:
            writer.write(client.take())
            client.receive(await reader.read(65536))
        writer.write(client.take())
        await until(lambda: listening.inner)
        damaged = bytearray(client.say(b"hello"))
        damaged[-1] ^= 1
        writer.write(damaged)
        await until(lambda: listening.inner[0].happened[-1] == "lost")
        assert listening.inner[0].said == b""
        writer.close()


async def test_a_handshake_has_a_deadline_and_nothing_spoken_inside_does(authority: Authority) -> None:
    async with serving(authority, handshake=1.0) as listening:
        await listening.client()
        _, slow = await listening.client()
        slow.write(b"\x16\3\1")
        reader, writer = await listening.client(authority.client())
        await until(lambda: len(listening.tls.connections) == 3 and listening.inner)
        listening.tls.sweep(listening.loop.time())
        assert len(listening.tls.connections) == 3
        listening.tls.sweep(listening.loop.time() + 1.5)
        await until(lambda: len(listening.tls.connections) == 1)
        writer.write(b"x")
        assert await reader.readexactly(3) == b"<x>"


async def test_connections_above_the_bound_are_closed_before_they_cost_anything(authority: Authority) -> None:
    async with serving(authority, connections=2) as listening:
        kept = [await listening.client() for _ in range(2)]
        await until(lambda: len(listening.tls.connections) == 2)
        reader, _ = await listening.client()
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        kept[0][1].close()
        await until(lambda: len(listening.tls.connections) == 1)
        await listening.client(authority.client())


async def test_without_a_certificate_connections_are_closed(tmp_path: Path) -> None:
    empty = Authority(tmp_path)
    async with serving(empty) as listening:
        reader, _ = await listening.client()
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        empty.issue()
        listening.certificate.look(listening.loop.time() + 1)
        await listening.client(empty.client())


async def test_a_new_certificate_leaves_old_connections_alone(tmp_path: Path) -> None:
    own = Authority(tmp_path)
    first = own.issue()
    async with serving(own) as listening:
        reader, writer = await listening.client(own.client())
        second = own.issue()
        listening.certificate.look(listening.loop.time())
        _, newer = await listening.client(own.client())
        shown = [one.get_extra_info("ssl_object").getpeercert(binary_form=True) for one in (writer, newer)]
        assert shown == [first, second]
        writer.write(b"x")
        assert await reader.readexactly(3) == b"<x>"


async def test_whoever_does_not_read_stops_what_is_spoken_inside(authority: Authority) -> None:
    async with serving(authority) as listening:
        reader, writer = await listening.client(authority.client())
        await until(lambda: listening.inner)
        [inner] = listening.inner
        assert inner.transport is not None
        cast("asyncio.Transport", writer.transport).pause_reading()
        sent = 0
        while "pause" not in inner.happened:
            inner.transport.write(bytes(65536))
            sent += 65536
            await asyncio.sleep(0)
            assert sent < HIGH_WATER_BYTES + (64 << 20)
        cast("asyncio.Transport", writer.transport).resume_reading()
        assert len(await reader.readexactly(sent)) == sent
        await until(lambda: "resume" in inner.happened)
        writer.close()


@dataclass
class Shaking:
    """A connection that notes when its turn comes."""

    turns: list[bytes]

    def go_on(self, data: bytes) -> None:
        self.turns.append(data)


async def test_handshakes_that_come_all_at_once_leave_turns_to_others() -> None:
    server = TlsServer(Encrypted())
    turns: list[bytes] = []
    expected = [bytes([number]) for number in range(2 * HANDSHAKES_A_TURN + 1)]
    for data in expected:
        server.shake(cast("TlsConnection", Shaking(turns)), data)
    done = []
    while len(turns) < len(expected):
        await asyncio.sleep(0)
        done.append(len(turns))
    assert max(after - before for before, after in itertools.pairwise([0, *done])) == HANDSHAKES_A_TURN
    assert turns == expected
    server.shake(cast("TlsConnection", Shaking(turns)), b"later")
    await until(lambda: turns[-1] == b"later")


async def test_whoever_goes_before_the_handshake_s_turn_is_forgotten(authority: Authority) -> None:
    async with serving(authority) as listening:
        _, writer = await listening.client()
        await until(lambda: listening.tls.connections)
        [connection] = listening.tls.connections
        listening.tls.shake(connection, b"\x16\3\1")
        writer.transport.abort()
        connection.abort()
        await until(lambda: not listening.tls.connections)
        connection.go_on(b"\x16\3\1")
        assert listening.inner == []


async def test_who_is_not_admitted_gets_no_handshake(authority: Authority) -> None:
    asked: list[bytes] = []
    async with serving(authority) as listening:
        listening.tls.admits = lambda address, _: bool(asked.append(address))
        with pytest.raises(OSError):  # noqa: PT011 # reset or end of file, as the kernel has it
            await listening.client(authority.client("dot"))
        assert asked == [mapped("127.0.0.1")]
        assert not listening.inner
        assert not listening.tls.connections
        listening.tls.admits = lambda *_: True
        _, writer = await listening.client(authority.client("dot"))
        writer.close()

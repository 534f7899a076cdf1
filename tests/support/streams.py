"""Real small upstreams over TCP, DNS over TLS and DNS over HTTPS, on loopback, that do what a test tells them to."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events

from resolver.upstream.settings import Upstream
from resolver.upstream.stream import StreamUpstreams
from tests.support.framing import framed
from tests.support.packets import reply
from tests.support.tls import Authority
from tests.support.wait import until

Talk = Callable[["Streams", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""What happens on one connection."""
LINE = "www.ok.example. 300 IN A 192.0.2.1"


def answer(query: bytes) -> bytes:
    """An address, whatever is asked."""
    return reply(query, LINE)


async def read(reader: asyncio.StreamReader) -> bytes:
    """The next message; IncompleteReadError at the end."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


@dataclass
class Streams:
    """Counts what it was asked; `talk` may be replaced at any time, for connections to come."""

    talk: Talk
    port: int = 0
    queries: list[bytes] = field(default_factory=list)
    connections: int = 0
    resumed: int = 0
    heads: list[dict[bytes, bytes]] = field(default_factory=list)
    """Of requests, where they are HTTP."""
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def heard(self, count: int) -> None:
        """Waits until it has been asked so much."""
        await until(lambda: len(self.queries) >= count)

    def abort(self) -> None:
        """Ends every connection at once."""
        for writer in tuple(self.open):
            writer.transport.abort()


async def answering(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every query."""
    while True:
        query = await read(reader)
        server.queries.append(query)
        writer.write(framed(answer(query)))


async def silent(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hears, and says nothing."""
    del writer
    while True:
        server.queries.append(await read(reader))


def first(talk: Talk, then: Talk) -> Talk:
    """The first connection goes one way, those after it another."""

    async def choose(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.talk = then
        await talk(server, reader, writer)

    return choose


def once(*said: Callable[[bytes], bytes]) -> Talk:
    """Takes one query for each of these, says what they make of it, and closes."""

    async def talk(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for say in said:
            query = await read(reader)
            server.queries.append(query)
            writer.write(say(query))
        await writer.drain()

    return talk


def http2(
    response: Callable[[bytes], tuple[list[tuple[bytes, bytes]], bytes] | None] | None = None,
    then: Callable[[h2.connection.H2Connection], None] = lambda _: None,
) -> Talk:
    """Answers every POST over HTTP/2, or not at all where `response` has nothing; `then` is done after each answer."""

    def found(query: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
        body = answer(query)
        return [(b":status", b"200"), (b"content-type", b"application/dns-message")], body

    async def talk(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        http.initiate_connection()
        bodies: dict[int, bytearray] = {}
        while True:
            writer.write(http.data_to_send())
            data = await reader.read(65536)
            if not data:
                return
            for event in http.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    server.heads.append(dict(event.headers))
                    bodies[event.stream_id] = bytearray()
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                    http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    query = bytes(bodies.pop(event.stream_id))
                    server.queries.append(query)
                    said = (response or found)(query)
                    if said is None:
                        continue
                    headers, body = said
                    http.send_headers(event.stream_id, headers)
                    http.send_data(event.stream_id, body, end_stream=True)
                    then(http)

    return talk


@dataclass
class Trusted:
    """An authority, servers' contexts and upstreams that trust it."""

    authority: Authority
    made: list[StreamUpstreams] = field(default_factory=list)

    def serving(self, *protocols: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.authority.files.certificate, self.authority.files.key)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def upstream(self, protocol: str, port: int, **settings: Any) -> Upstream:
        encrypted = {"server_name": "dns.example", "ca": self.authority.folder / "ca.pem"}
        given = encrypted if protocol in ("dot", "doh") else {}
        return Upstream.model_validate({"address": "127.0.0.1", "protocol": protocol, "port": port} | given | settings)

    def asking(self, protocol: str, port: int, timeout: float = 20.0, **settings: Any) -> StreamUpstreams:
        made = StreamUpstreams([self.upstream(protocol, port, **settings)], timeout)
        self.made.append(made)
        return made


@contextlib.asynccontextmanager
async def streams(
    talk: Talk = answering, context: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Streams]:
    """Serves until left, over TLS where there is a context; the kernel draws the port where it is 0."""
    server = Streams(talk)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        tls = writer.get_extra_info("ssl_object")
        server.resumed += tls is not None and bool(tls.session_reused)
        server.open.add(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await server.talk(server, reader, writer)
        finally:
            server.open.discard(writer)
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        server.abort()
        await listening.wait_closed()

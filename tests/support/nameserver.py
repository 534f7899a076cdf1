"""A real small name server on loopback, UDP and TCP on one port, that answers what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from typing import cast

LOOP_CHECK = b"\x11lachan-loop-check"

Answer = Callable[[bytes], Iterable[bytes]]
"""From a query to the packets sent back, none or several."""


class NameServer:
    """Counts what it was asked; `udp` and `tcp` may be replaced at any time."""

    def __init__(self, udp: Answer, tcp: Answer) -> None:
        self.udp = udp
        self.tcp = tcp
        self.queries: list[tuple[str, bytes, tuple[str, int]]] = []
        self.port = 0
        self.send: Callable[[bytes, tuple[str, int]], None] = lambda *_: None
        """Sends a datagram, whenever it is time."""


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The loop's own transport has the methods without the base class.
        self._transport = cast("asyncio.DatagramTransport", transport)
        self._server.send = self._transport.sendto

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        if data[12 : 12 + len(LOOP_CHECK)].lower() == LOOP_CHECK:
            # An edge asks once whether it is asked itself: of no interest to any test, and it is not.
            self._transport.sendto(data[:2] + b"\x81\x83" + data[4:10] + b"\0\0" + data[12:-11], addr)
            return
        self._server.queries.append(("udp", data, addr))
        for packet in self._server.udp(data):
            self._transport.sendto(packet, addr)


@contextlib.asynccontextmanager
async def nameserver(
    udp: Answer = lambda _: (), tcp: Answer = lambda _: (), address: str = "127.0.0.1"
) -> AsyncIterator[NameServer]:
    """Runs a server whose answers `udp` and `tcp` make; TCP closes the connection after what it sent."""
    server = NameServer(udp, tcp)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            query = await reader.readexactly(length)
            server.queries.append(("tcp", query, writer.get_extra_info("peername")[:2]))
            for packet in server.tcp(query):
                writer.write(packet)
            await writer.drain()
        writer.close()

    loop = asyncio.get_running_loop()
    while True:
        streams = await asyncio.start_server(talk, address, 0)
        server.port = streams.sockets[0].getsockname()[1]
        try:
            datagrams, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(server), local_addr=(address, server.port)
            )
            break
        except OSError:
            # Free for TCP, taken for UDP: another port is.
            streams.close()
            await streams.wait_closed()
    try:
        yield server
    finally:
        datagrams.close()
        streams.close()
        await streams.wait_closed()

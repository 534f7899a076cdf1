"""The name server of nonces: UDP and TCP around `answer`, and what was seen written to the database now and then.

Holds always: queries a second, connections, waiting sightings and the time of each connection are bounded; what was not
asked for a nonce that was handed out leaves no trace.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol, cast

from compliance_api.nonces.answer import Zone
from compliance_api.nonces.settings import NonceSettings
from lachan import log, postgres
from lachan.config import split_host_port
from lachan.errors import LachanError

MAX_WAITING = 20_000
# The database looks at so many at once.
MAX_BATCH = 1000
IDLE_SECONDS = 10.0
MAX_QUERIES = 100
# A query about one nonce is far shorter; longer ones are not read.
MAX_QUERY_BYTES = 4096

_log = log.get()


class Sightings(Protocol):
    """Keeps who asked."""

    async def asked(self, seen: Mapping[tuple[str, str], datetime]) -> int:
        """Keeps who asked for nonces, by name and address; how many belong to an assignment."""


class NonceServerError(LachanError):
    """The name server cannot start."""


class Pace:
    """So many queries a second and no more; time is an argument."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = 0
        self._count = 0

    def allows(self, now: float) -> bool:
        """Whether one more is answered."""
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        return self._count <= self._most


class Desk:
    """Answers queries and remembers who asked for which nonce until that is written."""

    def __init__(self, zone: Zone, pace: Pace, clock: Callable[[], float] = time.time) -> None:
        self._zone = zone
        self._pace = pace
        self._clock = clock
        self._waiting: dict[tuple[str, str], datetime] = {}
        self.dropped = 0

    def answer(self, query: bytes, address: str, *, stream: bool) -> bytes | None:
        """What to send back; None for nothing."""
        now = self._clock()
        if not self._pace.allows(now):
            self.dropped += 1
            return None
        found = self._zone.answer(query, address, stream=stream)
        if found is None:
            return None
        if found.noted:
            if len(self._waiting) < MAX_WAITING:
                self._waiting.setdefault((found.noted, address), datetime.fromtimestamp(now, UTC))
            else:
                self.dropped += 1
        return found.response

    def take(self) -> dict[tuple[str, str], datetime]:
        """What waits to be written, the oldest first, up to what is written at once."""
        keys = list(self._waiting)[:MAX_BATCH]
        return {key: self._waiting.pop(key) for key in keys}

    def put_back(self, seen: Mapping[tuple[str, str], datetime]) -> None:
        """What could not be written."""
        for key, at in seen.items():
            if len(self._waiting) < MAX_WAITING:
                self._waiting[key] = at


def _plain(address: str) -> str:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Loops have classes of their own for it.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        # Source port 0 can be no client.
        if not addr[1] or self._transport is None or len(data) > MAX_QUERY_BYTES:
            return
        response = self._desk.answer(data, _plain(addr[0]), stream=False)
        if response is not None:
            self._transport.sendto(response, addr)


class NonceServer:
    """The name server on its sockets."""

    def __init__(self, settings: NonceSettings, desk: Desk) -> None:
        self._settings = settings
        self._desk = desk
        self._connections = 0
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self) -> int:
        """Binds UDP and TCP to one port; which that is.

        Raises:
            NonceServerError: It cannot be bound.
        """
        host, port = split_host_port(self._settings.listen)
        loop = asyncio.get_running_loop()
        try:
            self._tcp = await asyncio.start_server(self._stream, host, port)
            port = int(self._tcp.sockets[0].getsockname()[1])
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._desk), local_addr=(host, port))
        except OSError as error:
            await self.stop()
            raise NonceServerError(f"{self._settings.listen}: cannot be bound: {error.strerror}") from error
        return port

    async def stop(self) -> None:
        """Lets go of the sockets."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
            await self._tcp.wait_closed()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= self._settings.connections:
            writer.close()
            return
        self._connections += 1
        try:
            address = _plain(writer.get_extra_info("peername")[0])
            for _ in range(MAX_QUERIES):
                async with asyncio.timeout(IDLE_SECONDS):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    if size > MAX_QUERY_BYTES:
                        return
                    query = await reader.readexactly(size)
                    response = self._desk.answer(query, address, stream=True)
                    if response is None:
                        return
                    writer.write(len(response).to_bytes(2, "big") + response)
                    await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, OSError):
            return
        finally:
            self._connections -= 1
            writer.close()


async def write(desk: Desk, store: Sightings) -> int:
    """Writes what waits; how many belonged to an assignment.

    Raises:
        Exception: The database's, after what was taken is back in its place.
    """
    kept = 0
    while seen := desk.take():
        try:
            kept += await store.asked(seen)
        except postgres.FAILURES:
            desk.put_back(seen)
            raise
    return kept


async def serve(settings: NonceSettings, store: Sightings, ready: Callable[[int], None]) -> None:
    """Answers until SIGTERM or SIGINT.

    Raises:
        LachanError: It cannot start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    zone = Zone(settings.zone, settings.secret(), settings.nameserver, settings.address)
    desk = Desk(zone, Pace(settings.queries_a_second))
    server = NonceServer(settings, desk)
    ready(await server.start())
    try:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), settings.flush)
            try:
                await write(desk, store)
            except postgres.FAILURES as error:
                _log.warning("what was seen waits for the database", reason=str(error)[:200])
            if desk.dropped:
                _log.warning("queries were not answered or not noted", count=desk.dropped)
                desk.dropped = 0
    finally:
        await server.stop()

"""Clients: modest traffic to both operators, so that counters move and probes are not the only ones who ask.

Listed, clean, absent and case-mixed names, of several types, over UDP and TCP, from an ordinary address and from a
school's. Holds always: what is asked is bounded in rate and in number under way; an answer that does not come costs a
line of the summary and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import struct
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, cast

import uvloop
from pydantic import Field

from lachan import config, log
from lachan.config import Settings
from lachan.message import AAAA, NXDOMAIN, A, MessageError, parse, query

HTTPS = 65
ORDINARY = "127.0.0.1"
SCHOOL = "127.0.0.2"
TCP_SHARE = 0.1
SCHOOL_SHARE = 0.2
TCP_SECONDS = 3.0
TCP_MOST = 32
SUMMARY_SECONDS = 10.0

Port = Annotated[int, Field(ge=1, le=65535)]
Names = Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]


class TrafficSettings(Settings):
    """traffic.yaml."""

    resolvers: dict[str, Port]
    listed: Names
    clean: Names
    rate: float = Field(default=25, gt=0, le=1000, description="queries a second, to each resolver")


class _Answers(asyncio.DatagramProtocol):
    """Counts what comes back over UDP."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The loop's own transport has the methods without the base class.
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: ARG002 # the socket is connected
        tally(self._counts, data)


def tally(counts: Counter[str], response: bytes) -> None:
    """Counts an answer by what it says."""
    try:
        answer = parse(response)
    except MessageError:
        counts["malformed"] += 1
        return
    counts["answered"] += 1
    if answer.errors:
        counts["blocked"] += 1
    elif answer.rcode == NXDOMAIN:
        counts["absent"] += 1


def mixed(name: str, rng: random.Random) -> str:
    """The name in a case of its own: to a list it is the same name."""
    return "".join(rng.choice((letter.lower(), letter.upper())) for letter in name)


def pick(settings: TrafficSettings, rng: random.Random) -> tuple[str, int]:
    """What a client asks next: mostly clean names, some listed ones and names below them, some that do not exist."""
    kind = rng.random()
    if kind < 0.25:
        name = rng.choice(settings.listed)
        if rng.random() < 0.2:
            name = f"www.{name}"
    elif kind < 0.9:
        name = f"{rng.choice(('', 'www.', 'm.', 'cdn.'))}{rng.choice(settings.clean)}"
    else:
        name = f"nx{rng.randrange(1000)}.{rng.choice(settings.clean)}"
    if rng.random() < 0.2:
        name = mixed(name, rng)
    return name, rng.choice((A, A, AAAA, HTTPS))


class Clients:
    """All clients of one operator."""

    def __init__(self, operator: str, port: int, settings: TrafficSettings, rng: random.Random) -> None:
        self._operator = operator
        self._port = port
        self._settings = settings
        self._rng = rng
        self._counts: Counter[str] = Counter()
        self._over_tcp: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Asks until cancelled."""
        loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as stack:
            sources: dict[str, _Answers] = {}
            for address in (ORDINARY, SCHOOL):
                transport, protocol = await loop.create_datagram_endpoint(
                    lambda: _Answers(self._counts), local_addr=(address, 0), remote_addr=(ORDINARY, self._port)
                )
                stack.callback(transport.close)
                sources[address] = protocol
            told = time.monotonic()
            while True:
                address = SCHOOL if self._rng.random() < SCHOOL_SHARE else ORDINARY
                self._ask(sources[address], address)
                await asyncio.sleep(self._rng.expovariate(self._settings.rate))
                if time.monotonic() - told >= SUMMARY_SECONDS:
                    told = time.monotonic()
                    log.get().info("asked", operator=self._operator, **dict(sorted(self._counts.items())))

    def _ask(self, source: _Answers, address: str) -> None:
        qname, qtype = pick(self._settings, self._rng)
        data = query(qname, qtype, id=self._rng.getrandbits(16))
        self._counts["asked"] += 1
        if self._rng.random() < TCP_SHARE and len(self._over_tcp) < TCP_MOST:
            task = asyncio.ensure_future(self._stream(data, address))
            self._over_tcp.add(task)
            task.add_done_callback(self._over_tcp.discard)
        elif source.transport is not None:
            source.transport.sendto(data)

    async def _stream(self, data: bytes, address: str) -> None:
        try:
            async with asyncio.timeout(TCP_SECONDS):
                reader, writer = await asyncio.open_connection(ORDINARY, self._port, local_addr=(address, 0))
                try:
                    writer.write(struct.pack("!H", len(data)) + data)
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    tally(self._counts, await reader.readexactly(length))
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self._counts["failed"] += 1


async def _serve(settings: TrafficSettings) -> None:
    rng = random.Random()
    clients = [Clients(operator, port, settings, rng).run() for operator, port in settings.resolvers.items()]
    work = asyncio.gather(*clients)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    log.get().info("asking", resolvers=settings.resolvers)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def main() -> None:
    """The process `traffic` of the demo."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--config", type=Path, required=True)
    settings = config.load(parser.parse_args().config, TrafficSettings)
    log.configure("traffic")
    uvloop.run(_serve(settings))


if __name__ == "__main__":
    main()

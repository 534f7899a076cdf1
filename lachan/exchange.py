"""One DNS exchange with one server, over UDP or TCP. The only importer of asyncio-dgram.

Holds always: every try has a socket of its own (a port drawn by the kernel, connected, so that only the server's
packets reach it), an id of its own, and an end; what does not match id, question and source is never taken for the
answer. A receive queue here has no bound but the life of its socket, which is one try: this code never faces clients.
"""

from __future__ import annotations

import asyncio
import enum
import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncio_dgram

from lachan.address import is_address
from lachan.message import FORMERR, HEADER_BYTES, NOTIMP, REFUSED, SERVFAIL, Message, MessageError, parse, read_question

_TRUNCATED = 0x0200
_RESPONSE = 0x8000
_OPCODE = 0x7800
# Response codes that a server may give without repeating a question it could not or would not read.
_BARE = {FORMERR, SERVFAIL, NOTIMP, REFUSED}
# asyncio-dgram keeps an error of the socket until somebody looks; this is how often somebody does.
_LOOK_SECONDS = 0.05


class Transport(enum.Enum):
    """How a query travels."""

    UDP = "udp"
    TCP = "tcp"


class Outcome(enum.Enum):
    """How an exchange ended."""

    ANSWERED = "answered"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Server:
    """Where to ask; `address` is an IP address in text."""

    address: str
    port: int = 53
    transport: Transport = Transport.UDP


@dataclass(frozen=True)
class Manner:
    """How to ask."""

    tries: int = 3
    timeout: float = 2.0
    """Seconds, of one try; a change to TCP has as many again."""
    strays: int = 32
    """Packets that do not match, before a try ends."""
    follow_truncation: bool = True
    """Ask again over TCP where TC is set."""
    keep_case: bool = True
    """The answer must repeat the case of the question."""


@dataclass(frozen=True)
class Exchange:
    """How an exchange ended: the last query sent, and what came back for it."""

    outcome: Outcome
    transport: Transport
    query: bytes
    response: bytes
    """Empty where nothing came; with `MALFORMED`, the last thing that was no answer."""
    message: Message | None
    """The answer, read; only with `ANSWERED`."""
    tries: int
    duration: float
    """Seconds from the last query to its end."""


@dataclass(frozen=True)
class _Try:
    outcome: Outcome
    response: bytes = b""
    message: Message | None = None


def matches(query: bytes, response: bytes, *, keep_case: bool = True) -> bool:
    """Whether `response` answers `query`: same id, opcode and question, or an error that repeats no question."""
    if len(response) < HEADER_BYTES or response[:2] != query[:2]:
        return False
    asked, flags = (int.from_bytes(data[2:4], "big") for data in (query, response))
    if not flags & _RESPONSE or (asked ^ flags) & _OPCODE:
        return False
    if response[4:6] == b"\0\0":
        return flags & 0xF in _BARE
    try:
        end = read_question(query)[1]
        if read_question(response)[1] != end:
            return False
    except MessageError:
        return False
    name, rest = slice(HEADER_BYTES, end - 4), slice(end - 4, end)
    same_name = query[name] == response[name] or (not keep_case and query[name].lower() == response[name].lower())
    return same_name and query[rest] == response[rest]


def judge(response: bytes) -> _Try:
    """What a response that matches is worth."""
    try:
        return _Try(Outcome.ANSWERED, response, parse(response))
    except MessageError:
        return _Try(Outcome.MALFORMED, response)


def is_truncated(response: bytes) -> bool:
    """Whether TC is set."""
    return bool(int.from_bytes(response[2:4], "big") & _TRUNCATED)


async def _ask(server: Server, transport: Transport, query: bytes, manner: Manner) -> _Try:
    # A name would be looked up by the system's resolver, which may be the very thing that is asked about.
    if not is_address(server.address):
        return _Try(Outcome.UNREACHABLE)
    return await (_ask_udp if transport is Transport.UDP else _ask_tcp)(server, query, manner)


async def _ask_udp(server: Server, query: bytes, manner: Manner) -> _Try:
    last = b""
    try:
        async with asyncio.timeout(manner.timeout):
            stream = await asyncio_dgram.connect((server.address, server.port))
            try:
                await stream.send(query)
                strays = 0
                while strays <= manner.strays:
                    try:
                        # Looks for an error of the socket first.
                        data, _ = await asyncio.wait_for(stream.recv(), _LOOK_SECONDS)
                    except TimeoutError:
                        continue
                    if matches(query, data, keep_case=manner.keep_case):
                        return _Try(Outcome.ANSWERED, data) if is_truncated(data) else judge(data)
                    strays += 1
                    last = data
            finally:
                stream.close()
    except TimeoutError:
        return _Try(Outcome.MALFORMED if last else Outcome.TIMEOUT, last)
    except (OSError, asyncio_dgram.TransportClosed):
        return _Try(Outcome.UNREACHABLE)
    return _Try(Outcome.MALFORMED, last)


async def _ask_tcp(server: Server, query: bytes, manner: Manner) -> _Try:
    try:
        async with asyncio.timeout(manner.timeout):
            reader, writer = await asyncio.open_connection(server.address, server.port)
            try:
                writer.write(struct.pack("!H", len(query)) + query)
                await writer.drain()
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                data = await reader.readexactly(length)
            except asyncio.IncompleteReadError as error:
                return _Try(Outcome.MALFORMED if error.partial else Outcome.UNREACHABLE, error.partial)
            finally:
                # Nothing more is expected either way: no lingering.
                writer.transport.abort()
    except TimeoutError:
        return _Try(Outcome.TIMEOUT)
    except OSError:
        return _Try(Outcome.UNREACHABLE)
    return judge(data) if matches(query, data, keep_case=manner.keep_case) else _Try(Outcome.MALFORMED, data)


async def exchange(
    server: Server,
    query: bytes,
    manner: Manner | None = None,
    *,
    rng: random.Random | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Exchange:
    """Asks until an answer came or the tries are used up.

    Args:
        server: Whom to ask.
        query: A whole query with one question; every try replaces its id.
        manner: How to ask.
        rng: Where ids come from; the system's random source where None.
        clock: What durations are measured by; deadlines are the event loop's.
    """
    manner = manner or Manner()
    rng = rng or random.SystemRandom()
    tries = 0
    while True:
        tries += 1
        transport = server.transport
        sent = rng.getrandbits(16).to_bytes(2, "big") + query[2:]
        start = clock()
        tried = await _ask(server, transport, sent, manner)
        if transport is Transport.UDP and tried.outcome is Outcome.ANSWERED and tried.message is None:
            if manner.follow_truncation:
                transport = Transport.TCP
                sent = rng.getrandbits(16).to_bytes(2, "big") + query[2:]
                start = clock()
                tried = await _ask(server, transport, sent, manner)
            else:
                tried = judge(tried.response)
        if tried.outcome is Outcome.ANSWERED or tries >= manner.tries:
            return Exchange(
                tried.outcome, transport, sent, tried.response, tried.message, tries, max(0.0, clock() - start)
            )

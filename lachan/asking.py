"""How one server is asked once, and what that came to; whatever the transport.

Holds always: what does not match id and question is never taken for the answer.
"""

from __future__ import annotations

import asyncio
import enum
import struct
from dataclasses import dataclass

from lachan.message import FORMERR, HEADER_BYTES, NOTIMP, REFUSED, SERVFAIL, Message, MessageError, parse, read_question

_TRUNCATED = 0x0200
_RESPONSE = 0x8000
_OPCODE = 0x7800
# Response codes that a server may give without repeating a question it could not or would not read.
_BARE = {FORMERR, SERVFAIL, NOTIMP, REFUSED}


class Transport(enum.Enum):
    """How a query travels."""

    UDP = "udp"
    TCP = "tcp"
    DOT = "dot"
    """RFC 7858."""
    DOH = "doh"
    """RFC 8484 over HTTP/2."""


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
    name: str = ""
    """What its certificate is for; the address where empty."""
    path: str = "/dns-query"
    """Of the URL."""


@dataclass(frozen=True)
class Manner:
    """How to ask."""

    tries: int = 3
    timeout: float = 2.0
    """Seconds, of one try; a change to TCP has as many again, and so has the making of a connection."""
    strays: int = 32
    """Packets that do not match, before a try ends."""
    follow_truncation: bool = True
    """Ask again over TCP where TC is set."""
    keep_case: bool = True
    """The answer must repeat the case of the question."""
    roots: str | None = None
    """Who says that a certificate holds, in PEM; the system's where None. One that does not hold is told."""


@dataclass(frozen=True)
class Try:
    """How one try ended."""

    outcome: Outcome
    response: bytes = b""
    message: Message | None = None
    certificate: bytes = b""
    certificate_holds: bool = False


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


def judge(response: bytes) -> Try:
    """What a response that matches is worth."""
    try:
        return Try(Outcome.ANSWERED, response, parse(response))
    except MessageError:
        return Try(Outcome.MALFORMED, response)


def is_truncated(response: bytes) -> bool:
    """Whether TC is set."""
    return bool(int.from_bytes(response[2:4], "big") & _TRUNCATED)


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, query: bytes, manner: Manner) -> Try:
    """Asks once on a connection that is made, in TCP's framing (RFC 1035 4.2.2); the connection is still open after."""
    try:
        async with asyncio.timeout(manner.timeout):
            writer.write(struct.pack("!H", len(query)) + query)
            await writer.drain()
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            data = await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        return Try(Outcome.MALFORMED if error.partial else Outcome.UNREACHABLE, error.partial)
    except TimeoutError:
        return Try(Outcome.TIMEOUT)
    except OSError:
        return Try(Outcome.UNREACHABLE)
    return judge(data) if matches(query, data, keep_case=manner.keep_case) else Try(Outcome.MALFORMED, data)

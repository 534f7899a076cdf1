"""The upstream behind the edge: the demo's, and beside it names that chain, lie, come late or fill a message exactly.

Holds always: what is played is decided by the name, and by how often it was asked; whatever was asked is remembered, so that a case can hold the
edge to what it forwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import cast

from deploy.demo import upstream as demo
from tests.conformance.packet import ECS, opt, option, question, wire

FORGED = "192.0.2.66"
TRUE = "192.0.2.1"
POINTER = b"\xc0\x0c"
Player = Callable[[bytes], list[bytes]]


def name_at(query: bytes) -> tuple[list[str], int]:
    """The labels of the question's name, lowercased, and the offset behind it."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1").lower())
        at += query[at] + 1
    return labels, at + 1


def record(rdtype: int, data: bytes, owner: bytes = POINTER, ttl: int = 300) -> bytes:
    """A record of class IN, of the question's name unless said otherwise."""
    return owner + struct.pack("!HHIH", rdtype, 1, ttl, len(data)) + data


def address(text: str, owner: bytes = POINTER, ttl: int = 300) -> bytes:
    """An A record."""
    return record(1, socket.inet_aton(text), owner, ttl)


def response(
    query: bytes,
    *answer: bytes,
    authority: tuple[bytes, ...] = (),
    flags: int = 0x8180,
    options: bytes = b"",
    asked: bytes | None = None,
) -> bytes:
    """An answer with OPT; `flags` holds the response code, `asked` is another question than the query's."""
    if asked is None:
        asked = query[12 : name_at(query)[1] + 4]
    head = query[:2] + struct.pack("!HHHHH", flags, 1, len(answer), len(authority), 1)
    return head + asked + b"".join(answer) + b"".join(authority) + opt(options=options)


SOA = record(
    6, wire("ns.ok.example") + wire("hostmaster.ok.example") + struct.pack("!5I", 1, 3600, 600, 86400, 30),
    wire("ok.example"),
)  # fmt: skip


def _cname(*names: str) -> Player:
    """A chain that ends in a forged address where it leads to a listed name, in a true one elsewhere."""

    def play(query: bytes) -> list[bytes]:
        owner, chain = POINTER, []
        for name in names:
            chain.append(record(5, wire(name), owner))
            owner = wire(name)
        return [response(query, *chain, address(FORGED if "bad" in names[-1] else TRUE, owner))]

    return play


def _dname(query: bytes) -> list[bytes]:
    own = wire(".".join(name_at(query)[0][1:]))
    target = wire(name_at(query)[0][0] + ".bad.example")
    return [response(query, record(39, wire("bad.example"), own), record(5, target), address(FORGED, target))]


def _sized(query: bytes) -> list[bytes]:
    """A TXT record that makes the edge's answer, its OPT included, as long as the name says."""
    labels, end = name_at(query)
    left = int(labels[0].partition("-")[2]) - (end + 4) - 12 - 11
    strings = b""
    while left:
        part = min(left, 256)
        # One octet alone would be a string without a byte: it is, and allowed.
        strings += bytes([part - 1]) + b"x" * (part - 1)
        left -= part
    return [response(query, record(16, strings))]


def _poison(query: bytes) -> list[bytes]:
    victim = wire("victim." + ".".join(name_at(query)[0][1:]))
    return [response(query, address(TRUE), address(FORGED, victim))]


def _lie(forge: Callable[[bytes], bytes]) -> Player:
    """First what an attacker would send, then the truth."""
    return lambda query: [forge(query), response(query, address(TRUE))]


def _forged(query: bytes, asked: bytes | None = None, flags: int = 0x8180) -> bytes:
    return response(query, address(FORGED), asked=asked, flags=flags)


def _other_id(query: bytes) -> bytes:
    return bytes([query[0] ^ 1]) + _forged(query)[1:]


def _no_question(query: bytes) -> bytes:
    return query[:2] + struct.pack("!5H", 0x8180, 0, 1, 0, 0) + address(FORGED, wire(".".join(name_at(query)[0])))


# By the first label up to its hyphen.
PLAYED: dict[str, Player] = {
    "alias": _cname("hop.ok.example"),
    "chain": _cname("www.bad.example"),
    "far": _cname("hop.ok.example", "next.ok.example", "deep.bad.example"),
    "turn": lambda q: [response(q, record(5, wire("www.bad.example")), record(5, POINTER, wire("www.bad.example")))],
    "below": _dname,
    "service": lambda q: [response(q, record(65, b"\0\1" + wire("cdn.bad.example")))],
    "size": _sized,
    "nodata": lambda q: [response(q, authority=(SOA,))],
    "gone": lambda q: [response(q, authority=(SOA,), flags=0x8183)],
    "soaless": lambda q: [response(q, flags=0x8183)],
    "secure": lambda q: [response(q, address(TRUE), flags=0x81A0)],
    "authoritative": lambda q: [response(q, address(TRUE), flags=0x8580)],
    "subnet": lambda q: [response(q, address(TRUE), options=option(ECS, b"\0\1\x18\x18\xc6\x33\x64"))],
    "ttl": lambda q: [response(q, address(TRUE, ttl=0x80000001))],
    "zero": lambda q: [response(q, address(TRUE, ttl=0))],
    "lost": lambda q: [response(q, record(5, wire("nobody.ok.example")), authority=(SOA,), flags=0x8183)],
    "refusing": lambda q: [response(q, flags=0x8185)],
    "poison": _poison,
    "wrongid": _lie(_other_id),
    "wrongname": _lie(lambda q: _forged(q, question("other.ok.example"))),
    "wrongtype": _lie(lambda q: _forged(q, q[12 : name_at(q)[1]] + b"\0\x1c\0\1")),
    "wrongclass": _lie(lambda q: _forged(q, q[12 : name_at(q)[1]] + b"\0\1\0\3")),
    "noquestion": _lie(_no_question),
    "echo": _lie(lambda q: q),
    "opcode": _lie(lambda q: _forged(q, flags=0xA180)),
    "broken": _lie(lambda q: _forged(q)[:-14]),
    "trailing": _lie(lambda q: _forged(q) + b"\0"),
}


class Upstream(asyncio.DatagramProtocol):
    """One server, and what it was asked."""

    def __init__(self) -> None:
        self.port = 0
        self._asked: list[bytes] = []
        self._held: dict[str, list[tuple[bytes, tuple[str, int]]]] = {}
        self._stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stranger.bind(("127.0.0.1", 0))
        self._stranger.setblocking(False)

    def queries(self, name: str) -> list[bytes]:
        """The queries for a name, so far."""
        labels = name.lower().rstrip(".").split(".")
        return [query for query in list(self._asked) if name_at(query)[0] == labels]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The loop's own transport has the methods without the base class.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._asked.append(data)
        kind, _, key = name_at(data)[0][0].partition("-") if data[12] else ("", "", "")
        if kind == "held":
            # Answered only when its release is asked for.
            self._held.setdefault(key, []).append((data, addr))
            return
        if kind == "wrongport":
            self._stranger.sendto(_forged(data), addr)
        for packet in self._play(kind, data, datagram=True):
            self._transport.sendto(packet, addr)
        if kind == "release":
            for query, source in self._held.pop(key, []):
                self._transport.sendto(response(query, address(TRUE)), source)

    def _play(self, kind: str, query: bytes, *, datagram: bool) -> list[bytes]:
        if kind == "once":
            # A second of truth, and then nothing but failures.
            if len(self.queries(".".join(name_at(query)[0]))) == 1:
                return [response(query, address(TRUE, ttl=1))]
            return [response(query, flags=0x8182)]
        if kind in PLAYED:
            answers = PLAYED[kind](query)
            if datagram and len(answers[-1]) > 1232:
                return [response(query, flags=0x8380)]
            return answers
        if kind in {"wrongport", "release"}:
            return [response(query, address(TRUE))]
        answer = demo.answer(query, datagram=datagram)
        return [answer] if answer is not None else []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection that asks once."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            query = await reader.readexactly(length)
            self._asked.append(query)
            for packet in self._play(name_at(query)[0][0].partition("-")[0], query, datagram=False):
                writer.write(struct.pack("!H", len(packet)) + packet)
            await writer.drain()
        writer.close()

    def close(self) -> None:
        """Ends it."""
        self._transport.close()
        self._stranger.close()


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Runs it in this loop."""
    one = Upstream()
    async with await asyncio.start_server(one.talk, "127.0.0.1", 0) as server:
        one.port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: one, local_addr=("127.0.0.1", one.port))
        try:
            yield one
        finally:
            one.close()

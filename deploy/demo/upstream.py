"""The internet's names, played by one small server over UDP and TCP: every name is alive, listed or not.

Holds always: the same question has the same answer; a malformed, foreign or future query gets the answer that the
standards ask for; a UDP answer fits what the client said it takes, and TC sends it to TCP. It filters nothing, so it
also serves as the probes' reference. Connections, messages and silences are bounded.

Three kinds of names are special: a first label that begins with `nx` does not exist, one that begins with `fail` is
answered by SERVFAIL, and one that begins with `big` has a TXT record that does not fit into a datagram.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import ipaddress
import signal
import struct
from collections.abc import AsyncIterator
from typing import cast

import uvloop

from lachan import log
from lachan.labels import MessageError, name_labels, wire_name
from lachan.message import (
    AAAA,
    ANY,
    BADVERS,
    FORMERR,
    HEADER_BYTES,
    IN,
    MX,
    NOTIMP,
    NS,
    NXDOMAIN,
    QUERY,
    REFUSED,
    SERVFAIL,
    SOA,
    TXT,
    A,
    Message,
    Record,
    parse,
)
from lachan.reply import Reply, address_record, name_record, record, respond, soa_record, txt_record

HTTPS = 65
TTL = 60
NEGATIVE_TTL = 30
UDP_MAX = 1232
UDP_LEAST = 512
CONNECTIONS_MAX = 256
IDLE_SECONDS = 10.0

_SOA_TIMES = (1, 3600, 600, 86400, NEGATIVE_TTL)
_NETWORKS = tuple(ipaddress.ip_network(text) for text in ("198.51.100.0/24", "203.0.113.0/24"))
_NETWORK_6 = ipaddress.IPv6Network("2001:db8::/32")
_NAME_SERVER = "ns.upstream.example"


def addresses(name: str) -> tuple[str, str]:
    """The IPv4 and the IPv6 address of a name: documentation addresses (RFC 5737, 3849), drawn by the name's hash."""
    digest = hashlib.sha256(name.lower().encode()).digest()
    network = _NETWORKS[digest[0] % len(_NETWORKS)]
    host = 1 + digest[1] % 254
    return str(network[host]), str(_NETWORK_6[int.from_bytes(digest[2:12], "big") or 1])


def _records(name: str, qtype: int) -> tuple[Record, ...]:
    ipv4, ipv6 = addresses(name)
    if qtype == A:
        return (address_record(name, TTL, ipv4),)
    if qtype == AAAA:
        return (address_record(name, TTL, ipv6),)
    if qtype == HTTPS:
        # RFC 9460: priority 1, the name itself, ALPN h2.
        return (record(name, HTTPS, TTL, struct.pack("!H", 1) + b"\0" + struct.pack("!HH", 1, 3) + b"\2h2"),)
    if qtype == MX:
        return (record(name, MX, TTL, struct.pack("!H", 10) + wire_name(_NAME_SERVER)),)
    if qtype == NS:
        return (name_record(name, NS, TTL, _NAME_SERVER),)
    if qtype == TXT:
        strings = [b"synthetic"] if not name.lower().startswith("big") else [b"x" * 250] * 12
        return (txt_record(name, TTL, *strings),)
    if qtype == ANY:
        # RFC 8482, section 4.2.
        return (record(name, 13, TTL, b"\7RFC8482\0"),)
    return ()


def _zone(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def reply(asked: Message) -> Reply:
    """What a well-formed query is answered."""
    if asked.opcode != QUERY:
        return Reply(NOTIMP)
    if asked.edns is not None and asked.edns.version > 0:
        return Reply(BADVERS)
    question = asked.question
    if question is None:
        return Reply(FORMERR)
    if question.qclass != IN:
        return Reply(REFUSED)
    name = question.qname
    first = name_labels(name)[0].lower() if name != "." else b""
    if first.startswith(b"fail"):
        return Reply(SERVFAIL)
    soa = soa_record(_zone(name), NEGATIVE_TTL, _NAME_SERVER, "hostmaster.upstream.example", _SOA_TIMES)
    if first.startswith(b"nx"):
        return Reply(NXDOMAIN, authority=(soa,))
    if question.qtype == SOA:
        return Reply(answers=(soa,))
    found = _records(name, question.qtype)
    return Reply(answers=found) if found else Reply(authority=(soa,))


def answer(query: bytes, *, datagram: bool) -> bytes | None:
    """The answer's bytes; None where silence is the right one (RFC 1035: what is no query has no answer)."""
    if len(query) < HEADER_BYTES or query[2] & 0x80:
        return None
    limit = 65_535
    try:
        asked = parse(query)
    except MessageError:
        return respond(query, Reply(FORMERR), UDP_LEAST)
    if datagram:
        limit = max(UDP_LEAST, min(asked.edns.size, UDP_MAX)) if asked.edns else UDP_LEAST
    return respond(query, reply(asked), limit)


class _Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The loop's own transport has the methods without the base class.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        response = answer(data, datagram=True)
        if response is not None:
            self._transport.sendto(response, addr)


class _Streams:
    """Connections that ask any number of questions, one after another."""

    def __init__(self) -> None:
        self._open: set[asyncio.StreamWriter] = set()

    def abort(self) -> None:
        """Ends all of them at once."""
        for writer in self._open:
            writer.transport.abort()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        if len(self._open) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    response = answer(await reader.readexactly(length), datagram=False)
                    if response is None:
                        return
                    writer.write(struct.pack("!H", len(response)) + response)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return
        finally:
            self._open.discard(writer)
            writer.close()


@contextlib.asynccontextmanager
async def upstream(address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Serves on one port over UDP and TCP; the port, which the kernel draws where 0 was asked.

    Raises:
        OSError: The port is taken.
    """
    streams = _Streams()
    async with await asyncio.start_server(streams.talk, address, port) as server:
        taken: int = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        datagrams, _ = await loop.create_datagram_endpoint(_Datagrams, local_addr=(address, taken))
        try:
            yield taken
        finally:
            datagrams.close()
            streams.abort()


async def _serve(address: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with upstream(address, port) as taken:
        log.get().info("serving", address=address, port=taken)
        await stop.wait()


def main() -> None:
    """The process `upstream` of the demo."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    log.configure("upstream")
    uvloop.run(_serve(arguments.address, arguments.port))


if __name__ == "__main__":
    main()

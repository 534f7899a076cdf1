"""One DNS exchange with one server, over UDP, TCP, TLS or HTTPS. The only importer of asyncio-dgram.

Holds always: every try has a socket of its own (a port drawn by the kernel, connected, so that only the server's
packets reach it), an id of its own, and an end; what does not match id, question and source is never taken for the
answer; a server that took no connection was never asked, and is unreachable, never silent. A receive queue here has no
bound but the life of its socket, which is one try: this code never faces clients.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncio_dgram

from lachan.address import is_address
from lachan.asking import Manner, Outcome, Server, Transport, Try, converse, is_truncated, judge, matches
from lachan.message import Message

# asyncio-dgram keeps an error of the socket until somebody looks; this is how often somebody does.
_LOOK_SECONDS = 0.05


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
    certificate: bytes = b""
    """The server's, in DER; only by TLS and HTTPS."""
    certificate_holds: bool = False


async def _ask(server: Server, transport: Transport, query: bytes, manner: Manner) -> Try:
    # A name would be looked up by the system's resolver, which may be the very thing that is asked about.
    if not is_address(server.address):
        return Try(Outcome.UNREACHABLE)
    if transport in {Transport.UDP, Transport.TCP}:
        return await (_ask_udp if transport is Transport.UDP else _ask_tcp)(server, query, manner)
    # Whoever asks in the clear alone loads neither TLS nor HTTP.
    from lachan import encrypted

    return await (encrypted.ask_tls if transport is Transport.DOT else encrypted.ask_https)(server, query, manner)


async def _ask_udp(server: Server, query: bytes, manner: Manner) -> Try:
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
                        return Try(Outcome.ANSWERED, data) if is_truncated(data) else judge(data)
                    strays += 1
                    last = data
            finally:
                stream.close()
    except TimeoutError:
        return Try(Outcome.MALFORMED if last else Outcome.TIMEOUT, last)
    except (OSError, asyncio_dgram.TransportClosed):
        return Try(Outcome.UNREACHABLE)
    return Try(Outcome.MALFORMED, last)


async def _ask_tcp(server: Server, query: bytes, manner: Manner) -> Try:
    try:
        async with asyncio.timeout(manner.timeout):
            reader, writer = await asyncio.open_connection(server.address, server.port)
    except OSError:
        return Try(Outcome.UNREACHABLE)
    try:
        return await converse(reader, writer, query, manner)
    finally:
        # Nothing more is expected either way: no lingering.
        writer.transport.abort()


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
        # RFC 8484 4.1: over HTTPS the id is 0.
        sent = (0 if transport is Transport.DOH else rng.getrandbits(16)).to_bytes(2, "big") + query[2:]
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
                tried.outcome,
                transport,
                sent,
                tried.response,
                tried.message,
                tries,
                max(0.0, clock() - start),
                tried.certificate,
                tried.certificate_holds,
            )

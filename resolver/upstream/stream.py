"""Asks an upstream over TCP what it truncated over UDP (RFC 7766): one connection a question, bounded."""

from __future__ import annotations

import asyncio

from lachan.exchange import Exchange, Manner, Outcome, Server, Transport, exchange
from resolver.upstream.settings import Upstream

CONNECTIONS_MAX = 128
# The header behind the id: RD and AD, with CD where the client set it; one question, one additional record.
_HEADER = b"\0\0\x01%b\0\1\0\0\0\0\0\1"
_OPT = b"\0\0\x29\xff\xff\0\0%b\0\0\0"
_BIT_DO = 1
_BIT_CD = 2


class StreamUpstreams:
    """All upstreams of a worker, over TCP."""

    def __init__(self, upstreams: tuple[Upstream, ...], timeout: float) -> None:
        self._servers = [Server(upstream.address, upstream.port, Transport.TCP) for upstream in upstreams]
        self._manner = Manner(tries=1, timeout=timeout, keep_case=False)
        self._room = asyncio.Semaphore(CONNECTIONS_MAX)

    async def ask(self, number: int, question: bytes, bits: int) -> bytes | None:
        """What upstream `number` answers, or None where it does not within the timeout.

        Args:
            number: Position of the upstream in the configuration.
            question: Header, name, type and class as the compiled core has them; the id is drawn anew.
            bits: 1 for DO, 2 for CD.
        """
        query = (
            _HEADER % (b"\x30" if bits & _BIT_CD else b"\x20")
            + question[12:]
            + _OPT % (b"\x80" if bits & _BIT_DO else b"\0")
        )
        async with self._room:
            result: Exchange = await exchange(self._servers[number], query, self._manner)
        return result.response if result.outcome is Outcome.ANSWERED else None

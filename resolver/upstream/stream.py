"""Asks upstreams over streams: TCP (RFC 7766), DNS over TLS (RFC 7858) and DNS over HTTPS (RFC 8484).

What the compiled core cannot do over UDP comes here: questions for upstreams that are reached by nothing else, and
those whose answer was cut short. Holds always: a question is told once, answered or not, by its deadline.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from resolver.upstream.connections import Connections
from resolver.upstream.question import HEADER_BYTES, Done, Question
from resolver.upstream.settings import Upstream


class StreamUpstreams:
    """All upstreams of a worker."""

    def __init__(self, upstreams: Sequence[Upstream], timeout: float, source: random.Random | None = None) -> None:
        """A question may take `timeout` seconds; ids come from `source`, the system's where None."""
        source = source or random.SystemRandom()
        self._timeout = timeout
        self._now = asyncio.get_running_loop().time
        self._upstreams = [Connections(one, source) for one in upstreams]

    def begin(self, number: int, question: bytes, bits: int, done: Done) -> None:
        """Asks, and returns.

        Args:
            number: Position of the upstream in the configuration.
            question: Header, name, type and class as the compiled core has them; nothing of the header is used.
            bits: 1 for DO, 2 for CD.
            done: Takes the answer, or None where there is none within the timeout; called once, never from here.
        """
        asked = Question(question[HEADER_BYTES:], bits, done, self._now() + self._timeout)
        self._upstreams[number].ask(asked)

    async def ask(self, number: int, question: bytes, bits: int) -> bytes | None:
        """What an upstream answers, or None where it does not within the timeout; arguments as those of `begin`."""
        answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def done(message: bytes | None) -> None:
            if not answer.done():
                answer.set_result(message)

        self.begin(number, question, bits, done)
        return await answer

    def status(self) -> list[dict[str, Any]]:
        """What became of each upstream's connections, in the order of the configuration."""
        return [upstream.status() for upstream in self._upstreams]

    def close(self) -> None:
        """Ends every connection."""
        for upstream in self._upstreams:
            upstream.close()

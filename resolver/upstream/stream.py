"""Asks an upstream over TCP what it truncated over UDP (RFC 7766): one connection a question, bounded."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

from resolver.settings import Upstream

CONNECTIONS_MAX = 128
OPT = b"\0\0\x29\xff\xff\0\0%b\0\0\0"


class StreamUpstreams:
    """All upstreams of a worker, over TCP."""

    def __init__(self, upstreams: tuple[Upstream, ...], timeout: float) -> None:
        self._upstreams = upstreams
        self._timeout = timeout
        self._room = asyncio.Semaphore(CONNECTIONS_MAX)

    async def ask(self, number: int, question: bytes, bits: int) -> bytes | None:
        """What upstream `number` answers, or None where it does not within the timeout.

        Args:
            number: Position of the upstream in the configuration.
            question: Header, name, type and class as the compiled core has them; the id is drawn anew.
            bits: 1 for DO, 2 for CD.
        """
        upstream = self._upstreams[number]
        query_id = secrets.token_bytes(2)
        flags = b"\x01\x30" if bits & 2 else b"\x01\x20"
        query = query_id + flags + b"\0\1\0\0\0\0\0\1" + question[12:] + OPT % (b"\x80" if bits & 1 else b"\0")
        writer = None
        try:
            async with self._room, asyncio.timeout(self._timeout):
                reader, writer = await asyncio.open_connection(upstream.address, upstream.port)
                writer.write(len(query).to_bytes(2, "big") + query)
                size = int.from_bytes(await reader.readexactly(2), "big")
                response = await reader.readexactly(size)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return None
        finally:
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        asked = question[12:]
        answers = response[12 : 12 + len(asked)].lower() == asked.lower()
        return response if response[:2] == query_id and answers and response[2] & 0x80 else None

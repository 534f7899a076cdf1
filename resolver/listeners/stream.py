"""DNS over TCP (RFC 7766): many queries a connection, answered as they are ready, within bounds.

Holds always: a message has a deadline from its first byte to its last; a connection has a bound on queries outstanding
and stops being read beyond it, or while its peer does not read; an idle one is closed; one above the bound of all
connections is closed at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from resolver._hot.engine import Engine
from resolver.settings import Tcp, mapped

SWEEP_SECONDS = 0.5
HIGH_WATER_BYTES = 256 << 10


class StreamServer:
    """All TCP connections of a worker."""

    def __init__(self, engine: Engine, limits: Tcp, transport: int, settled: Callable[[], None]) -> None:
        """`transport` is numbered as in lachan.compliance.v1; `settled` runs after queries went to the engine."""
        self.engine = engine
        self.limits = limits
        self.transport = transport
        self.settled = settled
        self.connections: set[StreamConnection] = set()
        self._waiting: dict[int, StreamConnection] = {}
        self._token = 0

    def protocol(self) -> StreamConnection:
        """The factory that asyncio asks for each connection."""
        return StreamConnection(self)

    def ask(self, connection: StreamConnection, query: bytes, address: bytes) -> bytes | None:
        """The answer, or None where it comes later by `deliver`."""
        self._token += 1
        answer = self.engine.answer(query, address, self.transport, self._token)
        if answer is None:
            self._waiting[self._token] = connection
        return answer

    def deliver(self, token: int, answer: bytes) -> None:
        """Passes a late answer on, if its connection is still there."""
        connection = self._waiting.pop(token, None)
        if connection is not None:
            connection.deliver(answer)

    def sweep(self, now: float) -> None:
        """Closes what is idle or too slow; due every `SWEEP_SECONDS`."""
        for connection in [c for c in self.connections if c.overdue(now)]:
            connection.close()

    def forget(self, connection: StreamConnection) -> None:
        """A connection is gone: answers for it are dropped."""
        self.connections.discard(connection)
        if connection.outstanding:
            self._waiting = {token: c for token, c in self._waiting.items() if c is not connection}


class StreamConnection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, server: StreamServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._address = b""
        self._now = asyncio.get_running_loop().time
        self._active_at = self._now()
        self._message_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._peer_slow = False
        self._paused = False
        self._ended = False
        self.outstanding = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection, or closes it where there are too many."""
        # uvloop makes transports of its own, which only behave as asyncio's.
        stream = cast("asyncio.Transport", transport)
        peer: Any = stream.get_extra_info("peername")
        if not peer or len(self._server.connections) >= self._server.limits.connections:
            stream.abort()
            return
        self._transport = stream
        self._address = mapped(peer[0].partition("%")[0])
        stream.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # asyncio's signature
        """Forgets the connection."""
        self._transport = None
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        """Takes every complete message of a read at once."""
        self._active_at = self._now()
        if not self._buffer:
            self._message_at = self._active_at
        self._buffer += data
        self._take()

    def _take(self) -> None:
        answers = []
        at = 0
        buffer = self._buffer
        while len(buffer) - at >= 2 and self.outstanding < self._server.limits.outstanding:
            size = buffer[at] << 8 | buffer[at + 1]
            if len(buffer) - at < 2 + size:
                break
            answer = self._server.ask(self, bytes(buffer[at + 2 : at + 2 + size]), self._address)
            at += 2 + size
            if answer is None:
                self.outstanding += 1
            elif answer:
                answers += [len(answer).to_bytes(2, "big"), answer]
            else:
                # Not a query: nothing this peer says can be trusted to be framed.
                self.close()
                return
        if at:
            del buffer[:at]
            self._message_at = self._active_at
        if answers and self._transport is not None:
            self._transport.writelines(answers)
        self._steer()
        self._server.settled()

    def deliver(self, answer: bytes) -> None:
        """Writes a late answer."""
        self.outstanding -= 1
        if self._transport is None:
            return
        self._active_at = self._now()
        if answer:
            self._transport.writelines([len(answer).to_bytes(2, "big"), answer])
        self._steer()
        if self._buffer:
            self._take()
        if self._ended and not self.outstanding and self._transport is not None:
            self._transport.close()

    def pause_writing(self) -> None:
        """The peer does not read: it is not read either."""
        self._peer_slow = True
        self._steer()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._peer_slow = False
        self._steer()

    def _steer(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        stop = self._peer_slow or self.outstanding >= self._server.limits.outstanding
        if stop and not self._paused:
            self._transport.pause_reading()
        elif self._paused and not stop:
            self._transport.resume_reading()
        self._paused = stop

    def eof_received(self) -> bool:
        """The client has asked everything: what it waits for is still answered."""
        self._ended = True
        return bool(self.outstanding)

    def overdue(self, now: float) -> bool:
        """Idle for too long, or in the middle of a message for too long."""
        limits = self._server.limits
        if self._buffer and not self._paused and now - self._message_at > limits.message:
            return True
        return now - self._active_at > limits.idle

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.abort()

"""DNS over TCP (RFC 7766) and, behind TLS, over TLS (RFC 7858): many queries a connection, answered as they are ready.

Holds always: a message has a deadline from its first byte to its last; a connection has a bound on queries outstanding
and stops being read beyond it, or while its peer does not read; an idle one is closed; one above the bound of all
connections is closed at once.
"""

from __future__ import annotations

import asyncio
from typing import cast

from resolver._hot.engine import STREAM_FULL, STREAM_NOISE
from resolver.edgefile import Tcp
from resolver.listeners.connections import Connections
from resolver.listeners.queries import Queries

SWEEP_SECONDS = 0.5
HIGH_WATER_BYTES = 256 << 10


class StreamServer:
    """All connections of a worker over one transport."""

    def __init__(self, queries: Queries, limits: Tcp, transport: int) -> None:
        """`transport` is numbered as in lachan.compliance.v1."""
        self.queries = queries
        self.limits = limits
        self.transport = transport
        self.connections: Connections[StreamConnection] = Connections(limits.connections)

    def protocol(self, profile: int = -1) -> StreamConnection:
        """The factory of connections; `profile` is the one chosen by server name."""
        return StreamConnection(self, profile)

    def sweep(self, now: float) -> None:
        """Closes what is idle or too slow; due every `SWEEP_SECONDS`."""
        self.connections.sweep(now)

    def retire(self) -> None:
        """Takes no more queries; what was asked is still answered."""
        self.connections.retire()


class StreamConnection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, server: StreamServer, profile: int) -> None:
        self._server = server
        self._profile = profile
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
        address = self._server.connections.admit(self, stream)
        if address is None:
            return
        self._transport = stream
        self._address = address
        stream.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # asyncio's signature
        """Forgets the connection: answers for it are dropped."""
        self._transport = None
        self._server.connections.forget(self)

    def data_received(self, data: bytes) -> None:
        """Takes every complete message of a read at once."""
        self._active_at = self._now()
        if self._ended:
            return
        if self._buffer:
            self._buffer += data
            at = self._take(self._buffer)
            del self._buffer[:at]
        else:
            # Most reads hold whole messages: they need not be copied first.
            self._message_at = self._active_at
            at = self._take(data)
            self._buffer += data[at:]
        if at:
            self._message_at = self._active_at
        self._steer()
        self._server.queries.settled()

    def _take(self, data: bytes | bytearray) -> int:
        """Asks what is complete, within bounds; how many bytes that were."""
        server, at, outcome = self._server, 0, STREAM_FULL
        while outcome == STREAM_FULL and not self._peer_slow and self._transport is not None:
            at, answers, waiting, outcome = server.queries.ask_framed(
                data,
                at,
                self._address,
                server.transport,
                self._profile,
                server.limits.outstanding - self.outstanding,
                self.deliver,
            )
            self.outstanding += waiting
            if outcome == STREAM_NOISE:
                # Not a query: nothing this peer says can be trusted to be framed.
                self.dismiss()
                return len(data)
            if answers:
                self._transport.write(answers)
        return at

    def _take_kept(self) -> None:
        """Goes on with what was read before reading had to stop."""
        if not self._buffer:
            return
        at = self._take(self._buffer)
        if at:
            del self._buffer[:at]
            self._message_at = self._now()
            self._server.queries.settled()

    def deliver(self, answer: bytes) -> None:
        """Writes a late answer."""
        self.outstanding -= 1
        if self._transport is None:
            return
        self._active_at = self._now()
        if answer:
            self._transport.write(len(answer).to_bytes(2, "big") + answer)
        self._take_kept()
        self._steer()
        self._close_if_done()

    def pause_writing(self) -> None:
        """The peer does not read: it is not read either."""
        self._peer_slow = True
        self._steer()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._peer_slow = False
        self._take_kept()
        self._steer()
        self._close_if_done()

    @property
    def _busy(self) -> bool:
        """Something is still owed to the client."""
        return self.outstanding > 0 or (self._peer_slow and bool(self._buffer))

    def _steer(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        stop = self._peer_slow or self.outstanding >= self._server.limits.outstanding
        if stop and not self._paused:
            self._transport.pause_reading()
        elif self._paused and not stop:
            self._transport.resume_reading()
            # What stood still meanwhile was not the client's delay.
            self._message_at = self._now()
        self._paused = stop

    def eof_received(self) -> bool:
        """The client has asked everything: what it waits for is still answered."""
        self._ended = True
        return self._busy

    def retire(self) -> None:
        """Takes no more queries, and closes once all are answered."""
        self._ended = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._ended and not self._busy and self._transport is not None:
            self._transport.close()

    def overdue(self, now: float) -> bool:
        """Idle for too long, or in the middle of a message for too long."""
        limits = self._server.limits
        if self._buffer and not self._paused and now - self._message_at > limits.message:
            return True
        # Who waits for an answer is not idle: the engine ends every wait.
        return not self.outstanding and now - self._active_at > limits.idle

    def dismiss(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.abort()

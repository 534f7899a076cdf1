"""DNS over HTTPS as a worker serves it: connections that speak HTTP/2 or HTTP/1.1 behind TLS, as ALPN chose.

Holds always: the client's address is that of its connection, whatever a header says; a request has a deadline from its
first byte to its last, a connection is closed when it asks nothing for long, and is not read while it does not read.
"""

from __future__ import annotations

import asyncio
import functools
from email.utils import formatdate
from time import time
from typing import cast

from resolver.edgefile import Encrypted
from resolver.listeners.connections import Connections
from resolver.listeners.doh import Moment, Resource
from resolver.listeners.http1 import Http1
from resolver.listeners.http2 import Http2
from resolver.listeners.queries import Queries
from resolver.listeners.tls import Channel

DOH = 4


Codec = Http1 | Http2


class HttpServer:
    """All connections of a worker over HTTPS."""

    def __init__(self, queries: Queries, limits: Encrypted) -> None:
        self.queries = queries
        self.limits = limits
        self.connections: Connections[HttpConnection] = Connections(limits.connections)
        self._clock = asyncio.get_running_loop().time
        self._date = (0, b"")

    def protocol(self, resource: Resource, channel: Channel) -> HttpConnection:
        """The factory of connections to a resource, once TLS has agreed on a protocol."""
        if channel.application_protocol == "h2":
            return HttpConnection(self, Http2(resource, channel.server_name, self.limits.outstanding))
        return HttpConnection(self, Http1(resource, channel.server_name))

    def moment(self) -> Moment:
        """Now."""
        wall = int(time())
        if wall != self._date[0]:
            self._date = (wall, formatdate(wall, usegmt=True).encode())
        return Moment(self._clock(), self._date[1])

    def sweep(self, now: float) -> None:
        """Closes what is idle or too slow."""
        self.connections.sweep(now)

    def retire(self) -> None:
        """Takes no more requests; what was asked is still answered."""
        self.connections.retire()


class HttpConnection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, server: HttpServer, codec: Codec) -> None:
        self._server = server
        self._codec = codec
        self._address = b""
        self._transport: asyncio.Transport | None = None
        self._active_at = server.moment().seconds
        self._peer_slow = False
        self._paused = False
        self._dismissed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection, or closes it where there are too many."""
        stream = cast("asyncio.Transport", transport)
        address = self._server.connections.admit(self, stream)
        if address is None:
            return
        self._transport = stream
        self._address = address
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # asyncio's signature
        """Forgets the connection: answers for it are dropped."""
        self._transport = None
        self._server.connections.forget(self)

    def data_received(self, data: bytes) -> None:
        """Takes every complete request of a read at once."""
        if self._transport is None:
            return
        moment = self._server.moment()
        self._codec.receive(data, moment)
        self._go_on(moment)

    def eof_received(self) -> bool:
        """The client has asked everything: what it waits for is still answered."""
        if self._transport is None:
            return False
        moment = self._server.moment()
        self._codec.receive(b"", moment)
        self._go_on(moment)
        return not self._codec.ended

    def _go_on(self, moment: Moment) -> None:
        codec, queries = self._codec, self._server.queries
        asked = False
        while (found := codec.next(moment)) is not None:
            stream, query = found
            asked = True
            deliver = functools.partial(self._deliver, stream)
            answer = queries.ask(query.message, self._address, DOH, query.profile, deliver)
            if answer is not None:
                codec.answer(stream, answer, moment)
        if asked:
            self._active_at = moment.seconds
            queries.settled()
        self._send()

    def _deliver(self, stream: int, answer: bytes) -> None:
        """Writes a late answer, and goes on with what waited behind it."""
        if self._transport is None:
            return
        moment = self._server.moment()
        self._active_at = moment.seconds
        self._codec.answer(stream, answer, moment)
        self._go_on(moment)

    def _send(self) -> None:
        if self._transport is None:
            return
        data = self._codec.take()
        if data:
            self._transport.write(data)
        if self._codec.ended:
            self._transport.close()
        else:
            self._steer()

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
        stop = self._peer_slow or self._codec.full
        if stop and not self._paused:
            self._transport.pause_reading()
        elif self._paused and not stop:
            self._transport.resume_reading()
        self._paused = stop

    def overdue(self, now: float) -> bool:
        """Asking nothing for too long, or in the middle of a request for too long."""
        limits = self._server.limits
        return self._codec.overdue(now, limits.message) or now - self._active_at > limits.idle

    def retire(self) -> None:
        """Takes no more requests, and closes once all are answered."""
        self._codec.retire(self._server.moment())
        self._send()

    def dismiss(self) -> None:
        """Tells the client that it waited for too long, and closes; one that does not read is cut off."""
        if self._transport is None:
            return
        if self._dismissed:
            self._transport.abort()
            return
        self._dismissed = True
        moment = self._server.moment()
        self._codec.retire(moment, late=self._codec.overdue(moment.seconds, self._server.limits.message))
        self._codec.ended = True
        self._send()

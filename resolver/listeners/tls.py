"""TLS under a stream listener: bytes of the socket in, bytes of the protocol out.

Holds always: no protocol sees a byte before the handshake is done, and a handshake has a deadline; a connection above
the bound, or of somebody who is not admitted, is closed before any cryptography is paid for; whoever does not read what
we write is not read either; what a client sends wrong ends its connection with an alert and is not logged.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

from resolver.channel import TlsChannel
from resolver.edgefile import Encrypted
from resolver.listeners.certificate import Certificate
from resolver.listeners.hello import HELLO_BYTES_MAX, server_name
from resolver.listeners.stream import HIGH_WATER_BYTES
from resolver.settings import mapped

HANDSHAKES_A_TURN = 8


class Channel(TlsChannel):
    """One TLS connection as a server has it, without a socket."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context, server_side=True)
        self._flight = bytearray()
        self.server_name: str | None = None

    def _shake(self, data: bytes) -> None:
        if len(self._flight) < HELLO_BYTES_MAX:
            self._flight += data
        super()._shake(data)
        if self.open:
            self.server_name = server_name(bytes(self._flight))
            self._flight.clear()


class TlsServer:
    """All TLS connections of a worker over one transport."""

    def __init__(self, limits: Encrypted, admits: Callable[[bytes, float], bool] | None = None) -> None:
        """`admits` says by an address, 16 bytes, and a time whether a handshake may begin; anybody may where None."""
        self.limits = limits
        self.admits = admits
        self.connections: set[TlsConnection] = set()
        self._loop = asyncio.get_running_loop()
        self._shaking: deque[tuple[TlsConnection, bytes]] = deque()

    def protocol(self, certificate: Certificate, speak: Callable[[Channel], asyncio.Protocol]) -> TlsConnection:
        """The factory of connections; `speak` makes what is spoken inside once the handshake is done."""
        return TlsConnection(self, certificate, speak)

    def shake(self, connection: TlsConnection, data: bytes) -> None:
        """Puts a step of a handshake in line.

        A handshake costs as much as two hundred queries. A thousand that begin at once would hold up everybody's
        queries on every transport; so a few are done in each turn of the loop, and what else there is comes between.
        """
        if not self._shaking:
            self._loop.call_soon(self._shake_some)
        self._shaking.append((connection, data))

    def _shake_some(self) -> None:
        for _ in range(min(HANDSHAKES_A_TURN, len(self._shaking))):
            connection, data = self._shaking.popleft()
            connection.go_on(data)
        if self._shaking:
            self._loop.call_soon(self._shake_some)

    def sweep(self, now: float) -> None:
        """Ends handshakes that take too long."""
        for connection in [c for c in self.connections if c.overdue(now)]:
            connection.abort()


class TlsConnection(asyncio.Protocol, asyncio.Transport):
    """One client's connection: a protocol to the socket, the transport of what is spoken inside."""

    def __init__(
        self, server: TlsServer, certificate: Certificate, speak: Callable[[Channel], asyncio.Protocol]
    ) -> None:
        super().__init__()
        self._server = server
        self._certificate = certificate
        self._speak = speak
        self._now = asyncio.get_running_loop().time
        self._began_at = self._now()
        self._socket: asyncio.Transport | None = None
        self._channel: Channel | None = None
        self._inner: asyncio.Protocol | None = None

    # What the socket tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection, or closes it where there are too many, or no certificate to show."""
        # uvloop makes transports of its own, which only behave as asyncio's.
        stream = cast("asyncio.Transport", transport)
        server, context = self._server, self._certificate.context
        if context is None or len(server.connections) >= server.limits.connections:
            stream.abort()
            return
        if server.admits is not None:
            peer: Any = stream.get_extra_info("peername")
            if not peer or not server.admits(mapped(peer[0].partition("%")[0]), self._began_at):
                stream.abort()
                return
        stream.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._socket = stream
        self._channel = Channel(context)
        server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._server.connections.discard(self)
        self._socket = self._channel = None
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Passes on what was said, once the handshake is done."""
        if self._channel is not None and not self._channel.open:
            # No more than this is kept until its turn comes.
            self.pause_reading()
            self._server.shake(self, data)
        else:
            self.go_on(data)

    def go_on(self, data: bytes) -> None:
        """Takes what was received; during the handshake when its turn has come."""
        channel = self._channel
        if channel is None:
            return
        shaking = not channel.open
        try:
            said = channel.receive(data)
        except ssl.SSLError:
            self._flush()
            self._hang_up()
            return
        if shaking:
            self.resume_reading()
        if channel.open and self._inner is None:
            self._inner = self._speak(channel)
            self._inner.connection_made(self)
        if said and self._inner is not None:
            self._inner.data_received(said)
        # Where nothing was answered, TLS itself may have something to say: handshakes, tickets, key updates.
        if channel.unsent:
            self._flush()
        if channel.ended and not self.eof_received():
            self.close()

    def eof_received(self) -> bool:
        """The client sends no more: the connection stays while something is owed to it."""
        return self._inner is not None and bool(self._inner.eof_received())

    def pause_writing(self) -> None:
        """The client does not read."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._inner is not None:
            self._inner.resume_writing()

    def overdue(self, now: float) -> bool:
        """The handshake takes too long; afterwards what is spoken inside has deadlines of its own."""
        return self._inner is None and now - self._began_at > self._server.limits.handshake

    def _flush(self) -> None:
        if self._channel is not None and self._socket is not None:
            data = self._channel.take()
            if data:
                self._socket.write(data)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()

    # What is spoken inside asks for.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends, encrypted, as few records as hold it."""
        channel, sock = self._channel, self._socket
        if channel is not None and sock is not None and not sock.is_closing():
            channel.send(data)
            sock.write(channel.take())

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Sends all of it at once."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Says goodbye and closes once everything is sent."""
        if self._channel is not None and not self.is_closing():
            self._channel.close()
            self._flush()
            self._hang_up()

    def abort(self) -> None:
        """Closes at once."""
        if self._socket is not None:
            self._socket.abort()

    def is_closing(self) -> bool:
        """Whether it is being closed."""
        return self._socket is None or self._socket.is_closing()

    def pause_reading(self) -> None:
        """Stops reading from the socket."""
        if not self.is_closing():
            cast("asyncio.Transport", self._socket).pause_reading()

    def resume_reading(self) -> None:
        """Reads on."""
        if not self.is_closing():
            cast("asyncio.Transport", self._socket).resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As the socket's own: what waits there is what waits."""
        if self._socket is not None:
            self._socket.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the socket knows."""
        return default if self._socket is None else self._socket.get_extra_info(name, default)

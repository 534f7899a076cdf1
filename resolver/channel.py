"""TLS without a socket, for both ends: bytes of the socket in, bytes of the protocol out.

Holds always: nothing is read before the handshake is done; what the other end does wrong is raised as `ssl.SSLError`,
with the alert that says so waiting to be taken.
"""

from __future__ import annotations

import ssl

RECORD_BYTES = 16 << 10


class TlsChannel:
    """One TLS connection."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        """The arguments are those of `ssl.SSLContext.wrap_bio`."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname, session=session
        )
        self.open = False
        """The handshake is done."""
        self.ended = False
        """The other end has said that it will send no more."""
        self.application_protocol: str | None = None

    def receive(self, data: bytes) -> bytes:
        """What the other end says by these bytes; empty during the handshake.

        Raises:
            ssl.SSLError: This is no TLS, or not as agreed; `take` has the alert.
        """
        incoming = self._incoming
        incoming.write(data)
        if not self.open:
            self._shake(data)
            if not self.open:
                return b""
        read = self._tls.read
        parts = []
        try:
            # One record a call: what is pending is at least a part of another.
            while incoming.pending and not self.ended:
                part = read(RECORD_BYTES)
                parts.append(part)
                self.ended = not part
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            # As an empty read, once we have said goodbye as well.
            self.ended = True
        return b"".join(parts)

    def _shake(self, data: bytes) -> None:
        """Goes on with the handshake; `data` is what has just been received."""
        del data
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.application_protocol = self._tls.selected_alpn_protocol()
        self.open = True

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Says something to the other end."""
        sent = self._tls.write(data)
        while sent < len(data):
            # A record holds no more.
            sent += self._tls.write(memoryview(data)[sent:])

    def close(self) -> None:
        """Says that nothing more will be said."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # The other end has not said so yet (SSLWantReadError), or there is nothing left to be closed.
            return

    @property
    def unsent(self) -> int:
        """How many bytes `take` has."""
        return self._outgoing.pending

    def take(self) -> bytes:
        """What is to be sent to the other end."""
        return self._outgoing.read()

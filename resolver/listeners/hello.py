"""Reads the server name that a TLS client asked for (RFC 6066 3) from the first bytes it sent.

OpenSSL has judged these bytes by the time they are read here, and offers the name by a callback only, whose errors
nobody can catch. Holds always: whatever the bytes are, the result is a name or None; nothing is read past their end.
"""

from __future__ import annotations

HELLO_BYTES_MAX = 16 << 10
"""How much of a client's first flight is worth keeping."""

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_HOST_NAME = 0


class _Cursor:
    """Reads forward within bounds."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise EOFError
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """What follows its own length, which has `size` bytes (RFC 8446 3.4)."""
        return self.take(self.number(size))


def _client_hello(flight: bytes) -> bytes:
    """The message's body; a message may be spread over records."""
    records = _Cursor(flight)
    message = b""
    while True:
        if records.number(1) != _HANDSHAKE:
            raise EOFError
        records.take(2)
        message += records.vector(2)
        if len(message) >= 4 and len(message) - 4 >= int.from_bytes(message[1:4], "big"):
            break
    body = _Cursor(message)
    if body.number(1) != _CLIENT_HELLO:
        raise EOFError
    return body.vector(3)


def _name(hello: bytes) -> bytes | None:
    fields = _Cursor(hello)
    fields.take(2 + 32)
    # Session id, cipher suites, compression methods.
    for size in (1, 2, 1):
        fields.vector(size)
    extensions = _Cursor(fields.vector(2))
    while extensions.left:
        kind = extensions.number(2)
        extension = extensions.vector(2)
        if kind == _SERVER_NAME:
            names = _Cursor(_Cursor(extension).vector(2))
            return names.vector(2) if names.number(1) == _HOST_NAME else None
    return None


def server_name(flight: bytes) -> str | None:
    """The name asked for, lowercase; None where there is none.

    Args:
        flight: TLS records from the connection's first byte on, at least the whole of the ClientHello.
    """
    try:
        name = _name(_client_hello(flight))
        return None if name is None else name.decode("ascii").lower()
    except (EOFError, UnicodeDecodeError):
        return None

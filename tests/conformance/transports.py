"""How a case reaches the edge: one adapter for each transport, offered where the edge's settings offer it.

Holds always: silence is proved, not waited for: a second query behind the first is answered alone. Everything has a
deadline.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from tests.conformance.packet import query

SECONDS = 20.0
SENTINEL_ID = 0xF00D
SERVER_NAME = "localhost"
MEDIA = "application/dns-message"


@dataclass(frozen=True)
class Target:
    """Where the edge is, a name that it answers without asking anybody, and whom its certificate is from."""

    address: str
    port: int
    settled_name: str
    trust: ssl.SSLContext | None = None


class Stream:
    """One connection that carries messages behind their lengths."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._held = b""

    def send(self, *messages: bytes) -> None:
        """Writes messages, each behind its length, at once."""
        self.sock.sendall(b"".join(struct.pack("!H", len(message)) + message for message in messages))

    def receive(self) -> bytes | None:
        """The next message; None where the edge has closed."""
        head = self._take(2)
        return None if head is None else self._take(int.from_bytes(head, "big"))

    def _take(self, size: int) -> bytes | None:
        with contextlib.suppress(ConnectionError):
            while len(self._held) < size:
                data = self.sock.recv(65536)
                if not data:
                    return None
                self._held += data
            taken, self._held = self._held[:size], self._held[size:]
            return taken
        return None


class Transport(Protocol):
    """One way to ask."""

    name: str
    letters: str
    """Two, which make a name this transport's own."""
    dig: tuple[str, ...]
    """dig's words for it."""
    datagram: bool
    encrypted: bool
    target: Target

    def ask(self, packet: bytes, source: str) -> bytes | None:
        """The answer to a packet, None where there is none and never will be."""


class Udp:
    """Datagrams."""

    name = "udp"
    letters = "ud"
    dig: tuple[str, ...] = ("+notcp",)
    datagram = True
    encrypted = False

    def __init__(self, target: Target) -> None:
        self.target = target

    @contextlib.contextmanager
    def socket(self, source: str = "127.0.0.1") -> Iterator[socket.socket]:
        """A socket that hears the edge alone."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(SECONDS)
            sock.bind((source, 0))
            sock.connect((self.target.address, self.target.port))
            yield sock

    def ask(self, packet: bytes, source: str) -> bytes | None:
        """As the protocol says."""
        with self.socket(source) as sock:
            sock.send(packet)
            if _is_hopeless(packet):
                sock.send(_sentinel(self.target))
            answer = sock.recv(65535)
        return None if _is_sentinel(answer) else answer


class Tcp:
    """DNS over TCP (RFC 7766)."""

    name = "tcp"
    letters = "tc"
    dig: tuple[str, ...] = ("+tcp",)
    datagram = False
    encrypted = False

    def __init__(self, target: Target) -> None:
        self.target = target

    @contextlib.contextmanager
    def stream(self, source: str = "127.0.0.1") -> Iterator[Stream]:
        """A connection."""
        with socket.create_connection(
            (self.target.address, self.target.port), timeout=SECONDS, source_address=(source, 0)
        ) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._dressed(sock) as dressed:
                yield Stream(dressed)

    def _dressed(self, sock: socket.socket) -> contextlib.AbstractContextManager[socket.socket]:
        return contextlib.nullcontext(sock)

    def ask(self, packet: bytes, source: str) -> bytes | None:
        """As the protocol says; a connection that is closed is an answer too: there is none."""
        with self.stream(source) as stream:
            with contextlib.suppress(ConnectionError):
                stream.send(packet, *([_sentinel(self.target)] if _is_hopeless(packet) else []))
            answer = stream.receive()
        return None if answer is None or _is_sentinel(answer) else answer


class Dot(Tcp):
    """DNS over TLS (RFC 7858): the same messages."""

    name = "dot"
    letters = "dt"
    dig: tuple[str, ...] = ("+tls",)
    encrypted = True

    def _dressed(self, sock: socket.socket) -> contextlib.AbstractContextManager[socket.socket]:
        assert self.target.trust is not None
        return self.target.trust.wrap_socket(sock, server_hostname=SERVER_NAME)


class Doh:
    """DNS over HTTPS (RFC 8484): POST over HTTP/2."""

    name = "doh"
    letters = "dh"
    dig: tuple[str, ...] = ("+https",)
    datagram = False
    encrypted = True

    def __init__(self, target: Target) -> None:
        self.target = target
        # One client of HTTP/2 has one connection, whose state no two threads may share.
        self._thread = threading.local()

    def client(self, source: str = "127.0.0.1", *, http2: bool = True) -> httpx.Client:
        """A client that keeps its connections."""
        transport = httpx.HTTPTransport(**self._way(source, http2=http2))
        return httpx.Client(transport=transport, timeout=SECONDS, base_url=self._base)

    def async_client(self, *, http2: bool = True) -> httpx.AsyncClient:
        """A client whose requests are on their way at once."""
        transport = httpx.AsyncHTTPTransport(**self._way("127.0.0.1", http2=http2))
        return httpx.AsyncClient(transport=transport, timeout=SECONDS, base_url=self._base)

    def _way(self, source: str, *, http2: bool) -> dict[str, Any]:
        assert self.target.trust is not None
        versions = {"http1": not http2, "http2": http2}
        return {"verify": self.target.trust, "local_address": source, "trust_env": False, **versions}

    @property
    def _base(self) -> str:
        return f"https://{SERVER_NAME}:{self.target.port}"

    @property
    def _own(self) -> httpx.Client:
        if not hasattr(self._thread, "client"):
            self._thread.client = self.client()
        client: httpx.Client = self._thread.client
        return client

    def ask(self, packet: bytes, source: str) -> bytes | None:
        """As the protocol says: what is no query is a bad request (RFC 8484 4.2.1)."""
        if source == "127.0.0.1":
            return self._post(self._own, packet)
        with self.client(source) as client:
            return self._post(client, packet)

    @staticmethod
    def _post(client: httpx.Client, packet: bytes) -> bytes | None:
        answer = client.post("/dns-query", content=packet, headers={"content-type": MEDIA, "accept": MEDIA})
        assert answer.status_code in {200, 400}, f"HTTP {answer.status_code}"
        return answer.content if answer.status_code == 200 else None


def _sentinel(target: Target) -> bytes:
    return query(target.settled_name, ident=SENTINEL_ID)


def _is_sentinel(answer: bytes) -> bool:
    return int.from_bytes(answer[:2], "big") == SENTINEL_ID


def _is_hopeless(packet: bytes) -> bool:
    """Whether the standards ask for silence: no header, or itself an answer."""
    return len(packet) < 12 or bool(packet[2] & 0x80)

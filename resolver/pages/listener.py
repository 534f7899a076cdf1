"""Connections to the pages, over HTTP and over TLS.

Holds always: a connection carries one exchange and ends by its deadline, whatever its client does; so many at once, and
so many of one client's; who they are is forgotten with them.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, cast

from resolver.edgefile import Encrypted
from resolver.listeners.certificate import LOOK_SECONDS, Certificate
from resolver.listeners.tls import Channel, TlsConnection, TlsServer
from resolver.pages.checkpage import NONCE_BYTES, Place
from resolver.pages.facts import Facts
from resolver.pages.http import Exchange, Response
from resolver.pages.routing import Router, finished
from resolver.pages.settings import PageListen, PagesSettings

PROTOCOLS = ("http/1.1",)
HANDSHAKE_SECONDS_MAX = 5.0


class PageServer:
    """All connections."""

    def __init__(self, settings: PagesSettings, facts: Facts) -> None:
        self.settings = settings
        self.facts = facts
        self.router = Router(settings)
        self.refused: Counter[str] = Counter()
        """By reason: `busy`, `malformed`, `slow`."""
        self.clients: Counter[str] = Counter()
        """Connections of each client that are open now."""
        self.connections: set[Connection] = set()
        self._now = asyncio.get_running_loop().time
        self._tls = TlsServer(
            Encrypted(connections=settings.connections, handshake=min(settings.deadline, HANDSHAKE_SECONDS_MAX))
        )
        self._certificates: list[Certificate] = []
        self._looked_at = self._now()

    def factory(self, listen: PageListen) -> Callable[[], asyncio.Protocol]:
        """What makes the protocol of each connection to a listener."""
        place = Place.of(listen)
        if listen.tls is None:
            return functools.partial(Connection, self, place)
        certificate = Certificate(listen.tls, PROTOCOLS, self._now())
        self._certificates.append(certificate)

        def speak(_: Channel) -> asyncio.Protocol:
            return Connection(self, place)

        return functools.partial(self._tls.protocol, certificate, speak)

    def respond(self, exchange: Exchange, data: bytes, place: Place, client: str) -> bytes | None:
        """The bytes of a response once the request is there; None where more has to come."""
        request = exchange.receive(data)
        if request is None:
            return None
        now = time.time()
        if isinstance(request, Response):
            self.refused["malformed"] += 1
            response = finished(request)
        else:
            response = self.router.answer(request, self.facts, place, client, int(now), secrets.token_hex(NONCE_BYTES))
        return exchange.respond(response, formatdate(now, usegmt=True))

    def sweep(self, now: float) -> None:
        """Ends what takes too long, and looks for new certificates; due every `SWEEP_SECONDS`."""
        self._tls.sweep(now)
        for connection in [one for one in self.connections if one.overdue(now)]:
            self.refused["slow"] += not connection.answered
            connection.abort()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            for certificate in self._certificates:
                certificate.look(now)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, server: PageServer, place: Place) -> None:
        self._server = server
        self._place = place
        self._exchange = Exchange()
        self._client = ""
        self._transport: asyncio.Transport | None = None
        self._began_at = asyncio.get_running_loop().time()
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection, or closes it where there are too many."""
        stream = cast("asyncio.Transport", transport)
        server, settings = self._server, self._server.settings
        peer: Any = stream.get_extra_info("peername")
        client = peer[0] if peer else ""
        if (
            not client
            or len(server.connections) >= settings.connections
            or server.clients[client] >= settings.connections_per_client
        ):
            server.refused["busy"] += 1
            stream.abort()
            return
        self._transport, self._client = stream, client
        server.connections.add(self)
        server.clients[client] += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # asyncio's signature
        """Forgets the connection and whose it was."""
        if self._transport is None:
            return
        self._transport = None
        server = self._server
        server.connections.discard(self)
        server.clients[self._client] -= 1
        if not server.clients[self._client]:
            del server.clients[self._client]

    def data_received(self, data: bytes) -> None:
        """Answers once the request is there; what comes behind it is not read."""
        if self._transport is None or self._answered:
            return
        said = self._server.respond(self._exchange, data, self._place, self._client)
        if said is not None:
            self._answered = True
            self._transport.write(said)
            if self._exchange.unread and not isinstance(self._transport, TlsConnection):
                # To close on what was not read would be a reset, which can take the page away before it is seen.
                self._transport.write_eof()
            else:
                self._transport.close()

    def eof_received(self) -> bool:
        """The client has said everything: what was written is still sent, and more there is not to come."""
        return False

    def overdue(self, now: float) -> bool:
        """The exchange takes too long."""
        return now - self._began_at > self._server.settings.deadline

    @property
    def answered(self) -> bool:
        """The response is on its way."""
        return self._answered

    def abort(self) -> None:
        """Closes at once."""
        if self._transport is not None:
            self._transport.abort()

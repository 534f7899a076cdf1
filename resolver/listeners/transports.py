"""Everything that clients ask by a stream: TCP, DNS over TLS and DNS over HTTPS, put together for one worker.

Holds always: every transport asks the same engine, so a name has one verdict on all of them; each has bounds of its
own, so that a flood over one leaves room on the others.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from resolver._hot.engine import Engine
from resolver.edgefile import Listen
from resolver.listeners.admission import Admission
from resolver.listeners.certificate import DOH_PROTOCOLS, DOT_PROTOCOLS, LOOK_SECONDS, Certificate
from resolver.listeners.queries import Queries
from resolver.listeners.sockets import ListenSocket
from resolver.listeners.stream import StreamServer
from resolver.listeners.tls import Channel, TlsServer
from resolver.settings import Edge

if TYPE_CHECKING:
    from resolver.listeners.http import HttpServer

TCP = 2
DOT = 3


class StreamTransports:
    """The servers of a worker's streams, and the certificates that they show."""

    def __init__(
        self,
        edge: Edge,
        engine: Engine,
        settled: Callable[[], None],
        turned_away: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`settled` runs after queries went to the engine, `turned_away` where a connection is not admitted."""
        file = edge.file
        self._listens = {(listen.address, listen.port): listen for listen in file.listen}
        self._profiles = {name: index for index, name in enumerate(edge.profiles)}
        self._now = asyncio.get_running_loop().time
        self._queries = Queries(engine, settled)
        self._tcp = StreamServer(self._queries, file.tcp, TCP)
        self._dot = StreamServer(self._queries, file.dot, DOT)
        self._dot_tls = TlsServer(file.dot, Admission(edge, file.dot, turned_away).admits)
        self._doh: HttpServer | None = None
        self._doh_tls = TlsServer(file.doh, Admission(edge, file.doh, turned_away).admits)
        self._certificates: dict[str, Certificate] = {}
        self._factories: dict[tuple[str, str, int], Callable[[], asyncio.Protocol]] = {}
        self._looked_at = self._now()

    def factory(self, sock: ListenSocket) -> Callable[[], asyncio.Protocol]:
        """What makes the protocol of each connection to a socket."""
        if sock.kind == "tcp":
            return self._tcp.protocol
        # One for each listener, whoever's socket it is: its certificate is renewed in one place.
        place = (sock.kind, sock.address, sock.port)
        if place not in self._factories:
            self._factories[place] = self._over_tls(sock, self._listens[sock.address, sock.port])
        return self._factories[place]

    def _over_tls(self, sock: ListenSocket, listen: Listen) -> Callable[[], asyncio.Protocol]:
        assert listen.tls is not None  # noqa: S101 # the settings demand it
        encrypted = self._dot_tls if sock.kind == "dot" else self._doh_tls
        protocols = DOT_PROTOCOLS if sock.kind == "dot" else DOH_PROTOCOLS
        certificate = Certificate(listen.tls, protocols, self._now())
        self._certificates[f"{sock.kind}/{sock.address}/{sock.port}"] = certificate
        server_names = self._numbers(listen.profiles.server_names)
        if sock.kind == "dot":
            speak: Callable[[Channel], asyncio.Protocol] = functools.partial(self._speak_dns, server_names)
        else:
            speak = self._speak_http(server_names, self._numbers(listen.profiles.paths))
        return functools.partial(encrypted.protocol, certificate, speak)

    def _numbers(self, choices: Mapping[str, str]) -> dict[str, int]:
        return {key: self._profiles[profile] for key, profile in choices.items()}

    def _speak_dns(self, server_names: Mapping[str, int], channel: Channel) -> asyncio.Protocol:
        return self._dot.protocol(server_names.get(channel.server_name or "", -1))

    def _speak_http(
        self, server_names: Mapping[str, int], paths: Mapping[str, int]
    ) -> Callable[[Channel], asyncio.Protocol]:
        # An edge without DoH need not hold HTTP in memory.
        from resolver.listeners.doh import Resource
        from resolver.listeners.http import HttpServer

        if self._doh is None:
            self._doh = HttpServer(self._queries, self._doh_tls.limits)
        return functools.partial(self._doh.protocol, Resource(paths, server_names))

    def deliver(self, token: int, answer: bytes) -> None:
        """Passes a late answer of the engine on."""
        self._queries.deliver(token, answer)

    @property
    def connections(self) -> int:
        """How many there are now."""
        return sum(len(server.connections) for server in (self._tcp, self._dot_tls, self._doh_tls))

    def certificates(self) -> dict[str, dict[str, Any]]:
        """What each encrypted listener shows: when it expires, and whether the files as they are were refused."""
        return {
            name: {"not_after": int(one.not_after), "refused": one.refused} for name, one in self._certificates.items()
        }

    def sweep(self, now: float) -> None:
        """Closes what is idle or too slow, and looks for new certificates; due every `SWEEP_SECONDS`."""
        for server in (self._tcp, self._dot, self._dot_tls, self._doh, self._doh_tls):
            if server is not None:
                server.sweep(now)
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            for certificate in self._certificates.values():
                certificate.look(now)

    def retire(self) -> None:
        """Takes no more queries; what was asked is still answered, then connections close."""
        for server in (self._tcp, self._dot, self._doh):
            if server is not None:
                server.retire()

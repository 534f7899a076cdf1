"""What the compiled core asks upstreams by: UDP sockets on ports that an outsider cannot guess (RFC 5452 9.2)."""

from __future__ import annotations

import errno
import hmac
import random
import socket

from lachan.labels import wire_name
from resolver._hot.forward import Forwarder
from resolver._hot.loops import Loops
from resolver._hot.routes import Routes
from resolver.errors import ResolverError
from resolver.upstream.settings import Forwarding, Upstream

PORT_FIRST = 1024
PORT_LAST = 65535
ATTEMPTS = 64
RECEIVE_BYTES = 1 << 20


class PoolError(ResolverError):
    """No socket towards an upstream can be had."""


def open_socket(upstream: Upstream, source: random.Random) -> int:
    """A socket connected to the upstream from a port drawn from `source`; the descriptor, which the caller owns.

    Raises:
        PoolError: No free port was drawn, or the upstream cannot be reached from this machine.
    """
    family = socket.AF_INET6 if ":" in upstream.address else socket.AF_INET
    for _ in range(ATTEMPTS):
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            try:
                sock.bind(("", source.randint(PORT_FIRST, PORT_LAST)))
                sock.connect((upstream.address, upstream.port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    continue
                raise PoolError(f"{upstream.address}:{upstream.port}: {error.strerror}") from error
            return sock.detach()
    raise PoolError(f"{upstream.address}:{upstream.port}: {ATTEMPTS} ports drawn, none free")


def open_sockets(upstream: Upstream, count: int, source: random.Random) -> list[int]:
    """`count` such sockets, each on a port of its own."""
    return [open_socket(upstream, source) for _ in range(count)]


def make_forwarder(
    upstreams: tuple[Upstream, ...], forwarding: Forwarding, source: random.Random, master: bytes
) -> Forwarder:
    """A worker's forwarder with all upstreams, each by its place in the configuration.

    Args:
        upstreams: As configured.
        forwarding: As configured.
        source: Where ports come from.
        master: Random bytes that are the same in all workers.

    Raises:
        PoolError: There are no sockets towards one of them.
    """
    groups = {name: number for number, name in enumerate(forwarding.group_names(upstreams))}
    routes = Routes(
        [(wire_name(name), groups[domains.group]) for domains in forwarding.domains for name in domains.names]
    )
    forwarder = Forwarder(
        int(forwarding.first_try * 1000),
        int(forwarding.tcp_timeout * 1000),
        routes,
        forwarding.mixed_case,
        Loops(hmac.digest(master, b"lachan/loops/v1", "sha256")[:16]),
    )
    for upstream in upstreams:
        sockets = open_sockets(upstream, forwarding.sockets, source) if upstream.protocol == "udp" else []
        forwarder.add_upstream(sockets, groups[upstream.group], forwarding.misses_per_upstream)
    for name, number in groups.items():
        forwarder.use_strategy(number, forwarding.strategy_of(name))
    return forwarder

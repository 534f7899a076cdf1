"""Opens the sockets that clients ask, one of each kind for every worker, in the supervisor alone.

A socket's kind says what is spoken there, so that whoever takes it over knows: `dot` and `doh` are TCP to the kernel.
Holds always: IPv6 sockets take no IPv4 (V6ONLY); a wildcard socket tells by which address it was asked, so that answers
leave from there; no answer is fragmented, and no ICMP message, which may be forged, decides what fits (RFC 9715 3.1).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from resolver.edgefile import Listen
from resolver.errors import ResolverError

RECEIVE_BYTES = 4 << 20
BACKLOG = 1024

# Linux's numbers where the socket module has no name for them.
IP_PKTINFO = 8
IP_MTU_DISCOVER = 10
IPV6_MTU_DISCOVER = 23
PMTUDISC_PROBE = 3


Kind = Literal["udp", "tcp", "dot", "doh"]
KINDS: dict[str, tuple[Kind, ...]] = {"dns": ("udp", "tcp"), "dot": ("dot",), "doh": ("doh",)}
"""What is opened for each protocol of a listener."""


class SocketError(ResolverError):
    """An address cannot be listened on."""


def _layer(kind: Kind) -> str:
    return "udp" if kind == "udp" else "tcp"


@dataclass(frozen=True)
class ListenSocket:
    """A bound socket and whose it is."""

    fd: int
    kind: Kind
    address: str
    port: int
    worker: int

    @property
    def layer(self) -> str:
        """What the kernel has there: `udp` or `tcp`."""
        return _layer(self.kind)

    @property
    def wildcard(self) -> bool:
        """Bound to every address of its family."""
        return self.address in ("0.0.0.0", "::")  # noqa: S104 # compared, not bound

    @property
    def name(self) -> str:
        """What it is, whatever its descriptor: `udp/127.0.0.1/53/0`."""
        return f"{self.kind}/{self.address}/{self.port}/{self.worker}"

    def describe(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def named(cls, name: str, fd: int) -> Self:
        """From `name` and a descriptor.

        Raises:
            SocketError: The name has another form.
        """
        parts = name.split("/")
        kinds: dict[str, Kind] = {kind: kind for kinds in KINDS.values() for kind in kinds}
        if len(parts) != 4 or parts[0] not in kinds or not (parts[2].isdigit() and parts[3].isdigit()):
            raise SocketError(f"{name!r} names no socket of this resolver")
        return cls(fd, kinds[parts[0]], parts[1], int(parts[2]), int(parts[3]))


def _open(kind: Kind, listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if kind == "udp":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RECEIVE_BYTES)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock


def _check_free(kind: Kind, listen: Listen, place: str) -> None:
    """Refuses an address that somebody else has: SO_REUSEPORT alone would share it with any process of this user."""
    family = socket.AF_INET6 if ":" in listen.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as sock:
        if kind != "udp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind((listen.address, listen.port))
        except OSError as error:
            raise SocketError(f"{place}: {error.strerror}") from error


def open_sockets(listens: Sequence[Listen], workers: int, have: Sequence[ListenSocket] = ()) -> list[ListenSocket]:
    """A socket of each kind for each address and worker, taking over those already held.

    Args:
        listens: The addresses.
        workers: How many workers there are.
        have: Sockets held from before: those still wanted are used, the rest is left to the caller to close.

    Raises:
        SocketError: An address cannot be listened on; nothing stays open but what was held before.
    """
    # A listener that changes its protocol keeps its TCP sockets, under other names.
    kinds = {(_layer(kind), listen.address, listen.port): kind for listen in listens for kind in KINDS[listen.protocol]}
    have = [replace(sock, kind=kinds.get((sock.layer, sock.address, sock.port), sock.kind)) for sock in have]
    held = {sock.name: sock for sock in have}
    held_places = {(sock.kind, sock.address, sock.port) for sock in have}
    opened: list[ListenSocket] = []
    try:
        for listen in listens:
            for kind in KINDS[listen.protocol]:
                place = f"{listen.address} port {listen.port}/{kind}"
                if (kind, listen.address, listen.port) not in held_places:
                    _check_free(kind, listen, place)
                for worker in range(workers):
                    wanted = ListenSocket(-1, kind, listen.address, listen.port, worker)
                    if wanted.name in held:
                        continue
                    sock = _open(kind, listen)
                    try:
                        sock.bind((listen.address, listen.port))
                        if kind != "udp":
                            sock.listen(BACKLOG)
                    except OSError as error:
                        sock.close()
                        raise SocketError(f"{place}: {error.strerror}") from error
                    opened.append(ListenSocket.named(wanted.name, sock.detach()))
    except SocketError:
        for one in opened:
            socket.close(one.fd)
        raise
    wanted_names = {
        f"{kind}/{listen.address}/{listen.port}/{worker}"
        for listen in listens
        for kind in KINDS[listen.protocol]
        for worker in range(workers)
    }
    return [sock for sock in (*have, *opened) if sock.name in wanted_names]

"""Which port belongs to whom. Every one follows from `PORT_BASE`; none is taken before all are found free."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from lachan.errors import LachanError

ADDRESS = "127.0.0.1"
DEFAULT_BASE = 10053
DEFAULT_CONSOLE = 8080
LOWEST = 1024
HIGHEST = 65535
WITNESSES = ("operators", "university", "inspectorate")


class PortError(LachanError):
    """A port is taken, or the base leaves no room."""


@dataclass(frozen=True)
class Claim:
    """A port and who will listen there."""

    port: int
    wanted_by: str
    protocols: tuple[str, ...] = ("tcp",)


@dataclass(frozen=True)
class Ports:
    """Every port of the demo, by its distance from the base."""

    base: int

    def __post_init__(self) -> None:
        if not LOWEST <= self.base <= HIGHEST - _SPAN:
            raise PortError(f"PORT_BASE={self.base}: {LOWEST} to {HIGHEST - _SPAN} leaves room for every port")

    @property
    def operator_a(self) -> int:
        """Operator A's resolver, UDP and TCP."""
        return self.base

    @property
    def operator_b(self) -> int:
        """Operator B's resolver, UDP and TCP."""
        return self.base + 1

    @property
    def upstream(self) -> int:
        """The internet's names, UDP and TCP."""
        return self.base + 2

    @property
    def list_https(self) -> int:
        """The list authority's repository."""
        return self.base + 3

    @property
    def list_grpc(self) -> int:
        """The list authority's registry, and its samples for compliance."""
        return self.base + 4

    @property
    def compliance(self) -> int:
        """Where reports and observations go."""
        return self.base + 5

    @property
    def metrics(self) -> dict[str, int]:
        """The Prometheus endpoints, by whose they are."""
        owners = ("operator A", "operator B", "compliance service", "probe 1", "probe 2")
        return {owner: self.base + 6 + number for number, owner in enumerate(owners)}

    @property
    def witnesses(self) -> dict[str, int]:
        """Where the ledger's witnesses are asked, by whom they belong to."""
        return {owner: self.base + 11 + number for number, owner in enumerate(WITNESSES)}

    @property
    def console(self) -> int:
        """The auditor's page: 8080 beside the default base, so that it is where everybody looks."""
        return DEFAULT_CONSOLE if self.base == DEFAULT_BASE else self.base + _SPAN

    def claims(self) -> Iterator[Claim]:
        """Who will listen where."""
        yield Claim(self.operator_a, "operator A's resolver", ("udp", "tcp"))
        yield Claim(self.operator_b, "operator B's resolver", ("udp", "tcp"))
        yield Claim(self.upstream, "the upstream", ("udp", "tcp"))
        yield Claim(self.list_https, "the list authority (HTTPS)")
        yield Claim(self.list_grpc, "the list authority (gRPC)")
        yield Claim(self.compliance, "the compliance service (gRPC)")
        for owner, port in self.metrics.items():
            yield Claim(port, f"the metrics of {owner}")
        for owner, port in self.witnesses.items():
            yield Claim(port, f"the witness of the {owner}")
        yield Claim(self.console, "the console")

    def check(self) -> None:
        """Makes sure that every port can be listened on.

        Raises:
            PortError: With every one that cannot, and who wanted it.
        """
        busy = [
            f"port {claim.port}/{protocol} on {ADDRESS}: {reason} (wanted by {claim.wanted_by})"
            for claim in self.claims()
            for protocol in claim.protocols
            if (reason := _obstacle(claim.port, protocol))
        ]
        if busy:
            other = 20053 if self.base != 20053 else 30053
            busy.append(f"free it, or move every port: make demo PORT_BASE={other}")
            raise PortError("\n".join(busy))


_SPAN = 14


def _obstacle(port: int, protocol: str) -> str:
    """Why a port cannot be listened on; empty where it can."""
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with contextlib.closing(socket.socket(socket.AF_INET, kind)) as sock:
        if protocol == "tcp":
            # As every server here does: connections that have ended do not keep a port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((ADDRESS, port))
            if protocol == "tcp":
                sock.listen(1)
        except OSError as error:
            return "in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
    return ""

"""Whether a probe's session ended at the node that it was meant for.

Two hints, neither of which is proof alone: the node signs a nonce that it is asked for under its own name, and the
resolver, asked for a nonce in a zone of the authority, asks that zone from an address of its own.

Holds always: a session is verified only where something was seen that only the node could show, and nothing that
speaks against it; what nobody answered says nothing.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compliance_api.domain.observation import Path


class Whoami(enum.StrEnum):
    """What became of the question who answers."""

    # There was none, for the node's own name is not known.
    NOT_ASKED = "not_asked"
    # The node under test signed the nonce.
    OWN = "own"
    # Another node did.
    OTHER = "other"
    # An answer came that nobody signed.
    UNSIGNED = "unsigned"
    SILENT = "silent"


@dataclass(frozen=True)
class Hints:
    """What a session showed of its way."""

    whoami: Whoami
    # Addresses that asked the authority's zone for the session's nonce.
    egress: tuple[str, ...]
    # Those of them that the operator enrolled for none of its nodes.
    foreign: tuple[str, ...]
    # Whether the node under test has enrolled any.
    enrolled: bool


def foreign(addresses: Iterable[str], networks: Sequence[str]) -> tuple[str, ...]:
    """The addresses that lie in none of the networks, sorted."""
    known = [ipaddress.ip_network(one) for one in networks]
    return tuple(sorted(one for one in addresses if not any(_within(one, network) for network in known)))


def _within(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    found = ipaddress.ip_address(address)
    return found.version == network.version and found in network


def path(hints: Hints) -> Path:
    """What the hints amount to."""
    if hints.whoami in {Whoami.OTHER, Whoami.UNSIGNED} or (hints.enrolled and hints.foreign):
        return Path.ELSEWHERE
    if hints.whoami is Whoami.OWN:
        return Path.VERIFIED
    if hints.whoami is Whoami.NOT_ASKED and hints.enrolled and hints.egress:
        return Path.VERIFIED
    return Path.UNKNOWN

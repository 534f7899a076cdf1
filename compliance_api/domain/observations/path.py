"""Whether a probe's session ended at the node that it was meant for.

Three hints, none of which is proof alone: the node signs a nonce that it is asked for under its own name; the resolver,
asked for a nonce in a zone of the authority, asks that zone from an address of its own; a certificate holds for the
node's name.

Holds always: a session is verified only where something was seen that only the operator could show, and then nothing
takes that back: whoever sees a nonce may ask for it as well. What nobody signed says nothing by itself, for a refusal
can be had by anybody who asks too often, and a spoilt answer is the word of the accused. That a session ended elsewhere
is a hint, too: it excuses as many lines as interception explains, and never makes a sighting go away.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compliance_api.domain.observations.observation import Path


class Whoami(enum.StrEnum):
    """What became of the question who answers."""

    # There was none, for the node's own name is not known, or the line does not ask.
    NOT_ASKED = "not_asked"
    # The node under test signed the nonce.
    OWN = "own"
    # Another node of the same operator did.
    SIBLING = "sibling"
    # A node of somebody else did.
    OTHER = "other"
    # An answer came that nobody signed.
    UNSIGNED = "unsigned"
    # None came, or a refusal, or a failure.
    SILENT = "silent"


@dataclass(frozen=True)
class Hints:
    """What a session showed of its way."""

    whoami: Whoami
    # Addresses that asked the authority's zone for the session's nonce.
    egress: tuple[str, ...]
    # Those of them that the operator enrolled for none of its nodes.
    foreign: tuple[str, ...]
    # Whether the operator has enrolled any.
    enrolled: bool
    # Whether the certificate held for the node's name; None where the transport has none.
    certificate: bool | None = None

    @property
    def at_home(self) -> bool:
        """Whether an address that the operator enrolled asked."""
        return self.enrolled and len(self.foreign) < len(self.egress)

    @property
    def away(self) -> bool:
        """Whether addresses asked, and none of them was enrolled."""
        return self.enrolled and bool(self.egress) and len(self.foreign) == len(self.egress)


def foreign(addresses: Iterable[str], networks: Sequence[str]) -> tuple[str, ...]:
    """The addresses that lie in none of the networks, sorted."""
    known = [ipaddress.ip_network(one) for one in networks]
    return tuple(sorted(one for one in addresses if not any(_within(one, network) for network in known)))


def _within(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    found = ipaddress.ip_address(address)
    return found.version == network.version and found in network


def path(hints: Hints) -> Path:
    """What the hints amount to."""
    if hints.whoami is Whoami.OWN or hints.certificate:
        return Path.VERIFIED
    if hints.whoami is Whoami.SIBLING:
        return Path.ELSEWHERE
    if hints.at_home:
        return Path.VERIFIED
    if hints.whoami is Whoami.OTHER or hints.away:
        return Path.ELSEWHERE
    # Nobody signed, and not even the certificate is the node's.
    if hints.whoami is Whoami.UNSIGNED and hints.certificate is False:
        return Path.ELSEWHERE
    return Path.UNKNOWN


def met_enrolled(hints: Hints, *, handed: bool) -> bool | None:
    """Whether whoever answered is one of the operator's enrolled resolvers; None where that cannot be told.

    At an enrolled address whoever shows the node's key is the node. Of a resolver that a line is handed the addresses
    that it asks from decide, where the operator enrolled any: a signature can be fetched from the enrolled node by
    whoever answers in its place. Of an operator that enrolled none, a handed resolver that signs nothing when it is
    asked was enrolled by nobody.

    Args:
        hints: What the session showed.
        handed: Whether the line's own resolver was asked, not an address that is enrolled.
    """
    shown = hints.whoami in {Whoami.OWN, Whoami.SIBLING} or bool(hints.certificate)
    if hints.at_home or (shown and not handed):
        return True
    if hints.away:
        return False
    if shown:
        return True
    if path(hints) is Path.ELSEWHERE:
        return False
    return False if handed and not hints.enrolled and hints.whoami is Whoami.UNSIGNED else None

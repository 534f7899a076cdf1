"""Who takes part: organisations, where they answer, and what they own.

Institutions change, so every one of them is data. Holds always: an organisation's identifier is unique and is the one
in its certificates; a node belongs to one organisation and answers in a part of that organisation's jurisdictions; a
probe's custodian decides which questions may leave its line.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lachan.line import Line


@dataclass(frozen=True)
class Label:
    """One text in the system's two languages."""

    vi: str
    en: str


class OrganisationKind(enum.StrEnum):
    """What an organisation does here."""

    OPERATOR = "operator"
    AUTHORITY = "authority"
    AGENCY = "agency"
    SCHOOL = "school"
    CUSTODIAN = "custodian"


class Transport(enum.StrEnum):
    """How a resolver is reached."""

    UDP = "udp"
    TCP = "tcp"
    DOT = "dot"
    DOH = "doh"
    DOQ = "doq"


@dataclass(frozen=True)
class Endpoint:
    """Where a node answers DNS; an empty address stands for whatever resolver a line was handed out."""

    address: str
    port: int
    transport: Transport
    # DoT and DoH: the name its certificate is for, the address where empty; and the path of the URL.
    server_name: str = ""
    path: str = ""

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address or "handed"
        return f"{self.transport}://{host}:{self.port}{self.path}"

    @property
    def family(self) -> int:
        """4 or 6, the version of IP; 0 where the line decides."""
        return (6 if ":" in self.address else 4) if self.address else 0


@dataclass(frozen=True)
class Jurisdiction:
    """A place with an authority of its own."""

    identifier: str
    name: Label


@dataclass(frozen=True)
class Node:
    """One resolver instance of an operator."""

    name: str
    # The raw Ed25519 key that its reports are signed with, 32 bytes; empty until it is enrolled.
    key: bytes
    endpoints: tuple[Endpoint, ...]
    jurisdictions: frozenset[str]
    # Clients that it serves, as its operator says: the law challenges the counters of large nodes alone.
    clients: int = 0
    # Addresses and networks from which its resolver asks others; empty where the operator named none.
    egress: tuple[str, ...] = ()
    # Its own name, under which it answers NONCE.whoami.NAME; empty where it is not known.
    own_name: str = ""


@dataclass(frozen=True)
class Probe:
    """One point that asks resolvers from outside."""

    name: str
    # The raw Ed25519 key that its observations are signed with, 32 bytes; empty until it is enrolled.
    key: bytes
    vantage_point: str
    access_network: str
    custodian: str
    line: Line
    # The operators whose resolvers it can ask; empty means all.
    operators: frozenset[str] = frozenset()

    def reaches(self, operator: str) -> bool:
        """Whether it can ask that operator's resolvers."""
        return not self.operators or operator in self.operators

    def is_handed(self, operator: str) -> bool:
        """Whether the resolvers that its line hands out are that operator's: it is a customer's, of that one alone."""
        return self.line is not Line.AUTHORITY and self.operators == {operator}


@dataclass(frozen=True)
class Person:
    """Somebody who acts for an organisation, with a key of their own."""

    name: str
    # The raw Ed25519 key that their statements are signed with, 32 bytes.
    key: bytes
    # The units, as the law calls them, whose steps they take; an operator's people take their operator's.
    units: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Organisation:
    """One institution with what it runs."""

    identifier: str
    kind: OrganisationKind
    name: Label
    jurisdictions: frozenset[str]
    nodes: tuple[Node, ...] = ()
    probes: tuple[Probe, ...] = ()
    # Its own authorities' certificates, PEM; empty where its parties have theirs from this system's.
    roots: bytes = b""
    # Nodes that were revoked or left out: they may not call and are not asked any more, but are judged for what they
    # did.
    former: tuple[Node, ...] = ()
    # Those who were ever enrolled: once there is one, nobody else speaks as a person of the organisation.
    people: tuple[Person, ...] = ()

    @property
    def judged(self) -> tuple[Node, ...]:
        """Every node that a verdict looks at."""
        return self.nodes + self.former

    def node(self, name: str) -> Node | None:
        """Its node of that name."""
        return next((node for node in self.nodes if node.name == name), None)

    def probe(self, name: str) -> Probe | None:
        """Its probe of that name."""
        return next((probe for probe in self.probes if probe.name == name), None)


@dataclass(frozen=True)
class _Content:
    """The registry at one moment, with its parties by the names in their certificates."""

    jurisdictions: tuple[Jurisdiction, ...]
    organisations: tuple[Organisation, ...]
    owners: Mapping[str, Organisation]
    nodes: Mapping[tuple[str, str], Node]
    probes: Mapping[tuple[str, str], Probe]
    former: Mapping[tuple[str, str], Node]
    people: Mapping[tuple[str, str], Person]


def _content(jurisdictions: tuple[Jurisdiction, ...], organisations: tuple[Organisation, ...]) -> _Content:
    return _Content(
        jurisdictions,
        organisations,
        {one.identifier: one for one in organisations},
        {(one.identifier, node.name): node for one in organisations for node in one.nodes},
        {(one.identifier, probe.name): probe for one in organisations for probe in one.probes},
        {(one.identifier, node.name): node for one in organisations for node in one.former},
        {(one.identifier, person.name): person for one in organisations for person in one.people},
    )


class Registry:
    """Everybody there is, as last read: whoever holds it sees a change at the next question.

    Its content is immutable and is swapped whole, by one reference.
    """

    def __init__(
        self, jurisdictions: tuple[Jurisdiction, ...] = (), organisations: tuple[Organisation, ...] = ()
    ) -> None:
        self._content = _content(jurisdictions, organisations)

    def adopt(self, other: Registry) -> None:
        """Takes over what was read anew."""
        self._content = other._content

    @property
    def jurisdictions(self) -> tuple[Jurisdiction, ...]:
        """The places, in their order."""
        return self._content.jurisdictions

    @property
    def organisations(self) -> tuple[Organisation, ...]:
        """The organisations, in their order."""
        return self._content.organisations

    def organisation(self, identifier: str) -> Organisation | None:
        """The organisation of that identifier."""
        return self._content.owners.get(identifier)

    def operators(self) -> Iterator[Organisation]:
        """The organisations a verdict is reached on, in the registry's order."""
        return (one for one in self._content.organisations if one.kind is OrganisationKind.OPERATOR)

    def node(self, organisation: str, name: str) -> Node | None:
        """A node by its certificate's two names."""
        return self._content.nodes.get((organisation, name))

    def judged_node(self, organisation: str, name: str) -> Node | None:
        """A node that is there, or was: for what was asked of it while it was."""
        return self.node(organisation, name) or self._content.former.get((organisation, name))

    def probe(self, organisation: str, name: str) -> Probe | None:
        """A probe by its certificate's two names."""
        return self._content.probes.get((organisation, name))

    def person(self, organisation: str, name: str) -> Person | None:
        """Somebody by their certificate's two names, where they were enrolled."""
        return self._content.people.get((organisation, name))

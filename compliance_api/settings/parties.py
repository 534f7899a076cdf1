"""The registry of organisations, their nodes and probes: `organisations.yaml`.

Holds always: every key is read, every place and owner is known, and every problem is named at once. The file is one of
its own because other people keep it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from compliance_api.domain.law.law import Texts
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Node,
    Organisation,
    OrganisationKind,
    Probe,
    Registry,
)
from compliance_api.identity.anchors import read_roots
from compliance_api.settings.endpoint import EndpointSettings
from compliance_api.settings.values import MAX_ORGANISATIONS, Identifier, Network
from lachan import config
from lachan.config import ConfigError, ConfigPath, Problem, Settings
from lachan.line import Line
from lachan.signing import SigningError, VerifyKey
from lachan.tls import Identity, Role, TlsError, read_pem


class JurisdictionEntry(Settings):
    """A place with an authority of its own."""

    id: Identifier
    name: Texts


class NodeEntry(Settings):
    """A resolver instance of an operator."""

    name: Identifier
    # PEM file of the public key that its reports are signed with; without it, the key comes by enrolment.
    key: ConfigPath | None = None
    resolvers: Annotated[tuple[EndpointSettings, ...], Field(max_length=16)] = ()
    # Where it answers; empty means in all of its organisation's jurisdictions.
    jurisdictions: tuple[Identifier, ...] = ()
    # Clients that it serves, as its operator says.
    clients: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    # Addresses and networks from which its resolver asks others.
    egress: Annotated[tuple[Network, ...], Field(max_length=256)] = ()
    # Its own name, as `local.name` in its configuration.
    own_name: Annotated[str, Field(pattern=r"^(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$|^$", max_length=190)] = ""

    def node(self, key: bytes, everywhere: Iterable[str]) -> Node:
        """As the domain's own type, of an operator that answers in these jurisdictions."""
        return Node(
            self.name,
            key,
            tuple(one.endpoint() for one in self.resolvers),
            frozenset(self.jurisdictions or everywhere),
            self.clients,
            self.egress,
            self.own_name,
        )


class ProbeEntry(Settings):
    """A point that asks resolvers from outside."""

    name: Identifier
    # PEM file of the public key that its observations are signed with; without it, the key comes by enrolment.
    key: ConfigPath | None = None
    vantage_point: Identifier
    access_network: Identifier
    # The organisation that holds it.
    custodian: Identifier
    line: Line = Line.CONSUMER
    # Operators whose resolvers it can ask; empty means all.
    operators: Annotated[tuple[Identifier, ...], Field(max_length=200)] = ()

    def probe(self, key: bytes) -> Probe:
        """As the domain's own type."""
        return Probe(
            self.name,
            key,
            self.vantage_point,
            self.access_network,
            self.custodian,
            self.line,
            frozenset(self.operators),
        )


class OrganisationEntry(Settings):
    """One institution."""

    id: Identifier
    kind: OrganisationKind
    name: Texts
    jurisdictions: Annotated[tuple[Identifier, ...], Field(max_length=200)] = ()
    nodes: Annotated[tuple[NodeEntry, ...], Field(max_length=10_000)] = ()
    probes: Annotated[tuple[ProbeEntry, ...], Field(max_length=10_000)] = ()
    # PEM file of its own authorities; without it, its parties' certificates are from this system's.
    roots: ConfigPath | None = None


class RegistryFile(Settings):
    """`organisations.yaml`."""

    jurisdictions: Annotated[tuple[JurisdictionEntry, ...], Field(min_length=1, max_length=200)]
    organisations: Annotated[tuple[OrganisationEntry, ...], Field(min_length=1, max_length=MAX_ORGANISATIONS)]


class _RegistryReader:
    """Turns the file's entries into the domain's registry, collecting problems on the way."""

    def __init__(self, file: RegistryFile) -> None:
        self._file = file
        self._places = {one.id for one in file.jurisdictions}
        self._owners = {one.id for one in file.organisations}
        self.problems: list[Problem] = []

    def read(self) -> Registry:
        self._unique("jurisdictions", [one.id for one in self._file.jurisdictions])
        self._unique("organisations", [one.id for one in self._file.organisations])
        return Registry(
            tuple(Jurisdiction(one.id, one.name.label()) for one in self._file.jurisdictions),
            tuple(self._organisation(f"organisations.{i}", one) for i, one in enumerate(self._file.organisations)),
        )

    def _unique(self, place: str, names: list[str]) -> None:
        self.problems += [Problem(place, f"{name} is given twice") for name in set(names) if names.count(name) > 1]

    def _known(self, place: str, jurisdictions: tuple[str, ...], allowed: set[str]) -> None:
        self.problems += [
            Problem(f"{place}.jurisdictions", f"{name} is not one of {', '.join(sorted(allowed)) or 'none'}")
            for name in jurisdictions
            if name not in allowed
        ]

    def _key(self, place: str, path: Path | None) -> bytes:
        if path is None:
            return b""
        try:
            return VerifyKey.load(path).raw
        except SigningError as error:
            self.problems.append(Problem(f"{place}.key", str(error)))
            return b""

    def _organisation(self, place: str, entry: OrganisationEntry) -> Organisation:
        self._known(place, entry.jurisdictions, self._places)
        self._unique(f"{place}.nodes", [one.name for one in entry.nodes])
        self._unique(f"{place}.probes", [one.name for one in entry.probes])
        if entry.kind is OrganisationKind.OPERATOR and not entry.jurisdictions:
            self.problems.append(Problem(f"{place}.jurisdictions", "an operator answers in at least one"))
        if entry.nodes and entry.kind is not OrganisationKind.OPERATOR:
            self.problems.append(Problem(f"{place}.nodes", "only an operator has nodes"))
        return Organisation(
            entry.id,
            entry.kind,
            entry.name.label(),
            frozenset(entry.jurisdictions),
            tuple(self._node(f"{place}.nodes.{i}", entry, one) for i, one in enumerate(entry.nodes)),
            tuple(self._probe(f"{place}.probes.{i}", one) for i, one in enumerate(entry.probes)),
            self._roots(f"{place}.roots", entry.roots),
        )

    def _roots(self, place: str, path: Path | None) -> bytes:
        if path is None:
            return b""
        try:
            pem = read_pem(path)
            read_roots(pem, str(path))
        except TlsError as error:
            self.problems.append(Problem(place, str(error)))
            return b""
        return pem

    def _node(self, place: str, owner: OrganisationEntry, entry: NodeEntry) -> Node:
        self._known(place, entry.jurisdictions, set(owner.jurisdictions))
        return entry.node(self._key(place, entry.key), owner.jurisdictions)

    def _probe(self, place: str, entry: ProbeEntry) -> Probe:
        if entry.custodian not in self._owners:
            self.problems.append(Problem(f"{place}.custodian", f"{entry.custodian} is no organisation"))
        self.problems += [
            Problem(f"{place}.operators", f"{name} is no organisation")
            for name in entry.operators
            if name not in self._owners
        ]
        return entry.probe(self._key(place, entry.key))


def load_registry(path: Path) -> Registry:
    """Everybody there is, with their keys.

    Raises:
        ConfigError: With every problem found in the file or in the keys it names.
    """
    reader = _RegistryReader(config.load(path, RegistryFile))
    registry = reader.read()
    if reader.problems:
        raise ConfigError(str(path), reader.problems)
    return registry


def load_entry(path: Path, party: Identity) -> Node | Probe:
    """What a file says of one node or probe that is to be enrolled.

    Raises:
        ConfigError: With every problem found.
    """
    said: NodeEntry | ProbeEntry
    said = config.load(path, NodeEntry) if party.role is Role.NODE else config.load(path, ProbeEntry)
    problems = [] if said.name == party.name else [Problem("name", f"{party} is invited")]
    if said.key is not None:
        problems.append(Problem("key", "it comes by the enrolment"))
    if problems:
        raise ConfigError(str(path), problems)
    return said.node(b"", ()) if isinstance(said, NodeEntry) else said.probe(b"")

"""The configuration of the service: `compliance.yaml`, the registry of organisations, and the law.

Holds always: what is loaded is complete and consistent, or every problem is named at once; the registry and the law are
files of their own because other people keep them; an embedded database is refused where the service listens beyond this
machine, for that database asks nobody for a password.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from compliance_api.admission import EnrolmentSettings, LimitSettings
from compliance_api.anchors import read_roots
from compliance_api.domain import shapes
from compliance_api.domain.law import LawBook, Texts
from compliance_api.domain.organisation import (
    Endpoint,
    Jurisdiction,
    Line,
    Node,
    Organisation,
    OrganisationKind,
    Probe,
    Registry,
    Transport,
)
from compliance_api.domain.retention import RetentionSettings
from compliance_api.domain.shapes import ShapeBook
from compliance_api.intakesettings import IntakeSettings
from compliance_api.ledger.settings import LedgerSettings
from compliance_api.nonces.settings import NonceSettings
from compliance_api.web.settings import ConsoleSettings
from lachan import config
from lachan.address import Address, Port
from lachan.config import ConfigError, ConfigPath, Duration, HostPort, Problem, Settings
from lachan.log import LogSettings
from lachan.postgres import DatabaseSettings
from lachan.signing import SigningError, VerifyKey
from lachan.tls import IDENTIFIER, Identity, Role, TlsError, TlsFiles, read_pem

MAX_ORGANISATIONS = 5000
MAX_NAMES = 1000


def _domain(value: str) -> str:
    labels = value.split(".")
    if not value.isascii() or len(value) > 253 or not all(1 <= len(label) <= 63 for label in labels):
        raise ValueError("a domain name in A-labels without a trailing dot is expected")
    return value.lower()


def is_loopback(address: str) -> bool:
    """Whether `HOST:PORT` is reached from this machine alone."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Domain = Annotated[str, AfterValidator(_domain)]
Network = Annotated[str, AfterValidator(lambda value: str(ipaddress.ip_network(value)))]
Identifier = Annotated[str, Field(pattern=f"^{IDENTIFIER.pattern}$")]
Interval = Annotated[Duration, Field(ge=0.1, le=7 * 86400)]
Names = Annotated[tuple[Domain, ...], Field(max_length=MAX_NAMES)]


class EndpointSettings(Settings):
    """Where DNS is answered."""

    # Empty stands for whatever resolver a line is handed out (DHCP, RA, PPP).
    address: Address | Literal[""]
    # 53 by UDP and TCP, 853 by DoT, 443 by DoH.
    port: Port | None = None
    transport: Literal["udp", "tcp", "dot", "doh"] = "udp"
    # DoT and DoH: the name its certificate is for, its address where empty; and the path of the URL.
    server_name: Domain | Literal[""] = ""
    path: Annotated[str, Field(pattern=r"^(/[!-~]{0,127})?$")] = ""

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.server_name and self.transport not in {"dot", "doh"}:
            raise ValueError("server_name is for dot and doh")
        if self.path and self.transport != "doh":
            raise ValueError("path is for doh")
        return self

    def endpoint(self) -> Endpoint:
        """As the domain's own type."""
        port = self.port or {"dot": 853, "doh": 443}.get(self.transport, 53)
        return Endpoint(self.address, port, Transport(self.transport), self.server_name, self.path)


class ListAuthoritySettings(Settings):
    """Where names in force come from."""

    target: HostPort
    # How old the names and the history of releases may grow before they are asked for again, and at most be used.
    refresh: Interval = 300.0
    maximum_age: Interval = 3600.0
    # Names held ready for drawing.
    pool: Annotated[int, Field(ge=1, le=1000)] = 1000


class AssignmentSettings(Settings):
    """What probes are asked to do, and how often."""

    interval: Interval = 3600.0
    # Of an operator and day: fresh listed names, some of which turn out to be dead; those between their deadline and a
    # week; controls, and ancestors of listed names.
    names_a_day: Annotated[int, Field(ge=1, le=20_000)] = 700
    aged_a_day: Annotated[int, Field(ge=0, le=1000)] = 24
    controls_a_day: Annotated[int, Field(ge=1, le=20_000)] = 240
    parents_a_day: Annotated[int, Field(ge=0, le=20_000)] = 120
    # In each round, the same ones all day, to time releases: names that need not be blocked yet, and names that were
    # taken out of the list.
    young: Annotated[int, Field(ge=0, le=100)] = 6
    released: Annotated[int, Field(ge=0, le=100)] = 12
    # Instead of `names_a_day`: listed names in each round; then every control is asked in each of them too.
    listed: Annotated[int, Field(ge=1, le=1000)] | None = None
    # The probe spreads its questions over this time, and may take this long in all.
    spread: Interval = 1200.0
    expires: Interval = 3600.0
    # Observations may be handed in for this long after the assignment's end.
    handed_in_within: Interval = 7 * 86400.0
    # By how much a probe's clock may differ.
    clock_tolerance: Interval = 5.0
    # Of a question: every name is asked for its A record and by one of the others beside it.
    types: Annotated[tuple[Literal["A", "AAAA", "HTTPS"], ...], Field(min_length=1, max_length=3)] = ("A",)
    # Two resolvers that do not filter, of two different people: a name that either does not know proves nothing.
    reference: EndpointSettings
    second_reference: EndpointSettings
    # Lines beside the authority's own that ask for nonces, and by that show each operator that a probe is there: so
    # many, and half of them at most.
    shown_lines: Annotated[int, Field(ge=0, le=1000)] = 16
    # Part of the questions that have DO set (RFC 3225).
    dnssec_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    # Alive names that are not listed and never were.
    controls: Names = Field(min_length=1)
    # Parents and siblings of listed names that are not listed themselves.
    neighbours: Names = ()

    def a_round(self, a_day: int) -> int:
        """What comes of so many a day in each round."""
        return min(1000, math.ceil(a_day * self.interval / 86400))

    @model_validator(mode="after")
    def _two_references(self) -> Self:
        if self.reference.endpoint() == self.second_reference.endpoint():
            raise ValueError("second_reference is the first one again")
        if not self.reference.address or not self.second_reference.address:
            raise ValueError("a reference has an address of its own")
        return self


class JudgeSettings(Settings):
    """How often verdicts are reached."""

    interval: Interval = 60.0


class ConsoleSection(ConsoleSettings):
    """The console and where it listens."""

    listen: HostPort


class MetricsSettings(Settings):
    """The Prometheus endpoint."""

    listen: HostPort


class ServiceSettings(Settings):
    """`compliance.yaml`."""

    listen: HostPort
    tls: TlsFiles
    receipt_key: ConfigPath
    database: DatabaseSettings
    list_authority: ListAuthoritySettings
    registry: ConfigPath
    law: ConfigPath
    # What a block looks like; a built-in text, which knows no page, where there is none.
    shapes: ConfigPath | None = None
    assignments: AssignmentSettings
    intake: IntakeSettings = IntakeSettings()
    judge: JudgeSettings = JudgeSettings()
    ledger: LedgerSettings | None = None
    retention: RetentionSettings = RetentionSettings()
    limits: LimitSettings = LimitSettings()
    nonces: NonceSettings | None = None
    enrolment: EnrolmentSettings | None = None
    console: ConsoleSection | None = None
    metrics: MetricsSettings | None = None
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _trust_stays_at_home(self) -> Self:
        if self.database.embedded is None:
            return self
        places = {"listen": self.listen}
        places |= {"console.listen": self.console.listen} if self.console else {}
        places |= {"enrolment.listen": self.enrolment.listen} if self.enrolment else {}
        beyond = [name for name, address in places.items() if not is_loopback(address)]
        if beyond:
            raise ValueError(f"database.embedded is for this machine only, but {', '.join(beyond)} is not on loopback")
        return self


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


def load_shapes(path: Path | None) -> ShapeBook:
    """What a block looks like; the built-in text where no file is named.

    Raises:
        ConfigError: With every problem found.
    """
    return config.load(path, ShapeBook) if path else shapes.DEFAULT


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


def load_law(path: Path, registry: Registry) -> LawBook:
    """The laws.

    Raises:
        ConfigError: With every problem found, a jurisdiction that the registry does not know included.
    """
    book = config.load(path, LawBook)
    known = {one.identifier for one in registry.jurisdictions}
    problems = [
        Problem(f"laws.{index}.jurisdictions", f"{name} is not in the registry")
        for index, law in enumerate(book.laws)
        for name in law.jurisdictions
        if name not in known
    ]
    if problems:
        raise ConfigError(str(path), problems)
    return book

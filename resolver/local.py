"""What the edge answers itself: zones that the standards keep off the public DNS, its own names, the operator's data.

Holds always: a later part stands over an earlier one, so that the operator's own data stands over everything but what
this resolver says of itself; a name of the list is judged before it comes here, whatever stands here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lachan.address import Address
from lachan.config import Settings
from lachan.labels import wire_name
from lachan.message import AAAA, CNAME, PTR, TXT, A
from resolver import localzones
from resolver._hot.locals import Locals
from resolver.designated import RESINFO, SVCB, Endpoint, information, service
from resolver.localtable import PROFILES_MAX, LocalError, LocalTable
from resolver.safesearch import ALIAS_TTL, SafeSearch
from resolver.values import ProfileName, spelled

RECORDS_MAX = 10_000
OWN_TTL = 300
CHAOS = 3
EDE_FILTERED = 17
_TYPES = {"A": A, "AAAA": AAAA, "CNAME": CNAME, "TXT": TXT, "PTR": PTR}


def _name(text: str) -> str:
    return spelled(text, "the root is nobody's to answer here")


Name = Annotated[str, AfterValidator(_name)]


class LocalRecord(Settings):
    """A record of the operator's own; its name is answered here alone, of other types too."""

    name: Name
    type: Literal["A", "AAAA", "CNAME", "TXT", "PTR"]
    value: str = Field(max_length=4096)
    ttl: int = Field(default=300, ge=0, le=604_800, description="seconds")
    profiles: tuple[ProfileName, ...] = Field(default=(), max_length=8, description="empty: all")

    def rdata(self) -> bytes:
        """Its data.

        Raises:
            ValueError: The value is none of its type.
        """
        if self.type == "A":
            return ipaddress.IPv4Address(self.value).packed
        if self.type == "AAAA":
            return ipaddress.IPv6Address(self.value).packed
        if self.type == "TXT":
            return text_data(self.value)
        return wire_name(_name(self.value))

    @model_validator(mode="after")
    def _of_its_type(self) -> Self:
        self.rdata()
        return self


class Chaos(Settings):
    """What is told of version and host to class CHAOS; without a text, REFUSED."""

    version: str | None = Field(default=None, max_length=255)
    hostname: str | None = Field(default=None, max_length=255)

    def texts(self) -> dict[str, str]:
        """Each name and its text (RFC 4892)."""
        said = {"version.bind": self.version, "version.server": self.version}
        said |= {"hostname.bind": self.hostname, "id.server": self.hostname}
        return {name: text for name, text in said.items() if text is not None}


class ResolverInformation(Settings):
    """RESINFO (RFC 9606)."""

    qname_minimisation: bool = Field(default=False, description="the upstreams minimise names")
    info_url: str | None = Field(default=None, max_length=240, pattern=r"^https://[!-~]+$")


class Bypass(Settings):
    """Names by which devices ask whether they may go past this resolver."""

    canary: bool = Field(default=True, description="browsers do not turn on DoH by themselves")
    private_relay_profiles: tuple[ProfileName, ...] = Field(default=("school",), max_length=8)


@dataclass(frozen=True)
class CheckPage:
    """A name, and the addresses that it and every name below it have for whoever asks here."""

    name: str
    addresses: tuple[str, ...]


class LocalSettings(Settings):
    """What the edge answers itself."""

    name: Name | None = Field(default=None, description="the resolver's own, as in its certificate")
    addresses: tuple[Address, ...] = Field(default=(), max_length=16, description="where clients find it")
    special_names: tuple[Name, ...] = Field(
        default=localzones.SPECIAL_NAMES, max_length=64, description="nothing below them is forwarded (RFC 6761)"
    )
    private_zones: bool = Field(default=True, description="reverse zones of private addresses end here (RFC 6303)")
    zones: tuple[Name, ...] = Field(default=(), max_length=1024, description="more zones that end here")
    forwarded: tuple[Name, ...] = Field(default=(), max_length=1024, description="holes in them: upstreams know")
    records: tuple[LocalRecord, ...] = Field(default=(), max_length=RECORDS_MAX)
    information: ResolverInformation = ResolverInformation()
    chaos: Chaos = Chaos()
    bypass: Bypass = Bypass()
    safe_search: SafeSearch = SafeSearch()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        named = {name for record in self.records for name in record.profiles}
        if len(named) >= PROFILES_MAX:
            raise ValueError(f"records: they name {len(named)} profiles; {PROFILES_MAX - 1} are the most")
        # What contradicts itself is found here, with the configuration's path.
        try:
            compile_locals(self, ("default", *sorted(named - {"default"})))
        except LocalError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def whoami_zone(self) -> str | None:
        """What stands behind the nonce of a `whoami` question."""
        return f"{localzones.WHOAMI}.{self.name}" if self.name is not None else None


def text_data(text: str) -> bytes:
    """A text as the data of a TXT record, in strings of at most 255 octets."""
    octets = text.encode()
    pieces = [octets[at : at + 255] for at in range(0, len(octets), 255)] or [b""]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)


def _indices(wanted: Sequence[str], profiles: Sequence[str]) -> list[int]:
    return [index for index, name in enumerate(profiles) if name in wanted]


def _zones(table: LocalTable, settings: LocalSettings) -> None:
    private = localzones.PRIVATE_ZONES if settings.private_zones else ()
    for name in (*settings.special_names, *private, *settings.zones):
        table.zone(name, localzones.ZONE_TTL, covers=name == localzones.LOCALHOST)
    if localzones.LOCALHOST in settings.special_names:
        table.record(localzones.LOCALHOST, A, localzones.ZONE_TTL, ipaddress.ip_address("127.0.0.1").packed)
        table.record(localzones.LOCALHOST, AAAA, localzones.ZONE_TTL, ipaddress.ip_address("::1").packed)
    if settings.private_zones:
        for name in localzones.LOOPBACK_NAMES:
            table.record(name, PTR, localzones.ZONE_TTL, wire_name(localzones.LOCALHOST))
    for name in settings.forwarded:
        table.zone(name, 0, "forward")


def _signals(table: LocalTable, settings: LocalSettings, profiles: Sequence[str]) -> None:
    if settings.bypass.canary:
        table.zone(localzones.CANARY, localzones.SIGNAL_TTL, "denied")
    relayed = _indices(settings.bypass.private_relay_profiles, profiles)
    for name in localzones.PRIVATE_RELAY:
        table.zone(name, localzones.SIGNAL_TTL, "denied", ede=EDE_FILTERED, profiles=relayed)
    searching = _indices(settings.safe_search.profiles, profiles)
    for name, target in settings.safe_search.aliases().items():
        table.alias(name, target, ALIAS_TTL, profiles=searching)


def _operators(table: LocalTable, settings: LocalSettings, profiles: Sequence[str]) -> None:
    for record in settings.records:
        chosen = _indices(record.profiles, profiles) if record.profiles else None
        table.record(record.name, _TYPES[record.type], record.ttl, record.rdata(), profiles=chosen)
    for name, text in settings.chaos.texts().items():
        table.record(name, TXT, 0, text_data(text), rclass=CHAOS)


def _own(table: LocalTable, settings: LocalSettings, endpoints: Sequence[Endpoint]) -> None:
    information_data = information(settings.information.qname_minimisation, settings.information.info_url)
    table.zone(localzones.RESOLVER_ARPA, localzones.ZONE_TTL)
    table.record(localzones.RESOLVER_ARPA, RESINFO, OWN_TTL, information_data)
    if settings.name is None:
        return
    # Other types of the name, a CAA for its certificate, are its zone's to tell.
    for address in map(ipaddress.ip_address, settings.addresses):
        table.record(settings.name, A if address.version == 4 else AAAA, OWN_TTL, address.packed, open_=True)
    table.record(settings.name, RESINFO, OWN_TTL, information_data, open_=True)
    for priority, endpoint in enumerate(endpoints, 1):
        data = service(endpoint, priority, settings.name, settings.addresses)
        for name in (f"_dns.{localzones.RESOLVER_ARPA}", f"_dns.{settings.name}"):
            table.record(name, SVCB, OWN_TTL, data, beside=settings.name)
    table.zone(f"{localzones.WHOAMI}.{settings.name}", OWN_TTL, "ask")
    # Never kept: it tells that the edge answers now.
    health = f"health.{settings.name}"
    table.record(health, TXT, 0, text_data("ok"))
    table.record(health, A, 0, ipaddress.ip_address("127.0.0.1").packed)
    table.record(health, AAAA, 0, ipaddress.ip_address("::1").packed)


def _page(table: LocalTable, page: CheckPage) -> None:
    # Kept by nobody: whoever asks another resolver from now on does not find them any more.
    table.zone(page.name, 0, covers=True)
    for address in map(ipaddress.ip_address, page.addresses):
        table.record(page.name, A if address.version == 4 else AAAA, 0, address.packed)


def compile_locals(
    settings: LocalSettings,
    profiles: Sequence[str],
    endpoints: Sequence[Endpoint] = (),
    page: CheckPage | None = None,
) -> Locals:
    """The table of everything that is answered here.

    Args:
        settings: What was configured.
        profiles: Names of all profiles, in the order of their indices.
        endpoints: Where this resolver is asked encrypted, the best first; told where it has a name.
        page: The page by which schools check their network; the names below its own are answered nowhere else.

    Raises:
        LocalError: The data contradicts itself, or is beyond a bound.
    """
    table = LocalTable(len(profiles))
    _zones(table, settings)
    _signals(table, settings, profiles)
    _operators(table, settings, profiles)
    if page is not None:
        _page(table, page)
    _own(table, settings, endpoints)
    return table.compile()

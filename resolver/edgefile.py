"""`edge.yaml` as it is written.

Holds always: a file is good as a whole or refused as a whole, with every problem and its path. Every limit is a named
field with its unit. What the edge works with is `resolver.settings.Edge`.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from blocklist_sync.edge.settings import SyncSettings
from lachan.address import Address, Port
from lachan.config import ConfigPath, Duration, Settings
from resolver._hot.census import CENSUS_LAYOUT
from resolver.authority import OpeningSettings, UplinkSettings
from resolver.contacts import ContactSettings
from resolver.cookies import CookieSettings
from resolver.limits import RateLimitSettings
from resolver.local import LocalSettings
from resolver.ownnames import OwnSettings, Rebinding
from resolver.pages.settings import PagesSettings
from resolver.schedule import Actions, OpenCategory, Schedule
from resolver.upstream.settings import Forwarding, Upstream
from resolver.values import DEFAULT_PROFILE, Network, ProfileName, ServerName, ServerTls, UrlPath, with_port

PROFILES_MAX = 8
NETWORKS_MAX = 4096
SCHOOLS_MAX = CENSUS_LAYOUT["schools"]

# Addresses that only a neighbour can have (RFC 1918, 4193, 6598, loopback, link-local).
PRIVATE_NETWORKS = (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
    "::1/128", "fc00::/7", "fe80::/10",
)  # fmt: skip

_SIZES = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def _bytes(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+)\s*(KB|MB|GB)", value.strip())
        if not match:
            raise ValueError("a size is a number with a unit: 512KB, 64MB, 1GB")
        return int(match[1]) * _SIZES[match[2]]
    return value


Size = Annotated[int, BeforeValidator(_bytes)]
"""Bytes; written as `512KB`, `64MB` or `1GB`."""


PORTS = {"dns": 53, "dot": 853, "doh": 443}


class ListenProfiles(Settings):
    """Profiles that clients choose by whom or what they ask, whatever their network: for schools behind shared ones."""

    server_names: dict[ServerName, ProfileName] = Field(default={}, max_length=256, description="by TLS server name")
    paths: dict[UrlPath, ProfileName] = Field(default={}, max_length=256, description="by the path of a DoH request")


class Listen(Settings):
    """An address that clients ask: over UDP and TCP (`dns`), DNS over TLS (`dot`), or DNS over HTTPS (`doh`)."""

    address: Address
    protocol: Literal["dns", "dot", "doh"] = "dns"
    port: Port = Field(default=53, description="without it 53, 853 for dot, 443 for doh")
    tls: ServerTls | None = Field(default=None, description="for dot and doh")
    profiles: ListenProfiles = Field(default=ListenProfiles(), description="for dot and doh")

    @model_validator(mode="before")
    @classmethod
    def _port_of_protocol(cls, data: object) -> object:
        return with_port(data, PORTS)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems = []
        if self.protocol == "dns":
            problems += ["tls: for dot and doh only"] if self.tls is not None else []
            problems += ["profiles: for dot and doh only"] if self.profiles != ListenProfiles() else []
        elif self.tls is None:
            problems.append(f"tls: {self.protocol} needs a certificate and a key")
        if self.protocol == "dot" and self.profiles.paths:
            problems.append("profiles.paths: dot has server names only")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Access(Settings):
    """Who may ask."""

    allow: tuple[Network, ...] = Field(default=PRIVATE_NETWORKS, max_length=NETWORKS_MAX)
    others: Literal["refuse", "drop"] = "refuse"


class ProfileNetworks(Settings):
    """Networks that want a profile, a school's as a rule: what the policy bundle says of it, and what is added here."""

    name: ProfileName
    networks: tuple[Network, ...] = Field(
        default=(),
        max_length=NETWORKS_MAX,
        description="may be empty where a listener's server name or path chooses it",
    )
    categories: tuple[OpenCategory, ...] = Field(
        default=(), max_length=8, description="asked for besides what the policy bundle says of this profile"
    )
    actions: Actions = Field(default={}, description="where the policy bundle leaves them open")
    schedule: Schedule | None = Field(default=None, description="when it asks for more")


class School(Settings):
    """A school's networks, counted apart on this machine (`lachan-resolver schools`); its profile is another matter."""

    name: str = Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")
    networks: tuple[Network, ...] = Field(min_length=1, max_length=64)


class CacheSettings(Settings):
    """Answers kept in memory that all workers share."""

    size: Size = Field(default=64 << 20, ge=1 << 20, le=64 << 30)
    ttl_max: Duration = Field(default=86400.0, ge=1, le=604800)
    ttl_min: Duration = Field(default=0.0, ge=0, le=3600, description="for answers that come with less")
    ttl_negative: Duration = Field(
        default=3600.0, ge=1, le=86400, description="the longest that a name or type is held not to exist (RFC 2308)"
    )
    stale: Duration = Field(
        default=86400.0, ge=0, le=604800, description="beyond its TTL, for when no upstream answers (RFC 8767)"
    )


class Tcp(Settings):
    """Bounds on what clients may do over TCP, for each worker."""

    connections: int = Field(default=2000, ge=1, le=100_000)
    idle: Duration = Field(default=10.0, ge=0.5, le=300)
    message: Duration = Field(default=3.0, ge=0.1, le=60, description="from a message's first byte to its last")
    outstanding: int = Field(default=100, ge=1, le=10_000, description="queries of one connection at once")


class Encrypted(Tcp):
    """Bounds on what clients may do over DNS over TLS or over HTTPS, for each worker."""

    idle: Duration = Field(default=30.0, ge=0.5, le=300)
    handshake: Duration = Field(
        default=5.0, ge=0.1, le=60, description="from a connection's begin to the end of its TLS handshake"
    )
    handshakes_per_second: int = Field(
        default=20,
        ge=1,
        le=100_000,
        description="that one client's prefix (see rate_limit) may begin, five seconds' worth at once",
    )


class Sinkhole(Settings):
    """Where the block page is, for the sinkhole action."""

    ipv4: Annotated[str, AfterValidator(lambda text: str(ipaddress.IPv4Address(text)))] = "0.0.0.0"  # noqa: S104 # no bind
    ipv6: Annotated[str, AfterValidator(lambda text: str(ipaddress.IPv6Address(text)))] = "::"


class Blocklist(Settings):
    """Where the list comes from: the list authority, or a snapshot on this disk (for a trial, or a measurement)."""

    sync: SyncSettings | None = None
    snapshot: ConfigPath | None = None
    shadow: bool = Field(default=False, description="count, but let pass; reported as not enforcing")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.sync is None) == (self.snapshot is None):
            raise ValueError("give either `sync` or `snapshot`")
        return self


class Processes(Settings):
    """How workers are watched and replaced."""

    stalled: Duration = Field(
        default=3.0, ge=0.5, le=60, description="a worker that stands still for so long is ended and replaced"
    )
    linger: Duration = Field(
        default=5.0, ge=0, le=300, description="that a replaced worker serves the connections it has"
    )


class Report(Settings):
    """What is told to the authority."""

    window: Duration = Field(default=300.0, ge=1, le=3600)
    uplink: UplinkSettings | None = Field(default=None, description="without it, reports wait in the spool")
    openings: OpeningSettings = Field(default_factory=OpeningSettings, description="challenged counts")


class Metrics(Settings):
    """The Prometheus endpoint."""

    address: Address = "127.0.0.1"
    port: Port = 9153


class EdgeFile(Settings):
    """edge.yaml."""

    organisation: str = Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")
    node: str = Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")
    state_dir: ConfigPath = Path("/var/lib/lachan")
    runtime_dir: ConfigPath = Path("/run/lachan")
    user: str | None = Field(
        default=None,
        pattern=r"^[a-z_][a-z0-9_-]{0,31}$",
        description="whom to become once sockets are bound, where the edge is started by root",
    )
    workers: int = Field(default=0, ge=0, le=256, description="0: one for each core")
    listen: tuple[Listen, ...] = Field(min_length=1, max_length=64)
    access: Access = Access()
    profiles: tuple[ProfileNetworks, ...] = Field(default=(), max_length=PROFILES_MAX - 1)
    schools: tuple[School, ...] = Field(default=(), max_length=SCHOOLS_MAX)
    upstreams: tuple[Upstream, ...] = Field(min_length=1, max_length=16)
    forwarding: Forwarding = Forwarding()
    cache: CacheSettings = CacheSettings()
    tcp: Tcp = Tcp()
    rate_limit: RateLimitSettings = RateLimitSettings()
    cookies: CookieSettings = CookieSettings()
    dot: Encrypted = Encrypted()
    doh: Encrypted = Encrypted()
    sinkhole: Sinkhole = Sinkhole()
    local: LocalSettings = LocalSettings()
    pages: PagesSettings | None = Field(default=None, description="the block page, and the one that schools check by")
    contacts: ContactSettings | None = Field(default=None, description="whom to turn to where a name is blocked")
    actions: Actions = Field(
        default={}, description="how a category is answered, where the policy bundle leaves it open"
    )
    own: OwnSettings = OwnSettings()
    rebinding: Rebinding = Rebinding()
    blocklist: Blocklist
    processes: Processes = Processes()
    report: Report = Report()
    metrics: Metrics | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        if self.cache.ttl_min > self.cache.ttl_max:
            problems.append("cache.ttl_min: longer than ttl_max")
        schools = [school.name for school in self.schools]
        problems += [f"schools: {name!r} stands twice" for name in sorted(set(schools)) if schools.count(name) > 1]
        names = [profile.name for profile in self.profiles]
        if len(set(names)) != len(names) or DEFAULT_PROFILE in names:
            problems.append(f"profiles: a name stands once, and {DEFAULT_PROFILE!r} is everybody else")
        places = [(listen.address, listen.port) for listen in self.listen]
        if len(set(places)) != len(places):
            problems.append("listen: an address and port stand once")
        problems += self._profile_problems({DEFAULT_PROFILE, *names})
        problems += [
            f"upstreams: {upstream.address}:{upstream.port} is listened on here: queries would go round"
            for upstream in self.upstreams
            if (upstream.address, upstream.port) in places
        ]
        problems += self.forwarding.problems(self.upstreams)
        if len(self.access.allow) + sum(len(profile.networks) for profile in self.profiles) > NETWORKS_MAX:
            problems.append(f"access.allow and profiles: {NETWORKS_MAX} networks in all are the most")
        own, page = self.local.name, self.pages.name if self.pages is not None else None
        if own is not None and page is not None and f".{own}".endswith(f".{page}"):
            problems.append("pages.name: local.name must not be it, or stand below it")
        if self.report.window != int(self.report.window):
            problems.append("report.window: whole seconds")
        if len(str(self.runtime_dir)) > 80:
            problems.append("runtime_dir: longer than the 80 characters that a local socket's path leaves room for")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _profile_problems(self, known: set[str]) -> list[str]:
        chosen = [
            (f"listen.{index}.profiles.{kind}.{key}", profile)
            for index, listen in enumerate(self.listen)
            for kind, choices in (("server_names", listen.profiles.server_names), ("paths", listen.profiles.paths))
            for key, profile in choices.items()
        ]
        wanted = {profile for _, profile in chosen}
        chosen += [
            (f"local.records.{index}.profiles", profile)
            for index, record in enumerate(self.local.records)
            for profile in record.profiles
        ]
        return [
            *(f"{place}: there is no profile {profile!r}" for place, profile in chosen if profile not in known),
            *(
                f"profiles.{index}: {profile.name!r} has no networks, and no listener chooses it"
                for index, profile in enumerate(self.profiles)
                if not profile.networks and profile.name not in wanted
            ),
            *(
                f"rebinding.profiles: there is no profile {profile!r}"
                for profile in self.rebinding.profiles or ()
                if profile not in known
            ),
        ]

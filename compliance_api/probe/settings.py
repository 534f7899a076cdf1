"""A probe's configuration: every limit a named field with its unit."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from lachan.address import Address
from lachan.config import ConfigPath, Duration, HostPort, Settings
from lachan.line import Line
from lachan.log import LogSettings
from lachan.tls import TlsFiles


def _network(value: str) -> str:
    return str(ipaddress.ip_network(value))


class MeasureSettings(Settings):
    """How one exchange is made."""

    timeout: Annotated[Duration, Field(ge=0.05, le=30)] = 3.0
    """Of one try, in seconds."""
    tries: Annotated[int, Field(ge=1, le=5)] = 3
    """A timeout counts only after so many."""
    in_flight: Annotated[int, Field(ge=1, le=256)] = 16
    """Exchanges at once, over all assignments."""
    same_name_gap: Annotated[Duration, Field(ge=0, le=600)] = 2.0
    """Rest, in seconds, before a name is asked again by anything, after the last exchange about it ended."""
    edns: Annotated[int, Field(ge=0, le=4096)] = 1232
    """UDP size that questions announce, as the stubs of the line's own devices do; 0 sends EDNS only with DO."""
    roots: ConfigPath | None = None
    """PEM file of who says that a resolver's certificate holds; the system's where there is none."""
    cover: Annotated[tuple[str, ...], Field(max_length=1000)] = ()
    """Ordinary names, asked of the resolver in between and not told to anybody, so that listed names are not alone."""
    cover_every: Annotated[Duration, Field(ge=0.05, le=86400)] = 60.0
    """Mean time between two of them, in seconds, while an assignment is carried out."""


class UplinkSettings(Settings):
    """How the probe talks to the compliance service."""

    poll: Annotated[Duration, Field(ge=0.05, le=3600)] = 30.0
    """Between two requests for work, in seconds; half to one and a half times that, at random."""
    submit_every: Annotated[Duration, Field(ge=0.05, le=3600)] = 60.0
    """Observations are gathered for so long before they travel, in seconds; half to one and a half times that, at
    random,
    so that no call to the service follows a question at a distance that could be learnt."""
    stamp_every: Annotated[Duration, Field(ge=0.05, le=3600)] = 300.0
    """How old the service's word on the time may grow while questions are asked, in seconds; drawn likewise."""
    deadline: Annotated[Duration, Field(ge=0.1, le=300)] = 20.0
    """Of one call, in seconds."""
    backoff_first: Annotated[Duration, Field(ge=0.01, le=60)] = 1.0
    backoff_most: Annotated[Duration, Field(ge=0.01, le=3600)] = 300.0
    batch: Annotated[int, Field(ge=1, le=256)] = 256
    """Observations a call carries at most."""


class HandedSettings(Settings):
    """Where to find out which resolvers the line was handed out."""

    kind: Literal["resolv.conf", "dhclient", "networkd", "networkmanager"]
    path: ConfigPath
    """A file, or a folder of leases."""


class CheckLineSettings(Settings):
    """Whom `lachan-probe check-line` asks: the authority's own hosts, and nobody else's."""

    zone: str
    """Names below it are answered by the authority's name servers, and by them alone."""
    resolvers: Annotated[tuple[Address, ...], Field(min_length=1, max_length=8)]
    """Open resolvers of the authority, on ports 53 and 853: whoever reaches them could use any other."""
    silent: Annotated[tuple[Address, ...], Field(min_length=1, max_length=8)]
    """Hosts of the authority that answer no DNS: an answer from there is somebody else's."""
    resolver_name: str = ""
    """What the resolvers' certificates are for; their address where empty."""
    egresses: Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], Field(max_length=64)] = ()
    """From where those resolvers ask the zone's name servers, which say so in a TXT record (`egress=ADDRESS`); the
    resolvers' own addresses where there are none."""
    whoami: str = ""
    """What stands behind the nonce of an operator's `whoami`, to learn who answers; not asked where empty."""
    own_port: Annotated[int, Field(ge=1, le=65535)] = 53
    """Where the line's own resolver answers."""
    port: Annotated[int, Field(ge=1, le=65535)] = 53
    tls_port: Annotated[int, Field(ge=1, le=65535)] = 853


class ProbeSettings(Settings):
    """Everything `lachan-probe` reads from its configuration file."""

    service: HostPort
    """The compliance service's gRPC address."""
    tls: TlsFiles
    """The certificate names the probe: lachan://ORGANISATION/probe/NAME."""
    line: Line
    """Whose line this is. From a school's or a volunteer's, names of csam and sexual_exploitation are never asked."""
    signing_key: ConfigPath
    """Ed25519, PEM; `lachan-probe enroll` makes it."""
    spool: ConfigPath
    """Signed observations wait here until the service has stored them."""
    journal: ConfigPath
    """Assignments taken and questions done are remembered here, so that a restart goes on where it was."""
    assignments: Annotated[int, Field(ge=1, le=32)] = 4
    """Carried out at the same time at most."""
    spool_most: Annotated[int, Field(ge=100, le=10_000_000)] = 200_000
    """Observations kept while the service is away; beyond it no further assignment is taken."""
    handed: Annotated[tuple[HandedSettings, ...], Field(max_length=16)] = ()
    """The first that names a resolver counts; the usual places where none is given."""
    check_line: CheckLineSettings | None = None
    measure: MeasureSettings = MeasureSettings()
    uplink: UplinkSettings = UplinkSettings()
    metrics: HostPort | None = None
    """Where Prometheus may scrape; nowhere by default."""
    log: LogSettings = LogSettings()

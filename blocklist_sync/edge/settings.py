"""What an edge is told of its list authority; every limit has its unit."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from lachan.address import Address, is_address
from lachan.config import ConfigPath, Duration, HostPort, Settings, split_host_port

MIRRORS_MAX = 8


def _repository(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"no URL: {error}") from error
    # What is fetched is signed, but confidential: in clear it may go no farther than to a cache on this machine.
    at_home = parts.scheme == "http" and is_address(host) and ipaddress.ip_address(host).is_loopback
    if not host or not (parts.scheme == "https" or at_home):
        raise ValueError("an https:// URL is expected (http:// only to a loopback address)")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a URL of host, port and path is expected")
    return url.rstrip("/")


def _ip_port(place: str) -> str:
    if not is_address(split_host_port(place)[0]):
        raise ValueError("ADDRESS:PORT is expected: a resolver that must be looked up is of no use here")
    return place


HostName = Annotated[str, Field(max_length=253), AfterValidator(str.lower)]
RepositoryUrl = Annotated[str, Field(max_length=2048), AfterValidator(_repository)]


class ClientCertificate(Settings):
    """How this edge shows who it is, where the list authority asks for it."""

    certificate: ConfigPath
    key: ConfigPath


class PushSettings(Settings):
    """The stream on which new releases are announced; polling goes on beside it, more slowly."""

    target: HostPort
    poll_interval: Duration = Field(default=120.0, ge=0.2, le=86_400, description="while the stream lives")
    silence: Duration = Field(default=60.0, ge=0.1, le=600, description="after which a stream is taken for dead")
    spread: Duration = Field(
        default=1.0, ge=0, le=60, description="over which edges that heard together spread their downloads"
    )
    backoff_first: Duration = Field(default=5.0, ge=0.05, le=60, description="at most, until a stream is begun anew")
    backoff_max: Duration = Field(default=60.0, ge=0.1, le=3600)


class HostSettings(Settings):
    """How the names of repository and push server are found, so that none of it waits for this very resolver.

    Names stand in `addresses`, or are asked of `resolvers`, or of the system's where there are none; whatever failed,
    the addresses that worked last are tried. Certificates are verified by the name in every case.
    """

    addresses: dict[HostName, Annotated[tuple[Address, ...], Field(min_length=1, max_length=8)]] = Field(
        default={}, max_length=16
    )
    resolvers: tuple[Annotated[HostPort, AfterValidator(_ip_port)], ...] = Field(default=(), max_length=8)
    timeout: Duration = Field(default=2.0, ge=0.1, le=30, description="of one question to one resolver")


class AlarmSettings(Settings):
    """From when on an operator is alarmed."""

    silent_warning: Duration = Field(default=900.0, ge=1, le=2_592_000, description="without an authentic word")
    silent_critical: Duration = Field(default=21_600.0, ge=1, le=2_592_000)
    expiry_warning: Duration = Field(default=259_200.0, ge=1, le=31_536_000, description="before signatures end")
    stream_warning: Duration = Field(default=300.0, ge=1, le=2_592_000, description="without announcements")


class SyncSettings(Settings):
    """Where the list comes from, and how much of the edge it may use."""

    repository: RepositoryUrl
    mirrors: tuple[RepositoryUrl, ...] = Field(
        default=(), max_length=MIRRORS_MAX - 1, description="of the same files; the next is asked where one is bad"
    )
    root: ConfigPath = Field(description="the root metadata (N.root.json) that came with the enrolment, out of band")
    ca: ConfigPath = Field(description="the authorities that may vouch for the repository's server, and no others")
    tls: ClientCertificate | None = None
    push: PushSettings | None = None
    hosts: HostSettings = HostSettings()
    alarms: AlarmSettings = AlarmSettings()
    ring: Literal["canary", "all"] = Field(
        default="all", description="canary edges take a release first, others when its signed metadata lets them"
    )
    poll_interval: Duration = Field(default=30.0, ge=0.2, le=86_400)
    backoff_max: Duration = Field(default=120.0, ge=0.2, le=86_400, description="between tries that fail")
    idle_timeout: Duration = Field(default=10.0, ge=0.1, le=300, description="without a byte from the server")
    round_timeout: Duration = Field(default=120.0, ge=1, le=3600, description="for a whole round, download included")
    max_records_bytes: int = Field(default=160 << 20, ge=1024, le=256 << 20)
    max_policy_bytes: int = Field(default=64 << 10, ge=64, le=64 << 10)
    max_metadata_bytes: int = Field(default=512 << 10, ge=4096, le=5 << 20)

    @property
    def repositories(self) -> tuple[str, ...]:
        """Every place that the files are at, without one twice."""
        return tuple(dict.fromkeys((self.repository, *self.mirrors)))

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.push is not None and self.tls is None:
            raise ValueError("push: needs `tls`, by which this node shows who it is")
        return self

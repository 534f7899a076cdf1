"""What `lachan-blocklist serve` is told."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from blocklist_sync.artifact.names import NameRefusedError, canonical
from blocklist_sync.central.registry.stages import StagePlans
from lachan.config import ConfigPath, Duration, HostPort, Settings
from lachan.log import LogSettings
from lachan.postgres import DatabaseSettings
from lachan.tls import Identity, Role, TlsError, TlsFiles


def _name(text: str) -> str:
    try:
        return canonical(text)
    except NameRefusedError as error:
        raise ValueError(str(error)) from error


def _party(uri: str) -> str:
    try:
        return str(Identity.parse(uri))
    except TlsError as error:
        raise ValueError(str(error)) from error


Name = Annotated[str, AfterValidator(_name)]
Party = Annotated[str, AfterValidator(_party)]
CALLER = "compliance"


class HttpsSettings(Settings):
    """The server of the static repository."""

    listen: HostPort
    certificate: ConfigPath
    key: ConfigPath
    client_ca: ConfigPath | None = None
    """Nodes with a certificate from these authorities may download, and people of the list's own organisation."""
    open: bool = False
    """Anybody may download: for a server behind one that asks for certificates."""
    max_connections: Annotated[int, Field(ge=1, le=65_536)] = 1024

    @model_validator(mode="after")
    def _is_guarded(self) -> Self:
        if self.open == (self.client_ca is not None):
            raise ValueError("say either client_ca, whose certificates let in, or open: true, which lets anybody in")
        return self


class RevocationSettings(Settings):
    """Where it is told which nodes are let in and whose certificates count no longer."""

    service: HostPort
    """The compliance service, which keeps the membership."""
    tls: TlsFiles
    """As a service of the authority (lachan://ORGANISATION/service/NAME)."""
    kept: ConfigPath
    """The file in which what was told last outlives this process."""
    interval: Annotated[Duration, Field(ge=0.1, le=3600)] = 10.0
    alarm: Annotated[Duration, Field(ge=1, le=2_592_000)] = 900.0
    """Without a word, after which that is logged as an error; nobody is turned away over it."""


class GrpcSettings(Settings):
    """The server that gives compliance its samples, and people the registry."""

    listen: HostPort
    tls: TlsFiles
    compliance: Party | None = None
    """Who alone is given samples; the service `compliance` of this server's own organisation if None."""

    def may_sample(self, own: Identity) -> Identity:
        """Who is given samples by a server that is known as `own`."""
        return Identity.parse(self.compliance) if self.compliance else Identity(own.organisation, Role.SERVICE, CALLER)


class PushSettings(Settings):
    """The server that announces releases to edges; its certificate is verified by them as the repository's is."""

    listen: HostPort
    tls: TlsFiles
    max_streams: Annotated[int, Field(ge=1, le=65_536)] = 4096
    max_streams_per_node: Annotated[int, Field(ge=1, le=16)] = 2
    heartbeat: Annotated[Duration, Field(ge=0.05, le=45)] = 20.0
    """An edge that hears nothing for a minute takes its stream for dead."""
    write_timeout: Annotated[Duration, Field(ge=0.1, le=60)] = 10.0


class RegistrySettings(StagePlans):
    """The registry: its own database and role, and who answers for which stage."""

    database: DatabaseSettings
    rails: ConfigPath | None = None
    """What proposals are held against; the shipped rails if None."""


class PublicSettings(Settings):
    """The server that answers anybody: whether an exact name is listed, and what every release holds in numbers."""

    listen: HostPort
    certificate: ConfigPath
    key: ConfigPath
    burst: Annotated[int, Field(ge=1, le=10_000)] = 30
    """Questions at once from one network (/24, or /56)."""
    rate: Annotated[float, Field(gt=0, le=1000)] = 0.5
    """Questions a second from there in the long run."""
    max_connections: Annotated[int, Field(ge=1, le=65_536)] = 256


class MetricsSettings(Settings):
    """The Prometheus endpoint."""

    listen: HostPort


class ListSettings(Settings):
    """The list authority's server."""

    release: ConfigPath
    repository: ConfigPath
    log_folder: ConfigPath | None = None
    """Where `build` has the approvals log: names that were in force at an earlier moment are answered from it, and the
    fingerprint seed in it is handed to those who sign."""
    controls: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    """Names of the authority's own, with all below them: listed and taken out by ordinary orders, they time blocking
    and unblocking. No release tells them apart; compliance alone is told which they are."""
    rpz_origins: Annotated[tuple[Name, ...], Field(max_length=64)] = ()
    """Zones (RPZ) that operators take: compliance is told which names one of them cannot hold, and asks nodes that go
    by a zone for others."""
    https: HttpsSettings
    grpc: GrpcSettings | None = None
    push: PushSettings | None = None
    public: PublicSettings | None = None
    revocations: RevocationSettings | None = None
    registry: RegistrySettings | None = None
    metrics: MetricsSettings | None = None
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _has_a_face(self) -> Self:
        if self.registry is not None and self.grpc is None:
            raise ValueError("registry: is served over gRPC: give grpc too")
        return self

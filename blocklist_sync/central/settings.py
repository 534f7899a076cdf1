"""What `lachan-blocklist serve` is told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lachan.config import ConfigPath, HostPort, Settings
from lachan.log import LogSettings
from lachan.tls import TlsFiles


class HttpsSettings(Settings):
    """The server of the static repository."""

    listen: HostPort
    certificate: ConfigPath
    key: ConfigPath
    client_ca: ConfigPath | None = None
    """With it, only edges with a certificate from this authority may download."""
    max_connections: Annotated[int, Field(ge=1, le=65_536)] = 1024


class GrpcSettings(Settings):
    """The server that gives compliance its samples."""

    listen: HostPort
    tls: TlsFiles


class ListSettings(Settings):
    """The list authority's server."""

    release: ConfigPath
    repository: ConfigPath
    https: HttpsSettings
    grpc: GrpcSettings | None = None
    log: LogSettings = LogSettings()

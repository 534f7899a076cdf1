"""What `lachan-blocklist serve` is told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lachan.config import ConfigPath, Settings
from lachan.tls import TlsFiles

Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):\d{1,5}$", max_length=262)]
"""`HOST:PORT`; an IPv6 address in brackets; port 0 lets the kernel choose."""


class HttpsSettings(Settings):
    """The server of the static repository."""

    listen: Address
    certificate: ConfigPath
    key: ConfigPath
    client_ca: ConfigPath | None = None
    """With it, only edges with a certificate from this authority may download."""
    max_connections: Annotated[int, Field(ge=1, le=65_536)] = 1024


class GrpcSettings(Settings):
    """The server that gives compliance its samples."""

    listen: Address
    tls: TlsFiles


class LogSettings(Settings):
    """Where nothing else is said: text, from `info` on."""

    form: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class ListSettings(Settings):
    """The list authority's server."""

    release: ConfigPath
    repository: ConfigPath
    https: HttpsSettings
    grpc: GrpcSettings | None = None
    log: LogSettings = LogSettings()

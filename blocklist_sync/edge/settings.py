"""What an edge is told of its list authority; every limit has its unit."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from lachan.config import ConfigPath, Duration, Settings


def _https(url: str) -> str:
    if not url.startswith("https://"):
        raise ValueError("an https:// URL is expected")
    return url.rstrip("/")


class ClientCertificate(Settings):
    """How this edge shows who it is, where the list authority asks for it."""

    certificate: ConfigPath
    key: ConfigPath


class SyncSettings(Settings):
    """Where the list comes from, and how much of the edge it may use."""

    repository: Annotated[str, Field(max_length=2048), AfterValidator(_https)]
    root: ConfigPath = Field(description="the root metadata (N.root.json) that came with the enrolment, out of band")
    ca: ConfigPath = Field(description="the authorities that may vouch for the repository's server, and no others")
    tls: ClientCertificate | None = None
    poll_interval: Duration = Field(default=30.0, ge=0.2, le=86_400)
    idle_timeout: Duration = Field(default=10.0, ge=0.1, le=300, description="without a byte from the server")
    round_timeout: Duration = Field(default=120.0, ge=1, le=3600, description="for a whole round, download included")
    max_records_bytes: int = Field(default=64 << 20, ge=1024, le=256 << 20)
    max_policy_bytes: int = Field(default=64 << 10, ge=64, le=64 << 10)
    max_metadata_bytes: int = Field(default=512 << 10, ge=4096, le=5 << 20)

"""What an edge is told of the service that takes its reports; every limit has its unit.

Apart from what sends them, so that a worker, which reads the whole configuration, does not load gRPC.
"""

from __future__ import annotations

from pydantic import Field

from lachan.config import ConfigPath, Duration, Settings
from lachan.tls import TlsFiles

BATCH_MAX = 256
FEW_CLIENTS = 10_000
"""Nodes that serve no more clients than these tell no counts per rule, whoever asks."""


class LedgerPin(Settings):
    """How the authority's ledger is asked, and who else has to believe it than whom the list's repository pins."""

    policy: ConfigPath | None = Field(
        default=None, description="C2SP tlog-policy of one's own, beside the signed one, or for a trial without one"
    )
    poll: Duration = Field(default=15.0, ge=0.01, le=3600, description="after a receipt, before its proof is asked for")
    check: Duration = Field(default=600.0, ge=0.1, le=86400, description="of the ledger while nothing waits")


class UplinkSettings(Settings):
    """Where reports go, and how patiently."""

    target: str = Field(pattern=r"^(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}$", description="HOST:PORT")
    tls: TlsFiles
    authority_key: ConfigPath = Field(description="public key (PEM) that receipts are signed with")
    further_authority_keys: tuple[ConfigPath, ...] = Field(
        default=(), max_length=8, description="keys that count as well, while the authority changes its own"
    )
    ledger: LedgerPin = LedgerPin()
    deadline: Duration = Field(default=20.0, ge=0.1, le=300, description="of one call")
    backoff_first: Duration = Field(default=1.0, ge=0.01, le=60)
    backoff_max: Duration = Field(default=300.0, ge=0.01, le=3600)
    batch: int = Field(default=BATCH_MAX, ge=1, le=BATCH_MAX, description="reports in one call")
    retry_held: Duration = Field(
        default=3600.0, ge=1, le=86400, description="before a report that was refused is offered again"
    )


class OpeningSettings(Settings):
    """What this node tells of the counts per rule that it committed to, when the authority challenges it."""

    clients: int = Field(
        default=0, ge=0, le=1_000_000_000, description=f"that this node serves; up to {FEW_CLIENTS} it opens nothing"
    )
    after: Duration = Field(default=86400.0, ge=3600, le=7 * 86400, description="the end of an hour, and not before")
    rules_a_day: int = Field(default=512, ge=1, le=4096, description="counts opened of one day's hours, at most")

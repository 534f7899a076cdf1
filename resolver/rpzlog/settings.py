"""What the hit log agent is told; every limit has its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from blocklist_sync.edge.settings import SyncSettings
from lachan.config import ConfigPath, Duration, HostPort, Settings
from resolver.authority import OpeningSettings, UplinkSettings
from resolver.rpzlog.hits import Form
from resolver.rpzlog.judging import MANDATED

Origin = Annotated[str, Field(pattern=r"^(?:[a-z0-9_-]{1,63}\.){2,}[a-z0-9-]{1,63}$", max_length=200)]


def _whole(seconds: float) -> float:
    if seconds != int(seconds):
        raise ValueError("whole seconds")
    return seconds


class HitLogSettings(Settings):
    """The log."""

    path: ConfigPath = Field(description="the file that is written now; what it was before stands beside it")
    form: Form
    log_name: str = Field(default="lachan", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="unbound: rpz-log-name")
    poll: Duration = Field(default=1.0, ge=0.05, le=60)
    settle: Duration = Field(
        default=5.0, ge=0.1, le=60, description="after a window's end, for what happened in it to be in the log"
    )


class ZoneSettings(Settings):
    """The zone that the resolver applies."""

    origin: Origin
    profile: str = Field(default=MANDATED, pattern=r"^[a-z0-9_-]{1,32}$", description="whose zone it is")
    resolver: HostPort = Field(description="where the resolver answers, to be asked by which release")
    ask: Duration = Field(default=60.0, ge=0.1, le=3600, description="between two such questions")

    @property
    def status_name(self) -> str:
        """The name that the zone tells its release by."""
        return "lachan-serial." + self.origin.partition(".")[2]


class WindowSettings(Settings):
    """What is told to the authority."""

    window: Annotated[Duration, AfterValidator(_whole)] = Field(default=300.0, ge=1, le=3600)
    uplink: UplinkSettings | None = Field(default=None, description="without it, reports wait in the spool")
    openings: OpeningSettings = Field(default_factory=OpeningSettings, description="challenged counts")


class MetricsSettings(Settings):
    """The Prometheus endpoint."""

    listen: HostPort


class HitsFile(Settings):
    """rpz-hits.yaml."""

    organisation: str = Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")
    node: str = Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")
    state_dir: ConfigPath = Path("/var/lib/lachan-rpz-hits")
    log: HitLogSettings
    zone: ZoneSettings
    sync: SyncSettings = Field(description="the list itself, which names are looked up in")
    report: WindowSettings = WindowSettings()
    metrics: MetricsSettings | None = None

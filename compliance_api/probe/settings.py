"""A probe's configuration: every limit a named field with its unit."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lachan.config import ConfigPath, Duration, HostPort, Settings
from lachan.log import LogSettings
from lachan.tls import TlsFiles


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


class UplinkSettings(Settings):
    """How the probe talks to the compliance service."""

    poll: Annotated[Duration, Field(ge=0.05, le=3600)] = 30.0
    """Between two requests for work, in seconds; half to one and a half times that, at random."""
    submit_every: Annotated[Duration, Field(ge=0.05, le=3600)] = 10.0
    """Observations are gathered for so long before they travel, in seconds."""
    deadline: Annotated[Duration, Field(ge=0.1, le=300)] = 20.0
    """Of one call, in seconds."""
    backoff_first: Annotated[Duration, Field(ge=0.01, le=60)] = 1.0
    backoff_most: Annotated[Duration, Field(ge=0.01, le=3600)] = 300.0
    batch: Annotated[int, Field(ge=1, le=256)] = 256
    """Observations a call carries at most."""


class ProbeSettings(Settings):
    """Everything `lachan-probe` reads from its configuration file."""

    service: HostPort
    """The compliance service's gRPC address."""
    tls: TlsFiles
    """The certificate names the probe: lachan://ORGANISATION/probe/NAME."""
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
    measure: MeasureSettings = MeasureSettings()
    uplink: UplinkSettings = UplinkSettings()
    metrics: HostPort | None = None
    """Where Prometheus may scrape; nowhere by default."""
    log: LogSettings = LogSettings()

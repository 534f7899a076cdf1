"""What a probe counts about itself. No name and no resolver ever becomes a label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """The probe's meters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.exchanges = Counter(
            "lachan_probe_exchanges",
            "Exchanges ended, by side (resolver, reference) and outcome.",
            ["side", "outcome"],
            registry=self.registry,
        )
        self.observations = Counter(
            "lachan_probe_observations", "Observations signed and spooled.", registry=self.registry
        )
        self.refused = Counter(
            "lachan_probe_refused_observations",
            "Observations the service will not take, set aside.",
            registry=self.registry,
        )
        self.calls = Counter(
            "lachan_probe_calls",
            "Calls to the service, by method and result.",
            ["method", "result"],
            registry=self.registry,
        )
        self.assignments = Gauge(
            "lachan_probe_active_assignments", "Assignments being carried out.", registry=self.registry
        )
        self.clock_offset = Gauge(
            "lachan_probe_clock_offset_seconds",
            "By how much this machine's clock is ahead of the service's; observations do not depend on it.",
            registry=self.registry,
        )
        self.spool = Gauge(
            "lachan_probe_spool_observations", "Observations waiting for the service.", registry=self.registry
        )
        self.certificate = Gauge(
            "lachan_probe_certificate_expires_timestamp_seconds",
            "When the probe's certificate ends; it is renewed before its last third.",
            registry=self.registry,
        )

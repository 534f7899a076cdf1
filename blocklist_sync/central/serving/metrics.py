"""The list authority's metrics, in a registry of their own.

Holds always: labels take their values from the contracts, from gRPC's codes and from the configured plans; nothing
names an entry, a person or a client.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """What is counted here, and how things stood at the last look."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter(
            "lachan_list_calls",
            "Calls answered over gRPC, by method and by how they ended.",
            ["service", "method", "code"],
            registry=self.registry,
        )
        self.serial = Gauge("lachan_list_serial", "Serial of the release that is published.", registry=self.registry)
        self.published = Gauge(
            "lachan_list_published_timestamp_seconds",
            "When the release that is published was published.",
            registry=self.registry,
        )
        self.expires = Gauge(
            "lachan_list_expires_timestamp_seconds",
            "When the signatures of a role of what is published end.",
            ["role"],
            registry=self.registry,
        )
        self.streams = Gauge("lachan_list_streams", "Edges that listen for announcements.", registry=self.registry)
        self.revocations = Gauge(
            "lachan_list_revocations_timestamp_seconds",
            "When the compliance service told last who is let in, and whose certificates count no longer; 0 if never.",
            registry=self.registry,
        )
        self.nodes = Gauge(
            "lachan_list_admitted_nodes",
            "Nodes that are let in, by its last word; NaN where it tells none: every node's certificate counts.",
            registry=self.registry,
        )
        self.nodes.set(math.nan)
        self.unreadable = Counter(
            "lachan_list_looks_failed", "Looks at the repository or the registry that failed.", registry=self.registry
        )
        self.steps = Gauge("lachan_registry_log_steps", "Steps of the approvals log.", registry=self.registry)
        self.overdue = Gauge(
            "lachan_registry_stages_overdue",
            "Stages that should be over and are not, by the unit that answers for them.",
            ["unit", "stage"],
            registry=self.registry,
        )
        self.database = Gauge(
            "lachan_registry_database_up", "Whether the registry's database answered last.", registry=self.registry
        )

    def membership(self, told_at: float, nodes: Collection[str] | None) -> None:
        """Shows when the membership was told last, and how many nodes are in it."""
        self.revocations.set(told_at)
        self.nodes.set(math.nan if nodes is None else len(nodes))

    def release(self, serial: int, published_at: int, expires: Mapping[str, datetime]) -> None:
        """Shows what is published."""
        self.serial.set(serial)
        self.published.set(published_at)
        for role, moment in expires.items():
            self.expires.labels(role).set(moment.timestamp())

    def late(self, units: Iterable[tuple[str, str]], stages: Iterable[tuple[str, str]]) -> None:
        """Shows what is late; units and stages of the plan that have nothing late show 0."""
        self.overdue.clear()
        for unit, stage in units:
            self.overdue.labels(unit, stage).set(0)
        for unit, stage in stages:
            self.overdue.labels(unit, stage).inc()

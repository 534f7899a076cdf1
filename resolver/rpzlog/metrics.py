"""What the hit log agent tells Prometheus: a snapshot in, metrics out.

Holds always: labels are the contract's words for categories and actions: no name, no client and no line of the log
becomes one; what is not known is left out, never told as zero.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from blocklist_sync.edge.freshness import Alarm, Raised, SyncState
from lachan.spool import Stats
from resolver import reportmetrics, syncmetrics
from resolver.families import ACTIONS, CATEGORIES, OTHER, counter
from resolver.rpzlog.tally import Window
from resolver.uplink import UplinkStatus


@dataclass(frozen=True)
class Snapshot:
    """An agent at one moment; times in seconds since 1970-01-01 UTC, 0 where there is none."""

    now: float
    seen: Window
    """What was read since the agent started; nobody changes it any more."""
    held_serial: int = 0
    """Of the list that names are looked up in."""
    checked_at: int = 0
    """When a newer one was last asked for with success."""
    serial: int = 0
    """By which release the resolver answers, by its own last word."""
    serial_asked_at: int = 0
    sync: SyncState | None = None
    alarms: Mapping[Alarm, Raised] = field(default_factory=dict)
    spool: Stats | None = None
    uplink: UplinkStatus | None = None
    certificate_ends: float = 0.0


def problems(snapshot: Snapshot) -> Sequence[str]:
    """Why the agent is not in order, nothing where it is."""
    return () if snapshot.held_serial else ("there has never been a list",)


class HitsCollector(Collector):
    """Reads a snapshot for every scrape."""

    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self._read = read
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Every metric but the process's own."""
        with self._lock:
            snapshot = self._read()
        yield from _hits(snapshot.seen)
        yield from _lists(snapshot)
        if snapshot.sync is not None:
            yield from syncmetrics.metrics(snapshot.sync, snapshot.alarms)
        yield from reportmetrics.metrics(snapshot.now, snapshot.spool, snapshot.uplink, snapshot.certificate_ends)


def _hits(seen: Window) -> Iterator[Metric]:
    yield counter(
        "lachan_rpz_hits",
        "Hits read from the resolver's log and counted, by category and by what was done.",
        ["category", "action"],
        (
            ((CATEGORIES.get(category, OTHER), ACTIONS.get(action, OTHER)), count)
            for (category, action), count in seen.blocked.items()
        ),
    )
    for name, text, count in (
        ("hits_unknown", "Hits on names that the list held has not.", seen.unknown),
        ("hits_late", "Hits read after their window was told, or of no time that is told.", seen.late),
        ("lines_malformed", "Lines of the log that ought to be hits and cannot be read.", seen.malformed),
        ("log_gaps", "Times that a part of the log was gone before it was read.", seen.gaps),
    ):
        yield CounterMetricFamily(f"lachan_rpz_{name}", text, value=count)


def _lists(snapshot: Snapshot) -> Iterator[Metric]:
    # What edges have as well is called as it is there.
    yield GaugeMetricFamily(
        "lachan_blocklist_serial", "Serial of the list in force, 0 before the first.", value=snapshot.held_serial
    )
    if snapshot.checked_at:
        yield GaugeMetricFamily(
            "lachan_blocklist_check_timestamp_seconds",
            "When a newer list was last asked for with success, since 1970.",
            value=snapshot.checked_at,
        )
    if snapshot.serial_asked_at:
        yield GaugeMetricFamily(
            "lachan_rpz_resolver_serial",
            "Serial of the release that the resolver answers by, by its own last word.",
            value=snapshot.serial,
        )
        yield GaugeMetricFamily(
            "lachan_rpz_resolver_asked_timestamp_seconds",
            "When the resolver last said by which release it answers, since 1970.",
            value=snapshot.serial_asked_at,
        )


def registry(read: Callable[[], Snapshot]) -> CollectorRegistry:
    """Everything the agent exposes, its own process included; `read` is called from other threads."""
    everything = CollectorRegistry(auto_describe=False)
    everything.register(HitsCollector(read))
    ProcessCollector(registry=everything)
    return everything

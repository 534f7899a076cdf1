"""What an edge tells Prometheus: a snapshot in, metrics out.

Holds always: a label's values come from a closed set or from the configuration, never from a query: no name and no
client address can become one; what is not known is left out, never told as zero.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from blocklist_sync.edge.freshness import Alarm, Raised, SyncState
from lachan import endpoint
from lachan.compliance.v1 import report_pb2 as pb
from lachan.message import rcode_name
from lachan.spool import Stats
from resolver import reportmetrics, syncmetrics
from resolver.counters import WindowCounts
from resolver.families import ACTIONS, CATEGORIES, OTHER, counter, words
from resolver.pages.counts import PageCounts
from resolver.uplink import UplinkStatus
from resolver.upstream.counts import StreamCounts
from resolver.upstream.health import UpstreamHealth

OPERATOR = "operator"


@dataclass(frozen=True)
class Snapshot:
    """An edge at one moment; times in seconds since 1970-01-01 UTC, 0 where there is none."""

    now: float
    counts: WindowCounts
    """Since the supervisor started."""
    workers: int
    restarts: int = 0
    """Of workers, since the supervisor started."""
    serial: int = 0
    entries: int = 0
    published_at: int = 0
    checked_at: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    """Releases by the reason they were refused for."""
    received_bytes: int = 0
    """Of the list's files, metadata included, since the supervisor started."""
    by_delta: int = 0
    """Releases that came as what changed."""
    downloaded: Mapping[str, int] = field(default_factory=dict)
    """Releases that came whole, by the reason."""
    sync: SyncState | None = None
    alarms: Mapping[Alarm, Raised] = field(default_factory=dict)
    """Of the sync."""
    cache_entries: int | None = None
    spool: Stats | None = None
    uplink: UplinkStatus | None = None
    certificate_ends: float = 0.0
    """In seconds since 1970-01-01 UTC; 0 where there is none."""
    pages: PageCounts | None = None
    overrides: int = 0
    """Emergency overrides in force."""
    suspended: int = 0
    """Releases that the operator has suspended."""
    allowed_ignored: int = 0
    """Names that the operator allows, and that are mandated to be blocked."""
    streams: Mapping[str, StreamCounts] = field(default_factory=dict)
    """Connections to upstreams, by their labels in the configuration."""
    upstreams: Sequence[UpstreamHealth] = ()


def problems(snapshot: Snapshot) -> Sequence[str]:
    """Why the edge is not in order, nothing where it is."""
    found = []
    if not snapshot.workers:
        found.append("no worker is alive")
    if not snapshot.serial:
        found.append("there has never been a list")
    return found


_TRANSPORTS = words(pb.Transport.items(), "TRANSPORT_")
_REASONS = words(pb.DropReason.items(), "DROP_REASON_")


def _rcode(number: int) -> str:
    name = rcode_name(number)
    return OTHER if name.startswith("RCODE") else name


class EdgeCollector(Collector):
    """Reads a snapshot for every scrape."""

    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._build = InfoMetricFamily(
            "lachan_build",
            "The software that is running.",
            {"version": importlib.metadata.version("lachan"), "python": platform.python_version()},
        )

    def collect(self) -> Iterator[Metric]:
        """Every metric but the process's own."""
        # A snapshot may be folded from state that is not made for two readers.
        with self._lock:
            snapshot = self._read()
        yield self._build
        yield from _resolver(snapshot)
        yield from _upstreams(snapshot.upstreams)
        yield from _streams(snapshot.streams)
        yield from _blocklist(snapshot)
        if snapshot.sync is not None:
            yield from syncmetrics.metrics(snapshot.sync, snapshot.alarms)
        yield from reportmetrics.metrics(snapshot.now, snapshot.spool, snapshot.uplink, snapshot.certificate_ends)
        if snapshot.pages is not None:
            yield from _pages(snapshot.pages)


def _resolver(snapshot: Snapshot) -> Iterator[Metric]:
    counts = snapshot.counts
    yield counter(
        "lachan_resolver_queries",
        "Queries answered, by transport, profile and response code.",
        ["transport", "profile", "rcode"],
        (
            ((_TRANSPORTS.get(transport, OTHER), profile, _rcode(rcode)), count)
            for (transport, profile, rcode), count in counts.queries.items()
        ),
    )
    yield counter(
        "lachan_resolver_blocked",
        "Queries for listed names and the operator's own, by category and by what was done.",
        ["category", "action"],
        (
            ((CATEGORIES.get(category, OTHER) if category else OPERATOR, ACTIONS.get(action, OTHER)), count)
            for (category, action), count in counts.blocked.items()
        ),
    )
    reasons = dict.fromkeys(_REASONS, 0) | dict(counts.drops)
    yield counter(
        "lachan_resolver_dropped",
        "Queries that got no answer, by reason.",
        ["reason"],
        (((_REASONS.get(reason, OTHER),), count) for reason, count in reasons.items()),
    )
    for name, text, count in (
        ("overridden", "Answers given against the list under an emergency override.", counts.overridden),
        ("allowed", "Answers given where the operator's allowlist lifted a rule.", counts.allowed),
        ("rebound", "Answers with private addresses of public names, told as none.", counts.rebound),
        ("upstream_failures", "Queries to upstreams that brought no usable answer.", counts.upstream_failures),
        ("forwarded", "Queries passed on to an upstream.", counts.forwarded),
        ("cache_hits", "Queries answered from the cache.", counts.cache_hits),
        ("cache_misses", "Queries the cache had no answer for.", counts.cache_misses),
    ):
        yield CounterMetricFamily(f"lachan_resolver_{name}", text, value=count)
    yield GaugeMetricFamily("lachan_resolver_overrides", "Emergency overrides in force.", value=snapshot.overrides)
    yield GaugeMetricFamily(
        "lachan_resolver_allowed_ignored",
        "Names of the operator's allowlist that are mandated to be blocked.",
        value=snapshot.allowed_ignored,
    )
    yield GaugeMetricFamily("lachan_resolver_workers", "Workers that are alive.", value=snapshot.workers)
    yield CounterMetricFamily(
        "lachan_resolver_worker_restarts", "Workers that ended and were replaced.", value=snapshot.restarts
    )
    if snapshot.cache_entries is not None:
        yield GaugeMetricFamily("lachan_resolver_cache_entries", "Answers in the cache.", value=snapshot.cache_entries)


_UPSTREAM: tuple[tuple[str, str, Callable[[UpstreamHealth], float]], ...] = (
    ("workers", "Workers that use the upstream: it is neither silent nor leads back here.", lambda one: one.up),
    ("looped", "Whether what is sent to the upstream comes back here: it is not asked.", lambda one: one.looped),
    ("outstanding", "Questions on their way to the upstream.", lambda one: one.outstanding),
    ("rtt_seconds", "Smoothed time to an answer of the upstream, 0 where none is known.", lambda one: one.rtt),
    ("mixed_case", "Whether questions go in random case to the upstream.", lambda one: one.mixed_case),
)


def _upstreams(upstreams: Sequence[UpstreamHealth]) -> Iterator[Metric]:
    for name, text, told in _UPSTREAM:
        family = GaugeMetricFamily(f"lachan_resolver_upstream_{name}", text, labels=["upstream", "group"])
        for one in upstreams:
            family.add_metric([one.name, one.group], float(told(one)))
        yield family


def _streams(streams: Mapping[str, StreamCounts]) -> Iterator[Metric]:
    connections = GaugeMetricFamily(
        "lachan_resolver_upstream_connections", "Connections to upstreams that are open.", labels=["upstream"]
    )
    for label, one in sorted(streams.items()):
        connections.add_metric([label], one.connections)
    yield connections
    for name, word, text in (
        ("questions", "asked", "Questions asked of upstreams by connections."),
        ("connections_opened", "opened", "Connections to upstreams that came to be open."),
        ("sessions_resumed", "resumed", "Connections to upstreams that began with the TLS session of another."),
        ("questions_moved", "moved", "Questions asked again because their connection ended."),
        ("questions_overdue", "overdue", "Questions given up because no answer came in time."),
    ):
        yield counter(
            f"lachan_resolver_upstream_{name}",
            text,
            ["upstream"],
            (((label,), one.counts.get(word, 0)) for label, one in streams.items()),
        )
    yield counter(
        "lachan_resolver_upstream_connection_failures",
        "Connections to upstreams that failed, and questions refused on them, by reason.",
        ["upstream", "reason"],
        (((label, reason), count) for label, one in streams.items() for reason, count in one.failures.items()),
    )


def _blocklist(snapshot: Snapshot) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "lachan_blocklist_serial", "Serial of the list in force, 0 before the first.", value=snapshot.serial
    )
    yield GaugeMetricFamily(
        "lachan_blocklist_suspended",
        "Releases suspended by the operator: while there is one, the release before it is in force.",
        value=snapshot.suspended,
    )
    yield GaugeMetricFamily("lachan_blocklist_entries", "Entries of the list in force.", value=snapshot.entries)
    if snapshot.published_at:
        yield GaugeMetricFamily(
            "lachan_blocklist_age_seconds",
            "Time since the list in force was published.",
            value=max(0.0, snapshot.now - snapshot.published_at),
        )
    if snapshot.checked_at:
        yield GaugeMetricFamily(
            "lachan_blocklist_check_timestamp_seconds",
            "When a newer list was last asked for with success, since 1970.",
            value=snapshot.checked_at,
        )
    yield counter(
        "lachan_blocklist_refused",
        "Releases refused, by reason.",
        ["reason"],
        (((reason,), count) for reason, count in snapshot.refused.items()),
    )
    yield CounterMetricFamily(
        "lachan_blocklist_received_bytes",
        "Bytes of the list's files that were received, metadata included.",
        value=snapshot.received_bytes,
    )
    yield CounterMetricFamily(
        "lachan_blocklist_deltas_applied", "Releases that came as what changed.", value=snapshot.by_delta
    )
    yield counter(
        "lachan_blocklist_downloads",
        "Releases whose records were downloaded whole, by the reason.",
        ["reason"],
        (((reason,), count) for reason, count in snapshot.downloaded.items()),
    )


def _pages(counts: PageCounts) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "lachan_pages_up", "Whether the process that serves the web pages runs, 1 or 0.", value=counts.up
    )
    yield counter(
        "lachan_pages_shown",
        "Web pages shown, by page and by the category of what was blocked.",
        ["page", "category"],
        counts.shown.items(),
    )
    yield counter(
        "lachan_pages_refused",
        "Connections to the web pages that were refused or cut off, by reason.",
        ["reason"],
        (((reason,), count) for reason, count in counts.refused.items()),
    )


def registry(read: Callable[[], Snapshot]) -> CollectorRegistry:
    """Everything an edge's supervisor exposes, its own process included."""
    everything = CollectorRegistry(auto_describe=False)
    everything.register(EdgeCollector(read))
    ProcessCollector(registry=everything)
    return everything


def serve(address: str, port: int, read: Callable[[], Snapshot]) -> contextlib.AbstractContextManager[tuple[str, int]]:
    """The endpoint over this edge's snapshots, until the context ends; `read` is called from other threads.

    Raises:
        EndpointError: The address cannot be bound.
    """
    return endpoint.serve(address, port, registry(read), lambda: problems(read()))

"""Every metric that any part exposes keeps Prometheus' rules for names, units and help, and labels that stay few."""

from __future__ import annotations

import ast
import collections
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

import blocklist_sync.central.serving.metrics
import compliance_api.metrics
import compliance_api.probe.metrics
import resolver.rpzlog.metrics
from blocklist_sync.edge.freshness import SyncState
from compliance_api.ledger.cosigning import Failure
from compliance_api.wiring.challenging import ChallengeMetrics
from compliance_api.wiring.sequencer import LedgerMetrics
from lachan.spool import Stats
from resolver.auditor import Doubt, LedgerStatus
from resolver.counters import WindowCounts
from resolver.metrics import Snapshot, registry
from resolver.pages.counts import PageCounts
from resolver.rpzlog.tally import Window
from resolver.uplink import UplinkStatus
from resolver.upstream.counts import StreamCounts
from tests.support.protos import ROOT

SYNC = SyncState(
    serial=1,
    expires_at=1,
    streaming=True,
    failed={"slow": 1},
    stream_failures={"SILENT": 1},
    mirrors=[{"url": "https://list.example", "trouble": "", "failures": {"older": 1}}],
)
EDGE = Snapshot(
    now=1.0,
    counts=WindowCounts(0, 300, {(1, "default", 0): 1}, {(1, 1): 1}, {1: 1}, 1, 1),
    workers=1,
    serial=1,
    published_at=1,
    checked_at=1,
    refused={"expired": 1},
    downloaded={"missing": 1},
    sync=SYNC,
    cache_entries=1,
    spool=Stats(1, 1, 0, 0, 0.0),
    uplink=UplinkStatus(ledger=LedgerStatus(doubts={Doubt.HEAD: 1})),
    streams={"dot:192.0.2.1:853": StreamCounts(1, {"asked": 1}, {"certificate": 1})},
    pages=PageCounts(True, {("block", "gambling"): 1}, {"busy": 1}),
)


def ledger_registry() -> CollectorRegistry:
    made = CollectorRegistry()
    LedgerMetrics(made).failures.labels("w1", Failure.CLOCK)
    return made


def challenge_registry() -> CollectorRegistry:
    made = CollectorRegistry()
    metrics = ChallengeMetrics(made)
    metrics.answers.labels("opened")
    metrics.unreported.labels("a", "so/p1")
    return made


HITS = resolver.rpzlog.metrics.Snapshot(
    now=1.0,
    seen=Window(collections.Counter({(4, 1): 1})),
    checked_at=1,
    serial_asked_at=1,
    spool=EDGE.spool,
    uplink=UplinkStatus(last_success_at=0.0),
    certificate_ends=1.0,
)

REGISTRIES = {
    "resolver/metrics.py": lambda: registry(lambda: EDGE),
    "resolver/families.py": lambda: registry(lambda: EDGE),
    "resolver/reportmetrics.py": lambda: registry(lambda: EDGE),
    "resolver/rpzlog/metrics.py": lambda: resolver.rpzlog.metrics.registry(lambda: HITS),
    "resolver/syncmetrics.py": lambda: registry(lambda: EDGE),
    "blocklist_sync/central/serving/metrics.py": lambda: blocklist_sync.central.serving.metrics.Metrics().registry,
    "compliance_api/metrics.py": lambda: compliance_api.metrics.Metrics().registry,
    "compliance_api/wiring/sequencer.py": ledger_registry,
    "compliance_api/wiring/challenging.py": challenge_registry,
    "compliance_api/probe/metrics.py": lambda: compliance_api.probe.metrics.Metrics().registry,
}
METRIC_TYPES = ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum", "MetricFamily")

FOREIGN = ("process_",)  # the client library's own
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
HELP = re.compile(r"[A-Z][^\n]{8,118}\.")
TYPES_IN_NAMES = {"counter", "gauge", "histogram", "summary", "metric"}
NOT_BASE_UNITS = {
    "ms", "us", "ns", "sec", "milliseconds", "microseconds", "minutes", "hours", "days", "kb", "mb", "gb",
    "kilobytes", "megabytes", "percent", "percentage",
}  # fmt: skip
RESERVED_LABELS = {"le", "quantile", "job", "instance", "type"}
# What would make as many series as there are names or clients, or tell who asked for what.
FORBIDDEN_LABELS = {"name", "qname", "domain", "client", "address", "ip", "prefix", "host", "url", "entry", "rule"}


@dataclass(frozen=True)
class Declared:
    """A metric as somebody declares it."""

    name: str
    kind: str
    text: str
    labels: frozenset[str]


def declared(metrics: CollectorRegistry) -> Iterator[Declared]:
    for collector in list(metrics._collector_to_names):
        fixed = frozenset(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            seen = frozenset(label for sample in family.samples for label in sample.labels)
            extra = {"le"} if family.type == "histogram" else set()
            if not family.name.startswith(FOREIGN):
                yield Declared(family.name, family.type, family.documentation, (fixed | seen) - extra)


def complaints(metric: Declared) -> list[str]:
    """What is wrong with a metric."""
    words = metric.name.split("_")
    found = []
    if not NAME.fullmatch(metric.name) or not metric.name.startswith("lachan_"):
        found.append("the name is not lachan_words_in_snake_case")
    if metric.name.endswith(("_total", "_count", "_sum", "_bucket", "_info")):
        found.append("the name ends in what the exposition adds")
    if TYPES_IN_NAMES & set(words):
        found.append("the name tells its type")
    if NOT_BASE_UNITS & set(words):
        found.append("the unit is not a base unit")
    if "timestamp" in words and words[-2:] != ["timestamp", "seconds"]:
        found.append("a time is told in _timestamp_seconds")
    if metric.kind == "histogram" and words[-1] not in {"seconds", "bytes", "reports"}:
        found.append("a histogram names its unit")
    if metric.kind not in {"counter", "gauge", "histogram", "info"}:
        found.append(f"{metric.kind} is not used here")
    if not HELP.fullmatch(metric.text):
        found.append("the help is not one sentence")
    found += [f"label {label} is no snake_case" for label in metric.labels if not NAME.fullmatch(label)]
    found += [f"label {label} is reserved" for label in metric.labels & RESERVED_LABELS]
    found += [f"label {label} has no bound, or tells of people" for label in metric.labels & FORBIDDEN_LABELS]
    return found


@pytest.mark.parametrize("module", REGISTRIES)
def test_metrics_keep_the_rules(module: str) -> None:
    metrics = list(declared(REGISTRIES[module]()))
    assert metrics
    assert {metric.name: found for metric in metrics if (found := complaints(metric))} == {}


def test_a_name_means_one_thing_everywhere() -> None:
    by_name: dict[str, set[tuple[str, str, frozenset[str]]]] = {}
    for make in REGISTRIES.values():
        for metric in declared(make()):
            by_name.setdefault(metric.name, set()).add((metric.kind, metric.text, metric.labels))
    assert {name for name, meanings in by_name.items() if len(meanings) > 1} == set()


def imports_of(source: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def test_whoever_declares_metrics_is_linted_here() -> None:
    declaring = {
        str(path.relative_to(ROOT))
        for package in ("lachan", "resolver", "blocklist_sync", "compliance_api")
        for path in (ROOT / package).rglob("*.py")
        for module, name in imports_of(path.read_text())
        if module.startswith("prometheus_client") and name.endswith(METRIC_TYPES)
    }
    assert declaring == set(REGISTRIES)


def test_label_values_stay_few_whatever_is_counted() -> None:
    wild = replace(
        EDGE.counts,
        queries={(transport, "default", rcode): 1 for transport in range(300) for rcode in range(300)},
        blocked={(category, action): 1 for category in range(100) for action in range(100)},
        drops=dict.fromkeys(range(1000), 1),
    )
    families = {family.name: family for family in registry(lambda: replace(EDGE, counts=wild)).collect()}
    assert len(families["lachan_resolver_queries"].samples) <= 6 * 16
    assert sum(sample.value for sample in families["lachan_resolver_queries"].samples) == 90_000
    assert len(families["lachan_resolver_blocked"].samples) <= 10 * 7
    assert len(families["lachan_resolver_dropped"].samples) <= 6


@pytest.mark.parametrize(
    ("name", "text", "labels", "complaint"),
    [
        ("requests", "Requests that came in.", [], "lachan_"),
        ("lachan_Requests", "Requests that came in.", [], "snake_case"),
        ("lachan_wait_ms", "Time that was waited.", [], "base unit"),
        ("lachan_queue_gauge", "Length of the queue.", [], "type"),
        ("lachan_started_timestamp", "When it was started.", [], "_timestamp_seconds"),
        ("lachan_queue", "no sentence", [], "one sentence"),
        ("lachan_queue", "Length of the queue.", ["qname"], "no bound"),
        ("lachan_queue", "Length of the queue.", ["job"], "reserved"),
    ],
)
def test_the_linter_finds_what_is_wrong(name: str, text: str, labels: list[str], complaint: str) -> None:
    metrics = CollectorRegistry()
    Gauge(name, text, labels, registry=metrics)
    Counter("lachan_fine", "Things that were fine.", ["result"], registry=metrics)
    bad, fine = (complaints(metric) for metric in declared(metrics))
    assert any(complaint in found for found in bad)
    assert fine == []

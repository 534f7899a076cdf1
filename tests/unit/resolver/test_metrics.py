from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lachan.spool import Stats
from resolver.counters import WindowCounts
from resolver.metrics import Snapshot, problems, registry
from resolver.uplink import Failure, UplinkStatus
from resolver.upstream.counts import StreamCounts
from resolver.upstream.health import UpstreamHealth

COUNTS = WindowCounts(
    window_start=0,
    window_seconds=300,
    queries={(1, "default", 0): 7, (2, "school", 3): 2, (1, "default", 15): 1, (1, "default", 24): 4, (9, "x", 16): 1},
    blocked={(3, 1): 5, (0, 0): 1},
    drops={4: 3, 77: 2},
    overridden=1,
    upstream_failures=6,
    cache_hits=10,
    cache_misses=11,
    forwarded=12,
    allowed=13,
    rebound=14,
)
FULL = Snapshot(
    now=1000.0,
    counts=COUNTS,
    workers=2,
    restarts=3,
    serial=42,
    entries=1_000_000,
    published_at=900,
    checked_at=990,
    refused={"expired": 2},
    received_bytes=3000,
    by_delta=4,
    downloaded={"missing": 1},
    cache_entries=500,
    spool=Stats(items=3, bytes=4096, held=1, dropped=0, oldest_at=400.0),
    streams={"dot:192.0.2.1:853": StreamCounts(2, {"asked": 8, "moved": 1}, {"certificate": 3})},
    upstreams=[UpstreamHealth("dot:192.0.2.1:853", "corp", 1, True, False, 5, 0.02, 30, 24, 6)],
    certificate_ends=2_000_000_000.0,
    uplink=UplinkStatus(submitted=9, failures={Failure.DENIED: 2}),
)


def told(snapshot: Snapshot) -> dict[str, float]:
    text = generate_latest(registry(lambda: snapshot)).decode()
    return {
        sample.name + "".join(f"|{value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_everything_is_told_under_its_name() -> None:
    values = told(FULL)
    expected = {
        "lachan_resolver_queries_total|default|NOERROR|udp": 7,
        "lachan_resolver_queries_total|school|NXDOMAIN|tcp": 2,
        "lachan_resolver_queries_total|default|other|udp": 5,
        "lachan_resolver_queries_total|x|BADVERS|other": 1,
        "lachan_resolver_blocked_total|nxdomain|pornography": 5,
        "lachan_resolver_blocked_total|other|operator": 1,
        "lachan_resolver_dropped_total|overload": 3,
        "lachan_resolver_dropped_total|acl": 0,
        "lachan_resolver_dropped_total|other": 2,
        "lachan_resolver_overridden_total": 1,
        "lachan_resolver_upstream_workers|corp|dot:192.0.2.1:853": 1,
        "lachan_resolver_upstream_looped|corp|dot:192.0.2.1:853": 1,
        "lachan_resolver_upstream_outstanding|corp|dot:192.0.2.1:853": 5,
        "lachan_resolver_upstream_rtt_seconds|corp|dot:192.0.2.1:853": 0.02,
        "lachan_resolver_upstream_mixed_case|corp|dot:192.0.2.1:853": 0,
        "lachan_resolver_upstream_connections|dot:192.0.2.1:853": 2,
        "lachan_resolver_upstream_questions_total|dot:192.0.2.1:853": 8,
        "lachan_resolver_upstream_questions_moved_total|dot:192.0.2.1:853": 1,
        "lachan_resolver_upstream_questions_overdue_total|dot:192.0.2.1:853": 0,
        "lachan_resolver_upstream_connection_failures_total|certificate|dot:192.0.2.1:853": 3,
        "lachan_resolver_upstream_failures_total": 6,
        "lachan_resolver_forwarded_total": 12,
        "lachan_resolver_allowed_total": 13,
        "lachan_resolver_rebound_total": 14,
        "lachan_resolver_cache_hits_total": 10,
        "lachan_resolver_cache_misses_total": 11,
        "lachan_resolver_cache_entries": 500,
        "lachan_resolver_workers": 2,
        "lachan_resolver_worker_restarts_total": 3,
        "lachan_blocklist_serial": 42,
        "lachan_blocklist_entries": 1_000_000,
        "lachan_blocklist_age_seconds": 100,
        "lachan_blocklist_check_timestamp_seconds": 990,
        "lachan_blocklist_refused_total|expired": 2,
        "lachan_blocklist_received_bytes_total": 3000,
        "lachan_blocklist_deltas_applied_total": 4,
        "lachan_blocklist_downloads_total|missing": 1,
        "lachan_report_spool_reports": 3,
        "lachan_report_spool_bytes": 4096,
        "lachan_report_held_reports": 1,
        "lachan_report_oldest_seconds": 600,
        "lachan_certificate_expires_timestamp_seconds": 2_000_000_000.0,
        "lachan_report_submitted_total": 9,
        "lachan_report_failures_total|denied": 2,
        "lachan_report_failures_total|unavailable": 0,
    }
    assert {name: values.get(name) for name in expected} == expected
    assert any(name.startswith("lachan_build_info") for name in values)
    assert "process_resident_memory_bytes" in values


def test_what_is_not_known_is_left_out() -> None:
    values = told(Snapshot(now=1000.0, counts=WindowCounts(0, 300, {}, {}, {}, 0, 0), workers=1))
    for name in ("lachan_blocklist_age_seconds", "lachan_resolver_cache_entries", "lachan_report_spool_reports"):
        assert name not in values
    assert values["lachan_blocklist_serial"] == 0


def test_an_empty_spool_has_no_age() -> None:
    empty = Stats(items=0, bytes=0, held=0, dropped=0, oldest_at=None)
    values = told(Snapshot(now=1000.0, counts=COUNTS, workers=1, spool=empty))
    assert values["lachan_report_oldest_seconds"] == 0


def test_an_edge_without_workers_or_list_is_not_in_order() -> None:
    assert problems(FULL) == []
    assert len(problems(Snapshot(now=0.0, counts=COUNTS, workers=0))) == 2

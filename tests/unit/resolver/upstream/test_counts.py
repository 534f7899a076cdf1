"""Counts of connections over workers that come and go."""

from __future__ import annotations

from typing import Any

from resolver.upstream.counts import SEEN_MAX, StreamTotals

LABEL = "dot:192.0.2.1:853"


def worker(pid: int, asked: int, connections: int = 1, started_at: float = 1.0, **failures: int) -> dict[str, Any]:
    stream = {
        "upstream": LABEL, "connections": connections, "waiting": 0, "asked": asked, "opened": 1, "resumed": 0,
        "moved": 0, "overdue": 0, "failures": failures,
    }  # fmt: skip
    return {"pid": pid, "started_at": started_at, "streams": [stream]}


def test_what_is_told_again_counts_once() -> None:
    totals = StreamTotals()
    totals.take([worker(1, 5, tls=1), worker(2, 7)])
    first = totals.upstreams[LABEL]
    totals.take([worker(1, 6, tls=1, certificate=2), worker(2, 7)])
    second = totals.upstreams[LABEL]
    assert (first.connections, first.counts["asked"], first.failures) == (2, 12, {"tls": 1})
    assert (second.connections, second.counts["asked"], second.failures) == (2, 13, {"tls": 1, "certificate": 2})


def test_counts_outlive_their_workers_and_never_go_down() -> None:
    totals = StreamTotals()
    totals.take([worker(1, 5)])
    totals.take([])
    assert (totals.upstreams[LABEL].connections, totals.upstreams[LABEL].counts["asked"]) == (0, 5)
    # One that could not be asked, and one under the same number that is another.
    totals.take([worker(1, 6)])
    totals.take([worker(1, 2, started_at=2.0)])
    assert totals.upstreams[LABEL].counts["asked"] == 8


def test_a_worker_that_tells_of_no_streams_is_passed_over() -> None:
    totals = StreamTotals()
    totals.take([{"pid": 1, "started_at": 1.0}])
    assert totals.upstreams == {}


def test_workers_long_gone_are_forgotten() -> None:
    totals = StreamTotals()
    for pid in range(SEEN_MAX + 10):
        totals.take([worker(pid, 1)])
    assert len(totals._seen) <= SEEN_MAX
    assert totals.upstreams[LABEL].counts["asked"] == SEEN_MAX + 10

"""Builds a snapshot of the benchmark's list and becomes the resolver: `lachan-resolver serve` with one worker.

Reads BENCH_PORT, BENCH_NAMES, BENCH_UPSTREAM and BENCH_DIR (see bench.py). Everything is as an operator would have it:
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml

from blocklist_sync.artifact import records, snapshot
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope


def main() -> None:
    """Writes the snapshot and edge.yaml below BENCH_DIR, then execs the resolver."""
    scratch = Path(os.environ["BENCH_DIR"])
    port = int(os.environ["BENCH_PORT"])
    host, _, upstream_port = os.environ["BENCH_UPSTREAM"].partition(":")
    order = Order("01/BENCH", mandated=True)
    names = Path(os.environ["BENCH_NAMES"]).read_text().split()
    entries = [records.Entry(name, Scope.SUBTREE, False, Category.GAMBLING, order) for name in names]
    release = records.parse(records.encode(entries, 1, records.FingerprintKey(1, bytes(range(16)))))
    (scratch / "rules.snapshot").write_bytes(snapshot.build(release))
    runtime = scratch / "run"
    configuration = {
        "organisation": "bench",
        "node": "edge-1",
        "state_dir": str(scratch / "state"),
        "runtime_dir": str(runtime),
        "workers": 1,
        "listen": [{"address": "127.0.0.1", "port": port}],
        "upstreams": [{"address": host, "port": int(upstream_port)}],
        "cache": {"size": "512MB"},
        # Looked up for every query, reached by none.
        "rate_limit": {"queries_per_second": 10_000_000, "burst": 10_000_000, "exceptions": []},
        "blocklist": {"snapshot": str(scratch / "rules.snapshot")},
        "metrics": {"address": "127.0.0.1", "port": port + 1000},
    }
    path = scratch / "edge.yaml"
    path.write_text(yaml.safe_dump(configuration))
    # The benchmark measures this process and what descends from it.
    os.execv(sys.executable, [sys.executable, "-m", "resolver.cli", "serve", "--config", str(path)])  # noqa: S606


if __name__ == "__main__":
    main()

"""Becomes the resolver: `lachan-resolver serve` with one worker, everything as an operator would have it.

Reads BENCH_PORT, BENCH_SNAPSHOT, BENCH_UPSTREAM, BENCH_DIR and, for DNS over TLS, BENCH_TLS: a folder with a pair.
Where an attack is measured, also BENCH_ATTACK: the domain whose names are asked of another upstream, that one's port,
and the address that stands for so many clients that it has no share of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import yaml

TLS_OFFSET = 100


def main() -> None:
    """Writes edge.yaml below BENCH_DIR, then execs the resolver."""
    scratch = Path(os.environ["BENCH_DIR"])
    port = int(os.environ["BENCH_PORT"])
    host, _, upstream_port = os.environ["BENCH_UPSTREAM"].partition(":")
    listen: list[dict[str, Any]] = [{"address": "0.0.0.0", "port": port}]
    if "BENCH_TLS" in os.environ:
        pair = {kind: str(Path(os.environ["BENCH_TLS"]) / f"{kind}.pem") for kind in ("certificate", "key")}
        listen.append({"address": "0.0.0.0", "port": port + TLS_OFFSET, "protocol": "dot", "tls": pair})
    configuration: dict[str, Any] = {
        "organisation": "bench",
        "node": "edge-1",
        "state_dir": str(scratch / "state"),
        "runtime_dir": str(scratch / "run"),
        "workers": 1,
        "listen": listen,
        "upstreams": [{"address": host, "port": int(upstream_port)}],
        "cache": {"size": "512MB"},
        # Looked up for every query, reached by none.
        "rate_limit": {"queries_per_second": 10_000_000, "burst": 10_000_000, "exceptions": []},
        "blocklist": {"snapshot": os.environ["BENCH_SNAPSHOT"]},
        "metrics": {"address": "127.0.0.1", "port": port + 1000},
    }
    if "BENCH_ATTACK" in os.environ:
        domain, attacked_port, crowd = os.environ["BENCH_ATTACK"].split()
        configuration["upstreams"].append({"address": host, "port": int(attacked_port), "group": "attacked"})
        configuration["forwarding"] = {"domains": [{"names": [domain], "group": "attacked"}]}
        configuration["rate_limit"]["exceptions"] = [{"network": f"{crowd}/32", "queries_per_second": 0}]
    path = scratch / "edge.yaml"
    path.write_text(yaml.safe_dump(configuration))
    # The benchmark measures this process and what descends from it.
    os.execv(sys.executable, [sys.executable, "-m", "resolver.cli", "serve", "--config", str(path)])  # noqa: S606


if __name__ == "__main__":
    main()

"""What a worker loads: each of an edge's workers holds its own copy, and a start waits for it."""

from __future__ import annotations

import json
import subprocess
import sys

# The supervisor's business, a terminal's, and what only encrypted listeners and signed answers need.
NOT_A_WORKERS = {
    "grpc",
    "google",
    "tuf",
    "securesystemslib",
    "urllib3",
    "sqlite3",
    "prometheus_client",
    "typer",
    "rich",
    "cryptography",
}

PROGRAM = (
    "import json, sys, resolver.worker;"
    "print(json.dumps(sorted({name.partition('.')[0] for name, module in sys.modules.items() if module})))"
)


def test_a_worker_loads_neither_grpc_nor_tuf_nor_cryptography() -> None:
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", PROGRAM], text=True, timeout=60))
    assert "uvloop" in loaded
    assert NOT_A_WORKERS & set(loaded) == set()

"""What building costs: records of a million and of ten million names, and what a small change is on the wire.

    python -m tests.bench.builds            everything; the last line is JSON
    python -m tests.bench.builds LINES OUT  one build, in this process alone

A build reads the list as the list authority keeps it (a name, its kind, its serial in a line), packs and sorts it,
hashes the records and writes them durably. It has a process of its own, whose greatest memory the kernel tells.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from blocklist_sync.artifact import records
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.records import Encoder, FingerprintKey
from blocklist_sync.artifact.rules import Scope
from lachan import durable, terminal

MILLION = 1_000_000
BLOCK_BYTES = 1 << 20
CHANGED = 100
KINDS = [
    (Scope.SUBTREE, False, category, Order(f"{number:02}/BENCH", mandated=bool(number % 2)))
    for number, category in enumerate(Category)
]


def write_list(path: Path, names: int) -> None:
    """A list of so many names, in the order of their letters."""
    with path.open("w") as file:
        for at in range(0, names, 10_000):
            file.write(
                "".join([f"n{number:08d}.test\t{number % len(KINDS)}\t1\n" for number in range(at, at + 10_000)])
            )


def build(lines: Path, out: Path) -> dict[str, float]:
    """Builds records in this process: seconds, megabytes at most, bytes of the records."""
    began = time.monotonic()
    encoder = Encoder(FingerprintKey(1, bytes(range(16))))
    kinds = [encoder.kind(*kind) for kind in KINDS]
    with lines.open("rb") as file:
        while block := file.readlines(BLOCK_BYTES):
            encoder.add_lines(b"".join(block), kinds)
    release = records.parse(encoder.release(1))
    assert release.digest
    durable.write(out, [release.data])
    seconds = time.monotonic() - began
    # Of this program alone: what getrusage tells may be the parent's.
    [peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return {"seconds": seconds, "megabytes": int(peak.split()[1]) / 1024, "bytes": len(release.data)}


def apart(folder: Path, names: int) -> dict[str, float]:
    """Builds a list of so many names in a process of its own."""
    lines, out = folder / "lines.tsv", folder / "records.bin"
    write_list(lines, names)
    command = [sys.executable, "-m", "tests.bench.builds", str(lines), str(out)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines.unlink()
    out.unlink()
    found: dict[str, float] = json.loads(told.splitlines()[-1])
    return found


def measure(folder: Path, names: int = MILLION) -> dict[str, float]:
    """Everything, for `names` and for ten times as many, in `folder`.

    Returns:
        `build_s_1m` and `build_s_10m` in seconds, `build_mb_1m` and `build_mb_10m` in MiB at most, `records_bytes` of
        the shorter list; `delta_wire_bytes` that an edge exchanges for a hundred names in it, metadata, headers, the
        handshake of mutual TLS and the longest manifest included, and `delta_handshake_bytes` among them.
    """
    # A build's own process does without the whole of an authority and an edge.
    from tests.support.wire import measured

    folder.mkdir(exist_ok=True)
    small, large = apart(folder, names), apart(folder, 10 * names)
    listed = [f"n{number:08d}.example" for number in range(names)]
    changed = [*listed[CHANGED:], *(f"m{number}.example" for number in range(CHANGED))]
    wire = asyncio.run(measured(folder, listed, changed))
    return {
        "build_s_1m": round(small["seconds"], 2),
        "build_mb_1m": round(small["megabytes"]),
        "build_s_10m": round(large["seconds"], 2),
        "build_mb_10m": round(large["megabytes"]),
        "records_bytes": wire.records,
        "delta_bytes": wire.delta,
        "delta_wire_bytes": wire.all,
        "delta_handshake_bytes": wire.handshake,
    }


def main() -> None:
    """`python -m tests.bench.builds`."""
    if sys.argv[1:]:
        terminal.line(json.dumps(build(*map(Path, sys.argv[1:]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        terminal.line(json.dumps(measure(Path(folder))))


if __name__ == "__main__":
    main()

"""What building costs: records of a million and of ten million names, and what a small change is on the wire.

    python -m tests.bench.builds         everything; the last line is JSON
    python -m tests.bench.builds FOLDER  one build of a folder that was prepared, in this process alone

A build is `lachan-blocklist build` as it is shipped, from the start of its process to its end: it verifies the
approvals log, folds it, packs and sorts the records, holds every rail against the difference, makes manifest and delta,
the public statement with a commitment to each entry, and the document to sign, all of it written durably. Its greatest
memory and CPU time are told by the kernel. What is greater than it may be ends it with status 1.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.log import approvals, changes
from lachan import durable, terminal
from tests.support.list_authority import ListAuthority
from tests.support.registry import EDITOR, FIRST, ORDER, approval, founded, proposal

MILLION = 1_000_000
CHANGED = 100
LIMITS = {"records_bytes": 16_000_000, "delta_wire_bytes": 12_000, "build_mb_10m": 512}
"""What no machine's speed has to do with: the records and a small change of a million, and the memory for ten."""
KINDS = [Kind(Scope.SUBTREE, False, category, ORDER.basis) for category in Category]


def prepare(folder: Path, names: int) -> None:
    """A log in which one proposal brought so many names, and who approves by the word of the offline keys."""
    authority = ListAuthority(folder)
    assert authority.documents.targets is not None
    (folder / "targets.json").write_bytes(authority.documents.targets.to_bytes())
    durable.make_folder(authority.log.folder / "changes")
    aside = authority.log.folder / "changes" / "aside"
    lines = ((f"n{number:08d}.test", KINDS[number % len(KINDS)], True) for number in range(names))
    summary = changes.write(aside, lines)
    held = {"changes_sha256": summary.digest.hex(), "added": summary.added, "removed": 0}
    asked = proposal(**held)
    aside.replace(authority.log.changes_path(asked.changes_sha256))
    book = founded()
    book.decide(asked, EDITOR, approval(asked, FIRST))
    approvals.write(authority.log.steps_path, book.steps)


def build(folder: Path) -> dict[str, float]:
    """Builds in this process, by the verb: seconds of a processor, megabytes at most, bytes of the records."""
    from blocklist_sync.central.cli import app

    places = ("--log", folder / "log", "--release", folder / "release", "--repository", folder / "repository")
    app(["build", *map(str, places), "--targets", str(folder / "targets.json")], standalone_mode=False)
    # Of this program alone: what getrusage tells may be the parent's.
    [peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    size = (folder / "release" / "records.bin").stat().st_size
    assert (folder / "release" / "list.json").exists()
    return {"cpu": time.process_time(), "megabytes": int(peak.split()[1]) / 1024, "bytes": size}


def apart(folder: Path, names: int) -> dict[str, float]:
    """Builds a list of so many names in a process of its own; seconds on the clock beside what it tells."""
    place = folder / str(names)
    prepare(place, names)
    command = [sys.executable, "-m", "tests.bench.builds", str(place)]
    began = time.monotonic()
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds = time.monotonic() - began
    shutil.rmtree(place)
    found: dict[str, float] = json.loads(told.splitlines()[-1])
    return found | {"seconds": seconds}


def measure(folder: Path, names: int = MILLION) -> dict[str, float]:
    """Everything, for `names` and for ten times as many, in `folder`.

    Returns:
        `build_s_1m` and `build_s_10m` in seconds on the clock, `build_cpu_s_1m` and `build_cpu_s_10m` of a processor,
        `build_mb_1m` and `build_mb_10m` in MiB at most, `records_bytes` of
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
        "build_cpu_s_1m": round(small["cpu"], 2),
        "build_mb_1m": round(small["megabytes"]),
        "build_s_10m": round(large["seconds"], 2),
        "build_cpu_s_10m": round(large["cpu"], 2),
        "build_mb_10m": round(large["megabytes"]),
        "records_bytes": wire.records,
        "delta_bytes": wire.delta,
        "delta_wire_bytes": wire.all,
        "delta_handshake_bytes": wire.handshake,
    }


def beyond(found: Mapping[str, float]) -> list[str]:
    """The figures that are greater than they may be."""
    return [f"{name}: {found[name]:g}, more than {limit}" for name, limit in LIMITS.items() if found[name] > limit]


def main() -> None:
    """`python -m tests.bench.builds`."""
    if sys.argv[1:]:
        terminal.line(json.dumps(build(Path(sys.argv[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    terminal.line(json.dumps(found))
    if missed := beyond(found):
        raise SystemExit("; ".join(missed))


if __name__ == "__main__":
    main()

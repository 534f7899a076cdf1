"""What an import of many names takes: `python -m tests.bench.imports [--names N] [--folder DIR]`.

Holds always: the names are invented; the importing process is measured alone, by what the kernel says of it; the same
file is imported a second time against a list that has it, and must draft nothing. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ORDER = "12/QĐ"
WORDS = ("ga", "bet", "loto", "vip", "win", "top", "play", "bong", "da", "club", "live", "xo", "so", "nha", "cai")


def names(count: int) -> Iterator[str]:
    """Invented names, as long as real ones are, one in eight below another."""
    drawn = random.Random(7)
    for number in range(count):
        word = f"{drawn.choice(WORDS)}{drawn.choice(WORDS)}{number:x}"
        yield f"{drawn.choice(WORDS)}{number % 97}.{word}.example" if number % 8 == 0 else f"{word}.example"


def write_source(path: Path, count: int) -> None:
    """A hosts file in no order, with a heading and a bad line in a thousand."""
    with path.open("w", encoding="ascii") as file:
        file.write("# invented\n")
        for number, name in enumerate(names(count)):
            file.write(f"0.0.0.0 {name}\n")
            if number % 1000 == 0:
                file.write("192.0.2.1 a.example\n")


def write_list(path: Path, changes: Path) -> None:
    """The list that has landed, as a release folder keeps it."""
    path.parent.mkdir(exist_ok=True)
    with changes.open(encoding="utf-8") as given, path.open("w", encoding="utf-8") as file:
        given.readline()
        file.write("lachan-entries 1\n")
        for line in given:
            file.write(line if line[0] == "\t" else line.removesuffix("+\n") + "1\n")


def measured(folder: Path) -> tuple[dict[str, Any], float, float]:
    """What one import told, its seconds, and its peak in MB."""
    verb = "from blocklist_sync.central.cli import main; main()"
    words = ["import", str(folder / "source.hosts"), "--order", ORDER, "--category", "gambling", "--mandated"]
    words += ["--replace", "--release", str(folder / "release"), "--out", str(folder / "drafts"), "--json"]
    started = time.monotonic()
    with (folder / "told.json").open("w+b") as told:
        child = subprocess.Popen(
            [sys.executable, "-c", verb, *words, "--max-refused", "0"],
            stdout=told,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": str(folder)},
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"the import ended with {child.returncode}")
        told.seek(0)
        return json.load(told), time.monotonic() - started, usage.ru_maxrss / 1024


def main() -> None:
    """Measures both imports."""
    asked = argparse.ArgumentParser(prog="python -m tests.bench.imports")
    asked.add_argument("--names", type=int, default=1_000_000)
    asked.add_argument("--folder", type=Path, help="where there is room for some hundred bytes a name")
    told = asked.parse_args()
    with tempfile.TemporaryDirectory(dir=told.folder) as name:
        folder = Path(name)
        write_source(folder / "source.hosts", told.names)
        first, first_s, first_mb = measured(folder)
        [draft] = first["drafts"]
        write_list(folder / "release" / "entries.tsv", Path(draft["changes"]))
        again, again_s, again_mb = measured(folder)
    if again["drafts"] or again["diff"]["unchanged"] != first["diff"]["added"]:
        raise SystemExit(f"the second import is not empty: {again['diff']}")
    figures = {
        "names": first["diff"]["added"],
        "refused": first["lines"]["refused"],
        "first_s": round(first_s, 1),
        "first_mb": round(first_mb),
        "again_s": round(again_s, 1),
        "again_mb": round(again_mb),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()

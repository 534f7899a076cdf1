"""The tree as it is committed: what the tests of this folder look at."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("lachan", "resolver", "blocklist_sync", "compliance_api")


@functools.cache
def tracked() -> tuple[PurePosixPath, ...]:
    """Every committed file that still stands in the work tree, by its path from the root."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return tuple(PurePosixPath(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


@functools.cache
def text(path: PurePosixPath) -> str:
    """A file's text, empty for pictures and other binary files."""
    data = (ROOT / path).read_bytes()
    return "" if b"\0" in data else data.decode()


def generated(path: PurePosixPath) -> bool:
    """Whether a program wrote it."""
    return "_pb2" in path.name


def modules() -> list[PurePosixPath]:
    """Every hand-written Python or Cython module of the four packages."""
    return [
        path
        for path in tracked()
        if path.parts[0] in PACKAGES and path.suffix in {".py", ".pyx"} and not generated(path)
    ]

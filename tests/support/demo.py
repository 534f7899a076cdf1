"""Demos as a user runs them, and what they leave behind."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from deploy.demo.processes import marked

UP_SECONDS = 90
END_SECONDS = 30


def left(folder: Path) -> list[str]:
    """The command lines of processes that belong to a demo in this folder, PostgreSQL's among them."""
    found = [str(pid) for pid in marked(str(folder))]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(folder) in command:
                    found.append(command)
    return found


def command(folder: Path, base: int, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "deploy.demo", "--port-base", str(base), "--folder", str(folder), *arguments]

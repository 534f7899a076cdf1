"""Runs the product's commands in processes forked from one that has their modules loaded already.

A command spends half a second on imports, and the demo types seventy of them. Each still runs in a process of its own,
with the arguments that are noted for the user; only `exec` and imports are left out.

Holds always: this process has one thread and neither connects to anything nor opens a key, so that every fork begins as
a fresh command would; it reads one line of JSON for each batch (`[[argv, output file, error file], …]`), and answers
with a line of exit statuses.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

PROGRAMS = {"lachan-blocklist": "blocklist_sync.central.cli", "lachan-compliance": "compliance_api.cli"}
PR_SET_PDEATHSIG = 1
"""prctl(2)."""


class Launcher:
    """The other end: commands handed to such a process."""

    def __init__(self, prefix: Sequence[str], folder: Path, environment: Mapping[str, str], scratch: Path) -> None:
        """Starts it.

        Args:
            prefix: What stands in front of its command line.
            folder: The working folder of every command.
            environment: Of every command.
            scratch: Where outputs are kept until they are read.
        """
        self._scratch = scratch
        self._child = subprocess.Popen(
            [*prefix, sys.executable, "-m", __name__],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def run(self, commands: Sequence[Sequence[str]]) -> list[tuple[int, bytes, bytes]]:
        """Runs commands side by side to their ends: of each its status, its output and its complaints."""
        files = [[self._scratch / f".{number}.{name}" for name in ("out", "err")] for number in range(len(commands))]
        asked = [[list(argv), *map(str, pair)] for argv, pair in zip(commands, files, strict=True)]
        _pipe(self._child.stdin).write(json.dumps(asked) + "\n")
        _pipe(self._child.stdin).flush()
        statuses = json.loads(_pipe(self._child.stdout).readline() or "[]") or [1] * len(commands)
        outcomes = []
        for status, (output, errors) in zip(statuses, files, strict=True):
            outcomes.append((status, output.read_bytes(), errors.read_bytes()))
            output.unlink()
            errors.unlink()
        return outcomes

    def close(self) -> None:
        """Ends it."""
        for pipe in (self._child.stdin, self._child.stdout):
            _pipe(pipe).close()
        self._child.wait()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None  # noqa: S101  both were asked for
    return pipe


def _become(argv: Sequence[str], output: str, errors: str, main: Callable[[], None]) -> NoReturn:
    """The forked process: the command, and its end."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in ((1, output), (2, errors)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.argv = list(argv)
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def main() -> None:
    """Loads everything, then forks until nobody asks any more."""
    mains = {name: importlib.import_module(module).main for name, module in PROGRAMS.items()}
    verbs = importlib.import_module("blocklist_sync.central.cli").VERBS
    for place in {value.partition(":")[0] for value in verbs.values()}:
        importlib.import_module(f"blocklist_sync.central.verbs.{place}")
    for line in sys.stdin:
        children = []
        for argv, output, errors in json.loads(line):
            child = os.fork()
            if not child:
                _become(argv, output, errors, mains[Path(argv[0]).name])
            children.append(child)
        sys.stdout.write(json.dumps([os.waitstatus_to_exitcode(os.waitpid(one, 0)[1]) for one in children]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

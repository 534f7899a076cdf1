"""Sorts more lines than memory should hold: sorted runs in unnamed files, merged when they are read.

Holds always: at most `at_once` lines are in memory; the files have no name, since what is sorted is confidential, and
are gone with the process; lines come back in the order of their code points, as often as they were added.
"""

from __future__ import annotations

import contextlib
import heapq
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

from blocklist_sync.central.errors import CentralError

LINES_AT_ONCE = 300_000
MAX_RUNS = 200
"""Each is an open file."""


def _close(run: IO[str]) -> None:
    # What a full disk did not take was told when it was written.
    with contextlib.suppress(OSError):
        run.close()


class Runs:
    """Lines, each with its newline, sorted."""

    def __init__(self, at_once: int = LINES_AT_ONCE) -> None:
        self._at_once = at_once
        self._batch: list[str] = []
        self._runs: list[IO[str]] = []
        self._files = ExitStack()
        self.lines = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add(self, line: str) -> None:
        """Takes a line.

        Raises:
            CentralError: There are too many, or the disk is full.
        """
        self._batch.append(line)
        self.lines += 1
        if len(self._batch) >= self._at_once:
            self._flush()

    def extend(self, lines: Iterable[str]) -> None:
        """Takes lines.

        Raises:
            CentralError: There are too many, or the disk is full.
        """
        for line in lines:
            self.add(line)

    def _flush(self) -> None:
        if len(self._runs) == MAX_RUNS:
            raise CentralError(f"more than {MAX_RUNS * self._at_once} names")
        self._batch.sort()
        try:
            run = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115  closed with the others
            self._files.callback(_close, run)
            run.writelines(self._batch)
            run.flush()
        except OSError as error:
            raise CentralError(f"{tempfile.gettempdir()}: {error.strerror}") from error
        self._runs.append(run)
        self._batch = []

    def __iter__(self) -> Iterator[str]:
        """Every line added, sorted; one reader at a time."""
        self._batch.sort()
        if not self._runs:
            return iter(self._batch)
        for run in self._runs:
            run.seek(0)
        return heapq.merge(*self._runs, self._batch)

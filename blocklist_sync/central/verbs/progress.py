"""How far a long verb has come, shown on a terminal; where standard error is none, nothing is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

SHOWN_EVERY = 4096
"""Steps between looks at the clock."""
SECONDS = 0.1


def _nothing(_: int) -> None:
    pass


def _done() -> None:
    pass


class Bar:
    """A bar for each stage."""

    def __init__(self, shown: bool | None = None) -> None:
        """Shows bars if `shown`, or if that is not said and standard error is a terminal."""
        self._progress: Progress | None = None
        self._settle: Callable[[], None] = _done
        """Shows how far the last stage came, before the next one begins."""
        if sys.stderr.isatty() if shown is None else shown:
            columns = (
                TextColumn("{task.description:>10}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(compact=True),
            )
            self._progress = Progress(
                *columns, console=Console(stderr=True, force_terminal=shown), auto_refresh=False, transient=True
            )

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._settle()
            self._progress.stop()

    def stage(self, name: str, total: int | None) -> Callable[[int], None]:
        """Begins a stage of so many units; what it returns is told of each that is done."""
        progress = self._progress
        if progress is None:
            return _nothing
        self._settle()
        task = progress.add_task(name, total=total)
        steps, done, shown = 0, 0, time.monotonic()

        def passed(units: int) -> None:
            nonlocal steps, done, shown
            steps += 1
            done += units
            # A clock read for each line would cost more than the line.
            if steps % SHOWN_EVERY == 0 and time.monotonic() - shown > SECONDS:
                shown = time.monotonic()
                progress.update(task, completed=done, refresh=True)

        def settle() -> None:
            progress.update(task, completed=done, refresh=True)

        self._settle = settle
        return passed

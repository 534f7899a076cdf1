"""Names in the order of the tree: each right behind the name above it, everything below it right behind that.

Holds always: memory is bounded by the size of a run, however many names there are; what is put aside meanwhile stands
in files that have no name, so that nobody else can open the clear list and nothing stays behind.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

RUN_NAMES = 250_000
# Both below every character of a name, so that what is below `bad.example` is not torn apart by `bad-x.example`; the
# end below the step, so that a name comes before what is below it.
_END = "\x01"
_STEP = "\x02"

Numbered = tuple[str, int]
"""A canonical name and the number of its kind."""


def _line(name: str, number: int) -> str:
    return f"{_STEP.join(reversed(name.split('.')))}{_END}{number}\n"


def _numbered(line: str) -> Numbered:
    path, _, number = line.partition(_END)
    return ".".join(reversed(path.split(_STEP))), int(number)


def _put_aside(lines: list[str], folder: Path) -> IO[str]:
    file = tempfile.TemporaryFile("w+", encoding="ascii", newline="\n", dir=folder)  # noqa: SIM115 # the caller's
    file.writelines(lines)
    file.seek(0)
    return file


def in_tree_order(names: Iterable[Numbered], folder: Path, run: int = RUN_NAMES) -> Iterator[Numbered]:
    """The same names, every one before what is below it.

    Args:
        names: In any order.
        folder: Where there is room for as many as come.
        run: How many are sorted in memory at once.

    Raises:
        OSError: The folder has no room.
    """
    with ExitStack() as aside:
        runs: list[Iterable[str]] = []
        lines: list[str] = []
        for name, number in names:
            lines.append(_line(name, number))
            if len(lines) == run:
                lines.sort()
                runs.append(aside.enter_context(_put_aside(lines, folder)))
                lines = []
        lines.sort()
        yield from map(_numbered, heapq.merge(*runs, lines))

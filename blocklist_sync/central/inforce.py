"""The list in force as imports and rails read it: entries by name, in order, in bounded memory.

Holds always: what is read from a release folder is its clear list to the last line, or an error that names the line;
names come sorted, each with all of its kinds together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from blocklist_sync.central import entries as clear
from blocklist_sync.central.diff import Held
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.runs import Runs


def _check(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)


class _Lines:
    """The lines of a clear list, whose errors name their line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.kinds: list[Kind] = []

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Names and the numbers of their kinds, as they stand there."""
        number = 1
        kinds = self.kinds = []
        try:
            with self._path.open(encoding="utf-8", newline="\n") as file:
                _check(file.readline(clear.MAX_LINE_BYTES) == clear.FORMAT + "\n", f"not {clear.FORMAT!r}")
                for number, line in enumerate(file, 2):  # noqa: B007  the errors below name it
                    if line[0] == "\t":
                        kinds.append(clear.parse_kind(line[:-1]))
                        continue
                    name, text, _serial = line.split("\t")
                    kind = int(text)
                    _check(0 <= kind < len(kinds), f"no kind has the number {kind}")
                    yield name, kind
        except OSError as error:
            raise CentralError(f"{self._path}: {error.strerror}") from error
        except ValueError as error:
            raise CentralError(f"{self._path}:{number}: malformed: {error}") from error


def _in_order(lines: Iterable[tuple[str, int]]) -> bool:
    """Whether names stand in order: reading twice is cheaper than sorting once."""
    before = ""
    for name, _ in lines:
        if name < before:
            return False
        before = name
    return True


def from_entries(path: Path, runs: Runs) -> Iterator[Held]:
    """The clear list in a file, by name; nothing where there is no file yet.

    Args:
        path: `entries.tsv` of a release folder.
        runs: What to sort with where the file is not in order; closed by whoever opened it, after the last entry.

    Raises:
        CentralError: It cannot be read, or a line of it is malformed.
    """
    if not path.exists():
        return
    lines = _Lines(path)
    if _in_order(lines):
        for name, kind in lines:
            yield Held(name, lines.kinds[kind])
        return
    runs.extend(f"{name}\t{kind}\n" for name, kind in lines)
    for line in runs:
        name, number = line[:-1].split("\t")
        yield Held(name, lines.kinds[int(number)])

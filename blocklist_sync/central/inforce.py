"""The list in force as imports and rails read it: entries by name, in order, in bounded memory.

Holds always: what is read from a release folder is its clear list to the last line, or an error that names the line;
names come sorted, each with all of its kinds together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blocklist_sync.central import entries as clear
from blocklist_sync.central.diff import Held
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.runs import Runs


def _check(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)


def _fill(path: Path, runs: Runs) -> list[Kind]:
    """Moves every line of a clear list into runs; returns its kinds."""
    kinds: list[Kind] = []
    number = 1
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            _check(file.readline(clear.MAX_LINE_BYTES) == clear.FORMAT + "\n", f"not {clear.FORMAT!r}")
            for number, line in enumerate(file, 2):  # noqa: B007  the errors below name it
                if line[0] == "\t":
                    kinds.append(clear.parse_kind(line[:-1]))
                    continue
                name, kind, _serial = line.split("\t")
                _check(0 <= int(kind) < len(kinds), f"no kind has the number {kind}")
                runs.add(f"{name}\t{kind}\n")
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CentralError(f"{path}:{number}: malformed: {error}") from error
    return kinds


def from_entries(path: Path, runs: Runs) -> Iterator[Held]:
    """The clear list in a file, by name; nothing where there is no file yet.

    Args:
        path: `entries.tsv` of a release folder.
        runs: What to sort with; closed by whoever opened it, after the last entry.

    Raises:
        CentralError: It cannot be read, or a line of it is malformed.
    """
    if not path.exists():
        return
    kinds = _fill(path, runs)
    for line in runs:
        name, kind = line[:-1].split("\t")
        yield Held(name, kinds[int(kind)])

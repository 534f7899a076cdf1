"""Clear lists, for tests: written by kind, which no release does; what is read has to stand in no order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from blocklist_sync.central.entries import FORMAT, Kind, kind_line, kind_rank
from blocklist_sync.central.log import rows
from blocklist_sync.central.log.rows import StateReader


class Entries:
    """The entries of a list, by kind and name, each with the serial that brought it."""

    def __init__(self) -> None:
        self.kinds: dict[Kind, dict[str, int]] = {}

    def add(self, kind: Kind, names: Iterable[str], serial: int) -> None:
        """Adds names of a kind."""
        self.kinds.setdefault(kind, {}).update(dict.fromkeys(names, serial))


def write(path: Path, entries: Entries) -> None:
    """Writes a list by kind."""
    kinds = sorted(entries.kinds, key=kind_rank)
    lines = [FORMAT, *map(kind_line, kinds)]
    for number, kind in enumerate(kinds):
        lines += [f"{name}\t{number}\t{serial}" for name, serial in sorted(entries.kinds[kind].items())]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def write_lines(path: Path, kinds: Sequence[Kind], lines: Iterable[tuple[str, int, int]]) -> list[int]:
    """Writes a list as releases do, of rows one by one; how many there are of each kind."""
    return rows.write(path, kinds, rows.in_blocks(lines))


def read(path: Path) -> Entries:
    """The list in a file."""
    found = Entries()
    with path.open(encoding="utf-8", newline="\n") as file:
        reader = StateReader(file, path)
        for name, kind, serial in reader:
            found.add(reader.kinds[kind], [name], serial)
    return found

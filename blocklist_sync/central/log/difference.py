"""What one state of the list has that another has not; and since which release each entry stands there.

Holds always: both are read once, in order, a block at a time; a name that stays listed under other terms is neither
added nor removed, it is changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.rows import NO_ROWS, Rows, StateReader

SHOWN = 20


@dataclass
class Difference:
    """Counts of names and entries, with the first names of each sort."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    kept: int = 0
    """Entries that stand in both."""
    entries: Counter[tuple[Kind, bool]] = field(default_factory=Counter)
    """Entries by kind, and whether they come."""
    first: dict[str, list[str]] = field(default_factory=lambda: {"added": [], "removed": [], "changed": []})

    def count(self, sort: str, names: Sequence[str]) -> None:
        """Counts names as `added`, `removed` or `changed`."""
        setattr(self, sort, getattr(self, sort) + len(names))
        first = self.first[sort]
        first += names[: SHOWN - len(first)]

    @property
    def empty(self) -> bool:
        """Whether both are the same."""
        return not self.entries

    def document(self) -> dict[str, object]:
        """For `--json`."""
        kinds = [
            {
                "change": "added" if comes else "removed",
                "category": kind.category.label,
                "scope": kind.scope.value,
                "effect": "except" if kind.exception else "block",
                "mandated": kind.order.mandated,
                "order": kind.order.text,
                "entries": count,
            }
            for (kind, comes), count in sorted(
                self.entries.items(), key=lambda item: (kind_rank(item[0][0]), not item[0][1])
            )
        ]
        return {
            "added": self.added,
            "removed": self.removed,
            "changed": self.changed,
            "kept": self.kept,
            "kinds": kinds,
            "first": self.first,
        }


class Watcher(Protocol):
    """Whoever looks on while two lists are compared: names with their kinds, by number, as they pass in order."""

    def held(self, names: Sequence[str], kinds: Sequence[int]) -> None:
        """Entries of the earlier list, whatever becomes of them."""

    def come(self, names: Sequence[str], kinds: Sequence[int]) -> None:
        """Entries that the later list has and the earlier one has not."""

    def go(self, kinds: Sequence[int]) -> None:
        """Entries that the earlier list has and the later one has not, by their kinds alone."""


def paired(before: Iterator[Rows], after: Iterator[Rows]) -> Iterator[tuple[Rows, Rows]]:
    """Both lists in pieces that hold the same range of names; one piece of the two may be empty."""
    old, new = next(before, NO_ROWS), next(after, NO_ROWS)
    while old.names or new.names:
        end = min(rows.names[-1] for rows in (old, new) if rows.names)
        (one, old), (other, new) = old.until(end), new.until(end)
        yield one, other
        if not old.names:
            old = next(before, NO_ROWS)
        if not new.names:
            new = next(after, NO_ROWS)


class Comparison:
    """Two lists beside one another, the earlier one possibly missing."""

    def __init__(self, before: Path | None, after: Path, stack: ExitStack) -> None:
        """Opens both, until `stack` closes.

        Raises:
            CentralError: One cannot be read.
        """
        self.told = Difference()
        self._old = reader(before, stack) if before is not None else None
        self._new = reader(after, stack)
        self.kinds = sorted({*(self._old.kinds if self._old else ()), *self._new.kinds}, key=kind_rank)

    def blocks(self, serial: int, watcher: Watcher | None = None) -> Iterator[Rows]:
        """The later list under the numbers of `kinds`, each entry dated as the earlier list has it, or by `serial`.

        Once they were all read, `told` says how the lists differ.

        Args:
            serial: Of the release that brings what comes.
            watcher: Told of every entry.

        Raises:
            CentralError: One of the lists is malformed, or not in order.
        """
        numbers = {kind: number for number, kind in enumerate(self.kinds)}
        old = self._old.blocks([numbers[kind] for kind in self._old.kinds]) if self._old else iter(())
        for one, other in paired(old, self._new.blocks([numbers[kind] for kind in self._new.kinds])):
            if watcher is not None and one.names:
                watcher.held(one.names, one.kinds)
            if one.names == other.names and one.kinds == other.kinds:
                self.told.kept += len(one.names)
                yield one
            elif not one.names:
                self._first(other, watcher)
                yield other._replace(thirds=[str(serial)] * len(other.names))
            else:
                yield self._differing(one, other, str(serial), watcher)

    def _first(self, rows: Rows, watcher: Watcher | None) -> None:
        """Takes a piece of which nothing stood there before: of a first list, every one."""
        self.told.count("added", list(dict.fromkeys(rows.names)))
        self._tally(rows.kinds, comes=True)
        if watcher is not None:
            watcher.come(rows.names, rows.kinds)

    def _differing(self, one: Rows, other: Rows, serial: str, watcher: Watcher | None) -> Rows:
        held = dict(zip(zip(one.names, one.kinds, strict=True), one.thirds, strict=True))
        entries = list(zip(other.names, other.kinds, strict=True))
        there = set(entries)
        come = [entry for entry in entries if entry not in held]
        go = [entry for entry in held if entry not in there]
        self.told.kept += len(entries) - len(come)
        coming, going = dict.fromkeys(name for name, _ in come), dict.fromkeys(name for name, _ in go)
        # An entry that stands in both keeps the name listed, whatever else comes or goes.
        changed = {name for name in coming if name in going}
        changed |= {entry[0] for entry in entries if (entry[0] in coming or entry[0] in going) and entry in held}
        self.told.count("added", [name for name in coming if name not in changed])
        self.told.count("removed", [name for name in going if name not in changed])
        self.told.count("changed", sorted(changed))
        came, gone = [kind for _, kind in come], [kind for _, kind in go]
        self._tally(came, comes=True)
        self._tally(gone, comes=False)
        if watcher is not None:
            watcher.come([name for name, _ in come], came)
            watcher.go(gone)
        return other._replace(thirds=[held.get(entry, serial) for entry in entries])

    def _tally(self, kinds: Sequence[int], *, comes: bool) -> None:
        for kind, count in Counter(kinds).items():
            self.told.entries[self.kinds[kind], comes] += count


def reader(path: Path, stack: ExitStack) -> StateReader:
    """A list that is open until `stack` closes.

    Raises:
        CentralError: It cannot be read.
    """
    try:
        return StateReader(stack.enter_context(path.open(encoding="utf-8", newline="\n")), path)
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error


def difference(before: Path | None, after: Path) -> Difference:
    """How two lists differ.

    Raises:
        CentralError: One cannot be read.
    """
    with ExitStack() as stack:
        comparison = Comparison(before, after, stack)
        for _ in comparison.blocks(0):
            pass
        return comparison.told

"""What one state of the list has that another has not; and since which release each entry stands there.

Holds always: both are read once, in order, a line at a time; a name that stays listed under other terms is neither
added nor removed, it is changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.fold import StateReader

SHOWN = 20

Row = tuple[str, int, int]
"""Name, kind's number, and the file's third column."""

# Sorts behind every name: names are ASCII without this letter.
_END: Row = ("\x7f", 0, 0)


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


_COMES, _GOES = 1, 2
_SORTS = ("", "added", "removed", "changed")
"""By what the entries of a name do: some come, some go, or both."""


class _Names:
    """Puts the entries that differ together by name; plain numbers, since a first list has a million of them."""

    def __init__(self, told: Difference, kinds: Sequence[Kind]) -> None:
        self._told = told
        self._kinds = kinds
        self._entries = [[0, 0] for _ in kinds]
        self._names = [0] * len(_SORTS)
        self.name = ""
        self._signs = 0

    def differs(self, name: str, kind: int, *, comes: bool, stays: bool) -> None:
        if name != self.name:
            if self._signs:
                self._close()
            self.name = name
        # An entry that stands in both keeps the name listed, whatever else comes or goes.
        self._signs |= _COMES | _GOES if stays else _COMES if comes else _GOES
        self._entries[kind][comes] += 1

    def stays(self) -> None:
        self._signs = _COMES | _GOES

    def _close(self) -> None:
        signs = self._signs
        self._names[signs] += 1
        if self._names[signs] <= SHOWN:
            self._told.first[_SORTS[signs]].append(self.name)
        self._signs = 0

    def finish(self) -> None:
        """Tells all of it, once every row was seen."""
        if self._signs:
            self._close()
        _, self._told.added, self._told.removed, self._told.changed = self._names
        for kind, counts in zip(self._kinds, self._entries, strict=True):
            for comes in (False, True):
                if counts[comes]:
                    self._told.entries[kind, comes] = counts[comes]


def _renumbered(reader: StateReader, numbers: Mapping[Kind, int]) -> Iterator[Row]:
    final = [numbers[kind] for kind in reader.kinds]
    for name, kind, third in reader:
        yield name, final[kind], third


def _walk(before: Iterable[Row], after: Iterable[Row], serial: int, names: _Names, told: Difference) -> Iterator[Row]:
    old = iter(before)
    held_name, held_kind, held_serial = next(old, _END)
    kept, staying = 0, ""
    for name, kind, _ in after:
        while held_name < name or (held_name == name and held_kind < kind):
            names.differs(held_name, held_kind, comes=False, stays=held_name == staying)
            held_name, held_kind, held_serial = next(old, _END)
        if held_name == name and held_kind == kind:
            kept += 1
            staying = name
            if name == names.name:
                names.stays()
            yield name, kind, held_serial
            held_name, held_kind, held_serial = next(old, _END)
        else:
            names.differs(name, kind, comes=True, stays=name == staying)
            yield name, kind, serial
    while held_name != _END[0]:
        names.differs(held_name, held_kind, comes=False, stays=held_name == staying)
        held_name, held_kind, held_serial = next(old, _END)
    names.finish()
    told.kept = kept


class Comparison:
    """Two lists beside one another, the earlier one possibly missing."""

    def __init__(self, before: Path | None, after: Path, stack: ExitStack) -> None:
        """Opens both, until `stack` closes.

        Raises:
            CentralError: One cannot be read.
        """
        self.told = Difference()
        self._old = _reader(before, stack) if before is not None else None
        self._new = _reader(after, stack)
        self.kinds = sorted({*(self._old.kinds if self._old else ()), *self._new.kinds}, key=kind_rank)

    def rows(self, serial: int) -> Iterator[Row]:
        """The later list under the numbers of `kinds`, each entry dated as the earlier list has it, or by `serial`.

        Once they were all read, `told` says how the lists differ.
        """
        numbers = {kind: number for number, kind in enumerate(self.kinds)}
        old = _renumbered(self._old, numbers) if self._old else iter(())
        return _walk(old, _renumbered(self._new, numbers), serial, _Names(self.told, self.kinds), self.told)


def _reader(path: Path, stack: ExitStack) -> StateReader:
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
        for _ in comparison.rows(0):
            pass
        return comparison.told

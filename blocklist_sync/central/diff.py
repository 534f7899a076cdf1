"""What an import or a proposal would change, name by name, against the list in force.

Holds always: additions are what is wanted and not in force; removals, in a replacement, are what is in force, belongs
to the source, and is not wanted: so the same source twice changes nothing. Names are compared once, in order, with one
name in memory at a time.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import NamedTuple, Self

from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.errors import CentralError

SHOWN = 20


class Held(NamedTuple):
    """An entry, of the list in force or wanted."""

    name: str
    kind: Kind


class Change(NamedTuple):
    """An entry that comes or goes."""

    name: str
    kind: Kind
    added: bool


class Counts:
    """A diff in numbers, with the first names of each sort."""

    def __init__(self) -> None:
        self.added = 0
        """Names that were not listed at all."""
        self.removed = 0
        """Names that are not listed any more."""
        self.changed = 0
        """Names that stay listed, otherwise than before."""
        self.unchanged = 0
        """Wanted names that are listed just so."""
        self.entries: Counter[tuple[Kind, bool]] = Counter()
        """Entries by kind, and whether they come."""
        self.first: dict[str, list[str]] = {"added": [], "removed": [], "changed": []}

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return not self.entries

    def count(self, sort: str, name: str) -> None:
        """Counts a name as `added`, `removed` or `changed`."""
        setattr(self, sort, getattr(self, sort) + 1)
        if len(self.first[sort]) < SHOWN:
            self.first[sort].append(name)


def _side(entries: Iterable[tuple[str, Kind]], whose: str) -> Iterator[tuple[str, list[Kind]]]:
    before = ""
    for name, group in groupby(entries, itemgetter(0)):
        if name <= before:
            raise CentralError(f"{whose}: {name!r} stands behind {before!r}: not sorted")
        before = name
        yield name, [kind for _, kind in group]


def _paired(
    held: Iterable[tuple[str, Kind]], wanted: Iterable[tuple[str, Kind]]
) -> Iterator[tuple[str, list[Kind], list[Kind]]]:
    """Every name of either side with its kinds on both."""
    ours, theirs = _side(held, "the list in force"), _side(wanted, "the source")
    one, other = next(ours, None), next(theirs, None)
    while one is not None and other is not None:
        if one[0] < other[0]:
            yield *one, []
            one = next(ours, None)
        elif other[0] < one[0]:
            yield other[0], [], other[1]
            other = next(theirs, None)
        else:
            yield *one, other[1]
            one, other = next(ours, None), next(theirs, None)
    while one is not None:
        yield *one, []
        one = next(ours, None)
    while other is not None:
        yield other[0], [], other[1]
        other = next(theirs, None)


def compare(
    held: Iterable[tuple[str, Kind]],
    wanted: Iterable[tuple[str, Kind]],
    belongs: Callable[[Kind], bool] | None,
    counts: Counts,
) -> Iterator[Change]:
    """The changes that bring the list from what is held to what is wanted.

    Args:
        held: The list in force, sorted by name.
        wanted: What the source lists, sorted by name.
        belongs: Which entries in force are the source's, to be removed where it no longer has them; None to add only.
        counts: Told of every name.

    Raises:
        CentralError: One side is not sorted.
    """
    for name, before, want in _paired(held, wanted):
        if before == want:
            counts.unchanged += 1
            continue
        # Few kinds a name, and as a rule one: looking through them is cheaper than hashing.
        come = [kind for kind in want if kind not in before] if before else want
        go = [kind for kind in before if kind not in want and belongs(kind)] if belongs is not None else []
        if not come and not go:
            counts.unchanged += bool(want)
            continue
        counts.count("added" if not before else "changed" if come or len(go) < len(before) else "removed", name)
        found = [*((kind, True) for kind in come), *((kind, False) for kind in go)]
        for kind, added in sorted(found, key=lambda one: kind_rank(one[0])) if len(found) > 1 else found:
            counts.entries[kind, added] += 1
            yield Change(name, kind, added)


class Spool:
    """Changes in an unnamed file, to be read as often as needed; without names in memory."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115  closed by __exit__
        self._numbers: dict[Kind, int] = {}
        self.changes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What a full disk did not take is told where it is written or read; nobody reads it any more.
        with contextlib.suppress(OSError):
            self._file.close()

    def add(self, change: Change) -> None:
        """Takes a change.

        Raises:
            CentralError: The disk is full.
        """
        number = self._numbers.setdefault(change.kind, len(self._numbers))
        try:
            self._file.write(f"{change.name}\t{number}\t{'+' if change.added else '-'}\n")
        except OSError as error:
            raise CentralError(f"{tempfile.gettempdir()}: {error.strerror}") from error
        self.changes += 1

    def __iter__(self) -> Iterator[Change]:
        """The changes, in the order in which they came; one reader at a time."""
        kinds = list(self._numbers)
        try:
            # What was added last may only now reach the disk.
            self._file.seek(0)
        except OSError as error:
            raise CentralError(f"{tempfile.gettempdir()}: {error.strerror}") from error
        for line in self._file:
            name, number, sign = line.split("\t")
            yield Change(name, kinds[int(number)], sign[0] == "+")

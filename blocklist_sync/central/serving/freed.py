"""What compliance may know of names that are not blocked any more, and of whether others are.

Holds always: what is said follows from the release last published and from the names that earlier ones took out, by the
rules that edges go by; a name is free from the release that took out the last entry that reached it, on itself or on a
name above it; whoever asks on from the last serial they heard of misses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Match, decide
from blocklist_sync.central.release.removals import Removal

Lookup = Callable[[str], Sequence[Match]]
"""Every rule on a name and its suffixes."""
EVERYTHING = tuple(Category)


class Status(NamedTuple):
    """What a release says of a name."""

    listed: bool
    """Some entry blocks it for somebody."""
    binding: bool
    """Everybody must block it."""
    owners: tuple[str, ...]
    """The names whose entries reach it."""


def status(name: str, lookup: Lookup) -> Status:
    """What a release says of a name."""
    matches = lookup(name)
    owners = tuple(sorted({one.owner for one in matches if not one.rule.exception}))
    listed = decide(matches, EVERYTHING) is not None
    return Status(listed, listed and decide(matches, ()) is not None, owners if listed else ())


class Told(NamedTuple):
    """A name that does not bind everybody any more."""

    serial: int
    """The release from which on that is so."""
    name: str
    removal: Removal
    listed: bool
    """Something blocked it for somebody still: it need not be answered yet."""


def _above(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.partition(".")[2]


def told(rows: Iterable[Removal], lookup: Lookup) -> list[Told]:
    """Everything to tell of the names that were taken out, by serial and name.

    A name whose own entry went while something above it still blocked it is told twice: when it ceased to bind
    everybody, and when it was free.
    """
    latest: dict[str, Removal] = {}
    bound: dict[str, list[Removal]] = {}
    for row in sorted(rows, key=lambda row: row.serial):
        latest[row.name] = row
        if row.bound:
            bound.setdefault(row.name, []).append(row)
    found = []
    for name, removals in bound.items():
        last = removals[-1]
        serial = max(latest[one].serial for one in _above(name) if one in latest)
        free = not status(name, lookup).listed
        found += [Told(row.serial, name, row, True) for row in removals if not free or row.serial != serial]
        if free:
            found.append(Told(serial, name, last, False))
    return sorted(found)


def page(rows: Sequence[Told], after: int, token: str, size: int) -> tuple[list[Told], str]:
    """So many rows of later releases than `after`, behind a page's token; and the next page's, empty on the last.

    Raises:
        ValueError: The token is none.
    """
    serial, name = after, _LAST
    if token:
        text, _, name = token.partition(" ")
        serial = int(text)
        if serial < after or not name:
            raise ValueError(token)
    left = [row for row in rows if (row.serial, row.name) > (serial, name)]
    shown = left[:size]
    more = len(left) > size
    return shown, f"{shown[-1].serial} {shown[-1].name}" if more else ""


_LAST = "\x7f"
"""Sorts behind every name."""


class Controls:
    """The authority's own names: those of its settings, and all below them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def __bool__(self) -> bool:
        return bool(self._names)

    def __contains__(self, name: str, /) -> bool:
        return bool(self._names) and any(one in self._names for one in _above(name))


def since(owners: Iterable[str], brought: Callable[[str], int]) -> int:
    """The release that brought the oldest of these names' entries; 0 where it is not known."""
    return min(filter(None, map(brought, owners)), default=0)

"""A list arranged by stratum where it lies: of each entry that may be drawn, where its line begins and when it came.

Holds always: no name is held in memory; an entry takes eight bytes; the order within a stratum is that of names, scopes
and orders, whatever the file's.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple

from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.lookup import Lookup
from blocklist_sync.central.log.rows import Rows

# Seconds between a name's release and the current one: new names are where an edge on an old list shows.
AGE_BANDS = (0, 86_400, 7 * 86_400, 30 * 86_400)
_WIDE = 1 << 32


class Stratum(NamedTuple):
    """Entries of one category and age."""

    at: array[int]
    """Where each one's line begins."""
    serials: array[int]
    """The release that brought it."""

    def within(self, after: int, until: int) -> Sequence[int]:
        """Those of later releases than one, up to another."""
        return [at for at, serial in zip(self.at, self.serials, strict=True) if after < serial <= until]


def binds(kind: Kind) -> bool:
    """Whether an entry of a kind binds everybody."""
    return kind.order.mandated or kind.category in ALWAYS_MANDATED


class _Place(NamedTuple):
    """Where entries of one kind and one date go."""

    stratum: Stratum
    serial: int


class Arranging:
    """One pass over a list."""

    def __init__(
        self,
        lookup: Lookup,
        serial: int,
        published_at: Mapping[int, int],
        serial_of: Callable[[int], int],
        wanted: Callable[[str], bool] | None,
    ) -> None:
        """Prepares to arrange.

        Args:
            lookup: The list.
            serial: The release in force; later entries are left out.
            published_at: When each release was published.
            serial_of: The release that a third column stands for.
            wanted: Which names are kept apart beside their strata, if any are.
        """
        self._lookup = lookup
        self._serial = serial
        self._published_at = published_at
        self._serial_of = serial_of
        self._wanted = wanted
        self._strata: dict[tuple[Category, int], Stratum] = {}
        self._apart: dict[tuple[Category, int], Stratum] = {}
        self._places: dict[tuple[int, str], _Place | None] = {}

    def _empty(self) -> Stratum:
        return Stratum(array("Q" if self._lookup.size >= _WIDE else "I"), array("Q" if self._serial >= _WIDE else "I"))

    def run(self) -> tuple[list[Stratum], list[Stratum]]:
        """Every stratum, and beside each the wanted names of it.

        Raises:
            CentralError: The list is malformed.
        """
        at = self._lookup.first
        digits = [len(str(number)) for number in range(len(self._lookup.kinds))]
        for rows in self._lookup.blocks():
            if not "".join(rows.names).isascii():
                raise CentralError(f"{self._lookup.path}: a name that is none")
            # Two tabs and the end of the line.
            sizes = [
                len(name) + digits[kind] + len(third) + 3
                for name, kind, third in zip(rows.names, rows.kinds, rows.thirds, strict=True)
            ]
            starts = list(accumulate(sizes, initial=at))
            at = starts.pop()
            if len(set(rows.names)) == len(rows.names):
                self._take(rows, starts)
            else:
                for few, places in _by_name(rows, starts):
                    self._take(*(self._ordered(few, places) if len(few.names) > 1 else (few, places)))
        keys = sorted(self._strata)
        return [self._strata[key] for key in keys], [self._apart.get(key, self._empty()) for key in keys]

    def _take(self, rows: Rows, starts: Sequence[int]) -> None:
        places = self._places
        for kind, third, at in zip(rows.kinds, rows.thirds, starts, strict=True):
            try:
                place = places[kind, third]
            except KeyError:
                place = places[kind, third] = self._place(self._lookup.kinds[kind], int(third))
            if place is not None:
                place.stratum.at.append(at)
                place.stratum.serials.append(place.serial)
        if self._wanted is not None:
            self._set_apart(rows, starts)

    def _set_apart(self, rows: Rows, starts: Sequence[int]) -> None:
        assert self._wanted is not None  # noqa: S101  who calls has looked
        for name, kind, third, at in zip(*rows, starts, strict=True):
            if self._wanted(name) and (place := self._places[kind, third]) is not None:
                key = self._key(self._lookup.kinds[kind], place.serial)
                apart = self._apart.setdefault(key, self._empty())
                apart.at.append(at)
                apart.serials.append(place.serial)

    def _place(self, kind: Kind, third: int) -> _Place | None:
        serial = self._serial_of(third)
        if kind.exception or serial > self._serial:
            return None
        return _Place(self._strata.setdefault(self._key(kind, serial), self._empty()), serial)

    def _key(self, kind: Kind, serial: int) -> tuple[Category, int]:
        age = self._published_at[self._serial] - self._published_at.get(serial, 0)
        return kind.category, sum(age > limit for limit in AGE_BANDS)

    def _ordered(self, rows: Rows, starts: Sequence[int]) -> tuple[Rows, list[int]]:
        """What is in force of a name's several entries, in the order in which strata have them."""
        kinds = [self._lookup.kinds[number] for number in rows.kinds]
        # An exception on the name itself lifts the block, unless it has less authority.
        lifted = {(kind.category, kind.order.mandated) for kind in kinds if kind.exception}
        left = [
            place
            for place, kind in enumerate(kinds)
            if (kind.category, True) not in lifted and ((kind.category, False) not in lifted or binds(kind))
        ]
        left.sort(key=lambda place: (kinds[place].scope.value, kinds[place].order))
        chosen = Rows(
            [rows.names[place] for place in left],
            [rows.kinds[place] for place in left],
            [rows.thirds[place] for place in left],
        )
        return chosen, [starts[place] for place in left]


def _by_name(rows: Rows, starts: Sequence[int]) -> Iterator[tuple[Rows, list[int]]]:
    at = 0
    for _, group in groupby(rows.names):
        end = at + sum(1 for _ in group)
        yield Rows(rows.names[at:end], rows.kinds[at:end], rows.thirds[at:end]), list(starts[at:end])
        at = end

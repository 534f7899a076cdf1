"""What rails need to know of the list in force: counted while it passes by, so that it is read once.

Holds always: memory does not grow with the list. Parents are counted lossily (Manku and Motwani): of N listed names,
one that has more than `N / WINDOW` below it is there, its count at most that much too low.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from blocklist_sync.central.diff import Held
from blocklist_sync.central.entries import Kind

WINDOW = 400_000


class Parents:
    """How many names stand below each name, as far as it is many."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._seen = 0
        self._counts: Counter[str] = Counter()
        # What a parent may have had before it was last forgotten.
        self._lost: dict[str, int] = {}
        self._round = 0

    def add(self, name: str) -> None:
        """Counts a name for each of its ancestors of two labels or more."""
        self.add_all([name])

    def add_all(self, names: Iterable[str]) -> None:
        """The same, of many names."""
        # A label at a time, for all of them: most names have none above them that counts.
        names = [name for name in names if name.count(".") > 1]
        while names:
            parents = [name.partition(".")[2] for name in names]
            if self._round:
                self._lost.update(dict.fromkeys(set(parents) - self._counts.keys(), self._round))
            self._counts.update(parents)
            self._seen += len(parents)
            while self._seen >= (self._round + 1) * self._window:
                self._forget()
            names = [parent for parent in parents if parent.count(".") > 1]

    def _forget(self) -> None:
        self._round += 1
        for name in [name for name, count in self._counts.items() if count + self._lost.get(name, 0) <= self._round]:
            del self._counts[name]
            self._lost.pop(name, None)

    def of_more_than(self, names: int) -> dict[str, int]:
        """The parents of more than so many names."""
        return {parent: count for parent, count in self._counts.items() if count > names}

    def copy(self) -> Parents:
        """Another, to count on with."""
        other = Parents(self._window)
        other._seen, other._round = self._seen, self._round
        other._counts, other._lost = self._counts.copy(), dict(self._lost)
        return other


@dataclass(frozen=True)
class State:
    """The list in force in numbers."""

    entries: int = 0
    of_order: Mapping[str, int] = field(default_factory=dict)
    """Entries by order number."""
    parents: Parents = field(default_factory=Parents)


class Survey:
    """Counts entries that pass."""

    def __init__(self) -> None:
        self._kinds: Counter[Kind] = Counter()
        self._parents = Parents()

    def watch(self, entries: Iterable[tuple[str, Kind]]) -> Iterator[Held]:
        """The same entries, counted."""
        before = ""
        for name, kind in entries:
            self._kinds[kind] += 1
            if name != before:
                before = name
                if not kind.exception:
                    self._parents.add(name)
            yield Held(name, kind)

    def state(self) -> State:
        """What passed so far."""
        orders: Counter[str] = Counter()
        for kind, count in self._kinds.items():
            orders[kind.order.text] += count
        return State(self._kinds.total(), orders, self._parents)

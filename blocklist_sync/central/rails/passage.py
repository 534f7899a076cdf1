"""Rails on the way from one clear list to another: from what is published to what is to be.

Holds always: both lists are seen once, as they are compared, and in bounded memory; what is found is what `screening`
finds in the changes between them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.log.difference import Comparison, Difference
from blocklist_sync.central.log.lookup import Lookup
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.rails import Finding, RailError, Rails
from blocklist_sync.central.rails.screening import Pending, Screening
from blocklist_sync.central.rails.survey import Parents, State


class Passage:
    """Looks on while two lists are compared (`difference.Watcher`)."""

    def __init__(self, guarding: Rails, kinds: Sequence[Kind]) -> None:
        """Begins before the first entry.

        Args:
            guarding: The rails.
            kinds: What the numbers of kinds stand for.
        """
        self._kinds = kinds
        self._parents = Parents()
        self._screening = Screening(guarding, self._parents, kinds)
        self._listing = [not kind.exception for kind in kinds]
        self._held: Counter[int] = Counter()

    def held(self, names: Sequence[str], kinds: Sequence[int]) -> None:
        """Entries of the earlier list."""
        self._held.update(kinds)
        if not all(map(self._listing.__getitem__, set(kinds))):
            names = [name for name, kind in zip(names, kinds, strict=True) if self._listing[kind]]
        self._parents.add_all(dict.fromkeys(names))

    def come(self, names: Sequence[str], kinds: Sequence[int]) -> None:
        """Entries that come."""
        self._screening.come(names, kinds)

    def go(self, kinds: Sequence[int]) -> None:
        """Entries that go."""
        self._screening.go(kinds)

    def findings(self, before: Path | None, after: Path) -> list[Finding]:
        """What was found, once everything passed.

        Args:
            before: The earlier list, if there is one.
            after: The later one.

        Raises:
            CentralError: One of them cannot be read.
        """
        orders: Counter[str] = Counter()
        for number, count in self._held.items():
            orders[self._kinds[number].order.text] += count
        if broad := self._screening.broad():
            earlier = _trees(before, broad) if before is not None else set()
            for name in sorted(_trees(after, broad) - earlier):
                self._screening.add_broad(name, broad[name])
        return self._screening.screened(State(self._held.total(), orders, self._parents)).against(Pending())

    def weigh(self, before: Path | None, after: Path) -> list[Finding]:
        """The same, where no rail refuses: approvers of a release are several, and see what else was found.

        Raises:
            RailError: A rail refuses.
            CentralError: One of the lists cannot be read.
        """
        found = self.findings(before, after)
        if against := rails.refused(found):
            raise RailError(against)
        return found


def _trees(path: Path, names: Collection[str]) -> set[str]:
    """Which of some names a list blocks with everything below them."""
    with Lookup(path) as lookup:
        return {
            name
            for name in names
            if any(kind.scope is Scope.SUBTREE and not kind.exception for kind, _ in lookup.of(name))
        }


def compared(before: Path | None, after: Path, guarding: Rails | None) -> tuple[Difference, list[Finding]]:
    """How two lists differ, and what the rails say of it, where there are any.

    Raises:
        RailError: A rail refuses.
        CentralError: One of the lists cannot be read.
    """
    with ExitStack() as stack:
        comparison = Comparison(before, after, stack)
        passage = Passage(guarding, comparison.kinds) if guarding is not None else None
        for _ in comparison.blocks(0, passage):
            pass
    return comparison.told, passage.weigh(before, after) if passage is not None else []

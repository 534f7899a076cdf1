"""Draws names in force for probes to ask about: stratified by category and age, repeatable by a seed.

Holds always: one seed on one release draws the same names, in the same order; every stratum that has names gets a share
before a large one gets more; nobody without the seed can foretell a draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.artifact.names import NameRefusedError, canonical
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Entries, Kind

# Seconds between a name's release and the current one: new names are where an edge on an old list shows.
AGE_BANDS = (0, 86_400, 7 * 86_400, 30 * 86_400)


class Drawn(NamedTuple):
    """A name in force and where it comes from."""

    name: str
    kind: Kind
    added_serial: int

    @property
    def mandated(self) -> bool:
        """Whether it binds everybody."""
        return self.kind.order.mandated or self.kind.category in ALWAYS_MANDATED

    @property
    def subtree(self) -> bool:
        """Whether names below it are blocked too."""
        return self.kind.scope is Scope.SUBTREE


class _Draws:
    """Uniform numbers from a seed: SHA-256 over seed and counter."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0

    def below(self, bound: int) -> int:
        # 128 bits against bounds below 2^24: the bias of the remainder is beyond measuring.
        self._count += 1
        digest = hashlib.sha256(b"lachan/sample/v1\0" + self._seed + self._count.to_bytes(8, "little")).digest()
        return int.from_bytes(digest[:16], "little") % bound


class Names(Protocol):
    """A set of names."""

    def __contains__(self, name: str, /) -> bool:
        """Whether a name is among them."""


class Index:
    """The published list, arranged by stratum for drawing."""

    def __init__(
        self, entries: Entries, serial: int, published_at: Mapping[int, int], controls: Names | None = None
    ) -> None:
        """Arranges a list.

        Args:
            entries: The list as it was published.
            serial: The release in force; later entries are left out.
            published_at: When each release was published.
            controls: The authority's own names.
        """
        self.serial = serial
        # The release that brought the oldest entry of each name.
        self.brought: dict[str, int] = {}
        for kind, names in entries.kinds.items():
            if not kind.exception:
                for name, added in names.items():
                    self.brought[name] = min(added, self.brought.get(name, added))
        current = published_at[serial]
        lifted = {
            (name, kind.category): kind.order.mandated
            for kind, names in entries.kinds.items()
            if kind.exception
            for name in names
        }
        strata: dict[tuple[Category, int], list[Drawn]] = {}
        for kind, names in entries.kinds.items():
            if kind.exception:
                continue
            for name, added in names.items():
                if added > serial:
                    continue
                drawn = Drawn(name, kind, added)
                # An exception on the name itself lifts the block, unless it has less authority.
                lifts = lifted.get((name, kind.category))
                if lifts is not None and (lifts or not drawn.mandated):
                    continue
                age = current - published_at.get(added, 0)
                band = sum(age > limit for limit in AGE_BANDS)
                strata.setdefault((kind.category, band), []).append(drawn)
        # The order of the file must not show in the draw, nor the order in which kinds were met.
        self._strata: Sequence[Sequence[Drawn]] = [
            sorted(members, key=lambda d: (d.name, d.kind.scope.value, d.kind.order))
            for _, members in sorted(strata.items())
        ]
        self._controls = [
            [one for one in members if controls is not None and one.name in controls] for members in self._strata
        ]

    def parent(self, name: str) -> str:
        """The nearest ancestor that is no public suffix and that nothing on the list reaches; empty without one."""
        _, _, parent = name.partition(".")
        ancestors = [parent]
        while "." in ancestors[-1]:
            ancestors.append(ancestors[-1].partition(".")[2])
        # A listed ancestor may block everything below it, whatever its scope turns into.
        if not parent or any(one in self.brought for one in ancestors):
            return ""
        try:
            return parent if canonical(parent) == parent else ""
        except NameRefusedError:
            return ""

    def draw(
        self,
        count: int,
        seed: bytes,
        added_after: int = 0,
        added_until: int | None = None,
        *,
        controls_only: bool = False,
    ) -> list[Drawn]:
        """Draws `count` names, or all there are if there are fewer.

        Args:
            count: How many.
            seed: Whoever knows it can repeat the draw.
            added_after: Only names of later releases than this serial.
            added_until: Only names of releases up to this serial; of all if None.
            controls_only: Only the authority's own names.
        """
        draws = _Draws(seed)
        strata = self._controls if controls_only else self._strata
        if added_after or added_until is not None:
            last = self.serial if added_until is None else added_until
            strata = [[d for d in members if added_after < d.added_serial <= last] for members in strata]
        shares = _shares([len(members) for members in strata], count)
        drawn: list[Drawn] = []
        for members, share in zip(strata, shares, strict=True):
            drawn += _without_replacement(members, share, draws)
        return _without_replacement(drawn, len(drawn), draws)


def _shares(sizes: Sequence[int], count: int) -> list[int]:
    """How many to draw from each stratum: equal shares, and what a small one cannot fill goes to the others."""
    shares = [0] * len(sizes)
    left = min(count, sum(sizes))
    while left:
        open_strata = [i for i, size in enumerate(sizes) if shares[i] < size]
        each, spare = divmod(left, len(open_strata))
        for place, i in enumerate(open_strata):
            more = min(each + (place < spare), sizes[i] - shares[i])
            shares[i] += more
            left -= more
    return shares


def _without_replacement(members: Sequence[Drawn], count: int, draws: _Draws) -> list[Drawn]:
    # Fisher and Yates over the indices that were touched only: the list may be long and the draw short.
    moved: dict[int, int] = {}
    drawn = []
    for i in range(count):
        j = i + draws.below(len(members) - i)
        drawn.append(members[moved.get(j, j)])
        moved[j] = moved.get(i, i)
    return drawn

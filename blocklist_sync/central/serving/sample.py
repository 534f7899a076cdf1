"""Draws names in force for probes to ask about: stratified by category and age, repeatable by a seed.

Holds always: one seed on one release draws the same names, in the same order; every stratum that has names gets a share
before a large one gets more; nobody without the seed can foretell a draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from blocklist_sync.artifact.names import NameRefusedError, canonical
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.log.lookup import Lookup
from blocklist_sync.central.serving.strata import Arranging, binds


class Drawn(NamedTuple):
    """A name in force and where it comes from."""

    name: str
    kind: Kind
    added_serial: int

    @property
    def mandated(self) -> bool:
        """Whether it binds everybody."""
        return binds(self.kind)

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

    def __bool__(self) -> bool:
        """Whether there are any."""


class Index:
    """A list, arranged by stratum for drawing; its names stay in the file."""

    def __init__(
        self,
        path: Path,
        serial: int,
        published_at: Mapping[int, int],
        controls: Names | None = None,
        serials: Mapping[int, int] | None = None,
    ) -> None:
        """Arranges a list; blocks. The file may go: it is read on as it was.

        Args:
            path: A clear list, or a state.
            serial: The release in force; later entries are left out.
            published_at: When each release was published.
            controls: The authority's own names.
            serials: Which release each step of the log came with, where the file is a state.

        Raises:
            CentralError: The file cannot be read, or is malformed.
        """
        self.serial = serial
        self._lookup = Lookup(path)
        self._serial_of = serials.__getitem__ if serials is not None else int
        wanted = controls.__contains__ if controls else None
        arranging = Arranging(self._lookup, serial, published_at, self._serial_of, wanted)
        self._strata, self._controls = arranging.run()

    def brought(self, name: str) -> int:
        """The release that brought the oldest entry of a name; 0 where none blocks it."""
        found = (self._serial_of(third) for kind, third in self._lookup.of(name) if not kind.exception)
        return min(found, default=0)

    def parent(self, name: str) -> str:
        """The nearest ancestor that is no public suffix and that nothing on the list reaches; empty without one."""
        _, _, parent = name.partition(".")
        ancestors = [parent]
        while "." in ancestors[-1]:
            ancestors.append(ancestors[-1].partition(".")[2])
        # A listed ancestor may block everything below it, whatever its scope turns into.
        if not parent or any(map(self.brought, ancestors)):
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
        members: list[Sequence[int]] = [stratum.at for stratum in strata]
        if added_after or added_until is not None:
            last = self.serial if added_until is None else added_until
            members = [stratum.within(added_after, last) for stratum in strata]
        drawn: list[int] = []
        for some, share in zip(members, _shares([len(some) for some in members], count), strict=True):
            drawn += _without_replacement(some, share, draws)
        return [self._drawn(at) for at in _without_replacement(drawn, len(drawn), draws)]

    def _drawn(self, at: int) -> Drawn:
        name, kind, third = self._lookup.at(at)
        return Drawn(name, kind, self._serial_of(third))


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


def _without_replacement(members: Sequence[int], count: int, draws: _Draws) -> list[int]:
    # Fisher and Yates over the indices that were touched only: the list may be long and the draw short.
    moved: dict[int, int] = {}
    drawn = []
    for i in range(count):
        j = i + draws.below(len(members) - i)
        drawn.append(members[moved.get(j, j)])
        moved[j] = moved.get(i, i)
    return drawn

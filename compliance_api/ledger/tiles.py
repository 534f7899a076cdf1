"""Complete subtrees as a store keeps them: 256 side by side in a tile (as C2SP tlog-tiles has them).

Holds always: a tile's hashes never change and none is taken away, so that proofs of every earlier size can be made for
ever; what is read from a store is checked for its form alone, and proves itself by the root that it leads to.

The tile `(level, place)` holds the roots of complete subtrees of `256 ** level` leaves, from number `256 * place` on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from lachan.ledger import tree
from lachan.ledger.errors import LedgerError
from lachan.ledger.tree import HASH_BYTES, Frontier, Nodes

HEIGHT = 8
WIDTH = 1 << HEIGHT

Tile = tuple[int, int]
"""Level and place."""
T = TypeVar("T")


class TileError(LedgerError):
    """A store lacks a tile, or it is not what a tile must be."""


def tile_of(level: int, place: int) -> tuple[Tile, int, int]:
    """Where a complete subtree is found: its tile, and the hashes of it that it is made of (from, and how many)."""
    low = level % HEIGHT
    return (level // HEIGHT, place >> (HEIGHT - low)), (place << low) % WIDTH, 1 << low


def needed(make: Callable[[Nodes], T]) -> set[Tile]:
    """The tiles that something is made from.

    Args:
        make: Makes it from complete subtrees (`tree.root`, `tree.inclusion_proof` and so on).
    """
    found: set[Tile] = set()

    def note(level: int, place: int) -> bytes:
        found.add(tile_of(level, place)[0])
        return tree.EMPTY_ROOT

    make(note)
    return found


def nodes(kept: Mapping[Tile, bytes]) -> Nodes:
    """Complete subtrees, made from tiles.

    Raises:
        TileError: When asked for one whose tile is not there, or not that far.
    """

    def node(level: int, place: int) -> bytes:
        tile, first, count = tile_of(level, place)
        data = kept.get(tile, b"")[first * HASH_BYTES : (first + count) * HASH_BYTES]
        if len(data) != count * HASH_BYTES:
            raise TileError(f"tile {tile[1]} of level {tile[0]}: hashes {first} to {first + count} are not there")
        row = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        while len(row) > 1:
            row = [tree.node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
        return row[0]

    return node


def _peaks(size: int) -> list[tuple[int, int]]:
    """The complete subtrees that a tree of this size is made of, the largest first: their levels and places."""
    return [(level, (size >> level) - 1) for level in reversed(range(size.bit_length())) if size >> level & 1]


def edge(size: int) -> set[Tile]:
    """The tiles that a tree of this size is extended from: of its largest subtrees, and those not full."""
    found = {tile_of(level, place)[0] for level, place in _peaks(size)}
    level = 0
    while size >> (HEIGHT * level):
        number = size >> (HEIGHT * level)
        if number % WIDTH:
            found.add((level, number >> HEIGHT))
        level += 1
    return found


def frontier(kept: Mapping[Tile, bytes], size: int) -> Frontier:
    """What a tree of this size is extended from.

    Raises:
        TileError: A tile is not there.
    """
    node = nodes(kept)
    return Frontier(size, [node(level, place) for level, place in _peaks(size)])


def extend(kept: Mapping[Tile, bytes], grown: Frontier, leaves: Iterable[bytes]) -> dict[Tile, bytes]:
    """Adds leaves by their hashes to a frontier; the tiles that grew, as they are then.

    Raises:
        TileError: A tile that is to grow does not end where it must.
    """
    changed: dict[Tile, bytearray] = {}
    for leaf in leaves:
        for level, place, digest in grown.append(leaf):
            if level % HEIGHT:
                continue
            tile, first, _ = tile_of(level, place)
            row = changed.setdefault(tile, bytearray(kept.get(tile, b"") if first else b""))
            if len(row) != first * HASH_BYTES:
                raise TileError(f"tile {tile[1]} of level {tile[0]}: {len(row)} bytes, not {first * HASH_BYTES}")
            row += digest
    return {tile: bytes(row) for tile, row in changed.items()}

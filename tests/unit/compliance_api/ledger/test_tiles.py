from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from compliance_api.ledger import tiles
from compliance_api.ledger.tiles import TileError
from lachan.ledger import tree
from tests.support.ledger import forest

WOODS = forest(70_000)


def grown_in(steps: list[int]) -> dict[tiles.Tile, bytes]:
    """Tiles of a tree that grew to each of these sizes, each time from what a store would bring back."""
    kept: dict[tiles.Tile, bytes] = {}
    size = 0
    for after in steps:
        near = {tile: kept[tile] for tile in tiles.edge(size)}
        front = tiles.frontier(near, size)
        assert front.root == WOODS.root(size)
        hashes = [WOODS.node(0, place) for place in range(size, after)]
        for tile, data in tiles.extend(near, front, hashes).items():
            assert data.startswith(kept.get(tile, b""))
            kept[tile] = data
        assert front.root == WOODS.root(after)
        size = after
    return kept


KEPT = grown_in([1, 2, 255, 256, 257, 300, 512, 5000, 65_535, 65_536, 65_537, 70_000])


def test_it_does_not_matter_in_which_steps_it_grew() -> None:
    assert grown_in([70_000]) == KEPT


def test_every_hash_is_stored_once_in_a_level() -> None:
    assert sum(len(data) for (level, _), data in KEPT.items() if level == 0) == 70_000 * 32
    assert sum(len(data) for (level, _), data in KEPT.items() if level == 1) == 70_000 // 256 * 32
    assert sum(len(data) for (level, _), data in KEPT.items() if level == 2) == 32


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 65_536, 65_793, 70_000])
def test_proofs_are_those_of_the_whole_tree(size: int) -> None:
    def made(proof: Callable[[tree.Nodes], list[bytes]]) -> list[bytes]:
        wanted = tiles.needed(proof)
        assert len(wanted) < 20
        return proof(tiles.nodes({tile: KEPT[tile] for tile in wanted}))

    for index in {0, size // 3, size - 1}:
        assert made(partial(tree.inclusion_proof, index=index, size=size)) == WOODS.inclusion(index, size)
    for old in {1, size // 2, size}:
        assert made(partial(tree.consistency_proof, old=old, new=size)) == WOODS.consistency(old, size)


def test_a_tile_that_is_missing_or_short_is_named() -> None:
    with pytest.raises(TileError, match="tile 1 of level 0: hashes 4 to 5 are not there"):
        tiles.nodes({(0, 1): bytes(4 * 32)})(0, 260)
    with pytest.raises(TileError, match="tile 0 of level 0: hashes 0 to 8"):
        tiles.nodes({})(3, 0)


def test_a_tile_that_does_not_end_where_it_must_is_not_extended() -> None:
    near = {tile: KEPT[tile] for tile in tiles.edge(300)}
    with pytest.raises(TileError, match=r"tile 1 of level 0: 8192 bytes, not 1408"):
        tiles.extend(near, tiles.frontier(near, 300), [bytes(32)])

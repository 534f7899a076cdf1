"""Names in the order of the tree, from memory and from files."""

from __future__ import annotations

import random
from pathlib import Path

from blocklist_sync.central.rpz.order import in_tree_order

NAMES = ["bad-x.example", "www.bad.example", "bad.example", "a.www.bad.example", "bad.example", "other.test"]


def test_what_is_below_a_name_stands_right_behind_it(tmp_path: Path) -> None:
    ordered = [name for name, _ in in_tree_order([(name, 0) for name in NAMES], tmp_path)]
    assert ordered == [
        "bad.example", "bad.example", "www.bad.example", "a.www.bad.example", "bad-x.example", "other.test"
    ]  # fmt: skip


def test_runs_put_aside_come_together_in_one_order(tmp_path: Path) -> None:
    rng = random.Random(3)
    names = [(f"{rng.choice('abc')}{rng.randrange(30)}.{rng.choice('xyz')}.example", number) for number in range(500)]
    whole = list(in_tree_order(names, tmp_path))
    assert sorted(whole) == sorted(names)
    assert list(in_tree_order(names, tmp_path, run=7)) == whole
    # The clear list leaves no file behind.
    assert list(tmp_path.iterdir()) == []


def test_an_empty_list_has_an_order(tmp_path: Path) -> None:
    assert list(in_tree_order([], tmp_path)) == []

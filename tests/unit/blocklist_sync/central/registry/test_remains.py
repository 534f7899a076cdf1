"""Whether anything of some changes is on a list, by both ways of looking; the database is asked elsewhere."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from blocklist_sync.central.log.lookup import Lookup
from blocklist_sync.central.registry import remains
from tests.support.clear_list import write_lines
from tests.support.registry import GAMBLING

EXCEPT = GAMBLING._replace(exception=True)
# The list numbers its kinds otherwise than the changes do, and has another one.
LISTED = [EXCEPT, GAMBLING]
CHANGED = [GAMBLING, EXCEPT, GAMBLING._replace(order=EXCEPT.order.__class__("99/QĐ", mandated=True))]


@pytest.mark.parametrize("bytes_a_line", [0, 1000], ids=["name by name", "in one piece"])
def test_an_entry_stands_where_name_and_kind_are_on_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_a_line: int
) -> None:
    monkeypatch.setattr(remains, "BYTES_A_LINE", bytes_a_line)
    rng = random.Random(3)
    names = [f"{'x' * (number % 3)}{number}.example" for number in range(12)]
    path = tmp_path / "entries.tsv"
    seen = set()
    for _ in range(200):
        held = sorted((name, rng.randrange(2), 1) for name in rng.sample(names, rng.randrange(8)))
        write_lines(path, LISTED, held)
        changed = sorted({(name, rng.randrange(3)) for name in rng.sample(names, 3)})
        signs = [rng.choice("++-") for _ in changed]
        lines = [f"{name}\t{number}\t{sign}" for (name, number), sign in zip(changed, signs, strict=True)]
        there = {(name, LISTED[number]) for name, number, _ in held}
        wanted = any(
            sign == "+" and (name, CHANGED[number]) in there
            for (name, number), sign in zip(changed, signs, strict=True)
        )
        with Lookup(path) as listed:
            assert remains.stands(lines, CHANGED, listed) is wanted
        seen.add(wanted)
    assert seen == {True, False}

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import rows
from blocklist_sync.central.log.difference import Comparison, difference
from tests.support.clear_list import write_lines
from tests.support.registry import GAMBLING

EXACT = GAMBLING._replace(scope=Scope.EXACT)
EXCEPT = GAMBLING._replace(exception=True)


def write(path: Path, held: dict[tuple[str, Kind], int]) -> Path:
    kinds = sorted({kind for _, kind in held}, key=kind_rank)
    write_lines(path, kinds, sorted((name, kinds.index(kind), third) for (name, kind), third in held.items()))
    return path


def test_names_are_added_removed_changed_or_kept(tmp_path: Path) -> None:
    before = write(
        tmp_path / "before",
        {("a.example", GAMBLING): 1, ("b.example", GAMBLING): 2, ("c.example", EXACT): 3, ("e.example", EXACT): 3},
    )
    after = write(
        tmp_path / "after",
        {
            ("a.example", GAMBLING): 9,
            ("c.example", GAMBLING): 9,
            ("d.example", GAMBLING): 9,
            ("e.example", EXACT): 9,
            ("e.example", EXCEPT): 9,
        },
    )
    told = difference(before, after)
    assert (told.added, told.removed, told.changed, told.kept) == (1, 1, 2, 2)
    assert told.first == {"added": ["d.example"], "removed": ["b.example"], "changed": ["c.example", "e.example"]}
    assert told.entries == {
        (GAMBLING, True): 2,
        (GAMBLING, False): 1,
        (EXACT, False): 1,
        (EXCEPT, True): 1,
    }
    document = told.document()
    assert document["kinds"][0]["change"] == "removed" or document["kinds"][0]["change"] == "added"  # type: ignore[index]
    assert not told.empty
    assert difference(after, after).empty


def test_the_first_list_is_all_new(tmp_path: Path) -> None:
    after = write(tmp_path / "after", {(f"n{i:03}.example", GAMBLING): 1 for i in range(50)})
    told = difference(None, after)
    assert (told.added, told.kept, len(told.first["added"])) == (50, 0, 20)


def test_entries_keep_their_date(tmp_path: Path) -> None:
    before = write(tmp_path / "before", {("a.example", GAMBLING): 1, ("b.example", EXACT): 2})
    after = write(tmp_path / "after", {("a.example", GAMBLING): 70, ("b.example", GAMBLING): 80})
    with ExitStack() as stack:
        comparison = Comparison(before, after, stack)
        found = [row for block in comparison.blocks(5) for row in zip(*block, strict=True)]
    number = comparison.kinds.index(GAMBLING)
    assert found == [("a.example", number, "1"), ("b.example", number, "5")]


class Seen:
    """Notes what a watcher is told."""

    def __init__(self) -> None:
        self.of: dict[str, list[tuple[str, int]]] = {"held": [], "come": []}
        self.gone: Counter[int] = Counter()

    def held(self, names: Sequence[str], kinds: Sequence[int]) -> None:
        self.of["held"] += zip(names, kinds, strict=True)

    def come(self, names: Sequence[str], kinds: Sequence[int]) -> None:
        self.of["come"] += zip(names, kinds, strict=True)

    def go(self, kinds: Sequence[int]) -> None:
        self.gone.update(kinds)


@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_sets_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(rows, "BLOCK_CHARACTERS", rng.choice([40, 200, 5000]))
    pool = [f"n{number:02}.example" for number in range(30)]
    kinds = [GAMBLING, EXACT, EXCEPT]
    one, two = (
        {
            (name, kind): rng.randrange(1, 9)
            for name in pool
            for kind in kinds
            if rng.random() < rng.choice([0, 0.4, 0.9])
        }
        for _ in range(2)
    )
    if seed % 3 == 0:
        two = one | {key: 9 for key in two if rng.random() < 0.2}
    seen = Seen()
    with ExitStack() as stack:
        before, after = write(tmp_path / "before", one), write(tmp_path / "after", two)
        comparison = Comparison(before, after, stack)
        found = [row for block in comparison.blocks(77, seen) for row in zip(*block, strict=True)]
    number = comparison.kinds.index
    assert found == sorted((name, number(kind), str(one.get((name, kind), 77))) for name, kind in two)
    told = comparison.told
    names = [{name for name, _ in held} for held in (one, two)]
    differing = {name for name, _ in one.keys() ^ two.keys()}
    sorts = {
        "added": differing & names[1] - names[0],
        "removed": differing & names[0] - names[1],
        "changed": differing & names[0] & names[1],
    }
    assert (told.added, told.removed, told.changed) == tuple(map(len, sorts.values()))
    assert told.first == {sort: sorted(found)[: len(told.first[sort])] for sort, found in sorts.items()}
    assert told.kept == len(one.keys() & two.keys())
    come, go = two.keys() - one.keys(), one.keys() - two.keys()
    assert told.entries == Counter([(kind, True) for _, kind in come] + [(kind, False) for _, kind in go])
    assert sorted(seen.of["held"]) == sorted((name, number(kind)) for name, kind in one)
    assert sorted(seen.of["come"]) == sorted((name, number(kind)) for name, kind in come)
    assert seen.gone == Counter(number(kind) for _, kind in go)


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CentralError, match="none: No such file"):
        difference(None, tmp_path / "none")

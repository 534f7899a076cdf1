from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import fold
from blocklist_sync.central.log.difference import Comparison, difference
from tests.support.registry import GAMBLING

EXACT = GAMBLING._replace(scope=Scope.EXACT)
EXCEPT = GAMBLING._replace(exception=True)


def write(path: Path, rows: dict[tuple[str, Kind], int]) -> Path:
    kinds = sorted({kind for _, kind in rows}, key=kind_rank)
    fold.write_lines(path, kinds, sorted((name, kinds.index(kind), third) for (name, kind), third in rows.items()))
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
        rows = list(comparison.rows(5))
    number = comparison.kinds.index(GAMBLING)
    assert rows == [("a.example", number, 1), ("b.example", number, 5)]


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CentralError, match="none: No such file"):
        difference(None, tmp_path / "none")

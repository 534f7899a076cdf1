from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind, kind_line
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.inforce import from_entries
from blocklist_sync.central.runs import Runs
from tests.support import clear_list
from tests.support.blocklist import MANDATE, OFFER
from tests.support.clear_list import Entries

TREE = Kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)
SCAM = Kind(Scope.EXACT, True, Category.SCAM, OFFER)


def test_a_clear_list_is_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "entries.tsv"
    with Runs() as runs:
        assert list(from_entries(path, runs)) == []
    held = Entries()
    held.add(TREE, ["b.example", "a.example"], 1)
    held.add(SCAM, ["a.example", "c.example"], 2)
    clear_list.write(path, held)
    with Runs(2) as runs:
        assert list(from_entries(path, runs)) == [
            ("a.example", TREE),
            ("a.example", SCAM),
            ("b.example", TREE),
            ("c.example", SCAM),
        ]


def test_a_list_that_is_in_order_is_not_sorted_again(tmp_path: Path) -> None:
    path = tmp_path / "entries.tsv"
    kinds = "".join(f"{kind_line(kind)}\n" for kind in (TREE, SCAM))
    path.write_text(f"lachan-entries 1\n{kinds}a.example\t0\t1\na.example\t1\t7\nb.example\t0\t2\n")
    with Runs() as runs:
        assert list(from_entries(path, runs)) == [("a.example", TREE), ("a.example", SCAM), ("b.example", TREE)]
        assert runs.lines == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing\n", "1: malformed: not 'lachan-entries 1'"),
        ("lachan-entries 1\na.example\t0\t1\n", "2: malformed: no kind has the number 0"),
        ("lachan-entries 1\na.example\n", "2: malformed"),
    ],
)
def test_a_damaged_list_is_named_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "entries.tsv"
    path.write_text(text)
    with Runs() as runs, pytest.raises(CentralError, match=reason):
        list(from_entries(path, runs))

from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release import removals
from blocklist_sync.central.release.removals import Removal
from tests.support.blocklist import MANDATE, OFFER
from tests.support.clear_list import write_lines

BLOCK = Kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)
OFFERED = Kind(Scope.SUBTREE, False, Category.GAMBLING, OFFER)
LIFTED = Kind(Scope.EXACT, True, Category.GAMBLING, MANDATE)
KINDS = [BLOCK, OFFERED, LIFTED]


def clear(path: Path, *rows: tuple[str, Kind, int]) -> Path:
    write_lines(path, KINDS, sorted((name, KINDS.index(kind), serial) for name, kind, serial in rows))
    return path


def test_a_name_is_taken_out_with_its_last_entry_or_the_last_that_bound(tmp_path: Path) -> None:
    before = clear(
        tmp_path / "before",
        ("both.example", BLOCK, 1),
        ("both.example", OFFERED, 2),
        ("gone.example", BLOCK, 1),
        ("kept.example", BLOCK, 1),
        ("lifted.example", BLOCK, 1),
        ("moved.example", OFFERED, 1),
        ("offered.example", OFFERED, 3),
        ("zz.example", BLOCK, 2),
    )
    after = clear(
        tmp_path / "after",
        ("aa.example", BLOCK, 5),
        ("both.example", OFFERED, 2),
        ("kept.example", BLOCK, 1),
        ("lifted.example", BLOCK, 1),
        ("lifted.example", LIFTED, 5),
        ("moved.example", BLOCK, 5),
    )
    found = list(removals.taken_out(before, after, 5))
    assert [(one.name, one.serial, one.added_serial, one.bound) for one in found] == [
        ("both.example", 5, 1, True),
        ("gone.example", 5, 1, True),
        ("lifted.example", 5, 1, True),
        ("offered.example", 5, 3, False),
        ("zz.example", 5, 2, True),
    ]
    assert list(removals.taken_out(after, after, 6)) == []


def test_rows_are_kept_once_and_as_long_as_they_matter(tmp_path: Path) -> None:
    path = tmp_path / "removals.tsv"
    assert removals.read(path) == []
    removals.note(path, [], 1)
    assert not path.exists()
    one = Removal("one.example", 3, 1, True, Category.GAMBLING, "12/QĐ")
    other = Removal("other.example", 7, 3, False, Category.SCAM, "13/QĐ")
    for _ in range(2):
        removals.note(path, [one], 1)
    removals.note(path, [other], 3)
    assert removals.read(path) == [one, other]
    removals.note(path, [other], 4)
    assert removals.read(path) == [other]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("lachan-removals 2\n", ":1"),
        ("lachan-removals 1\na.example\t1\t1\t1\t4\t12/QĐ\nb.example\tx\t1\t1\t4\t12/QĐ\n", ":3"),
        ("lachan-removals 1\na.example\t1\t1\n", ":2"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, content: str, place: str) -> None:
    path = tmp_path / "removals.tsv"
    path.write_text(content)
    with pytest.raises(CentralError, match=f"removals.tsv{place}: "):
        removals.read(path)


def test_a_list_out_of_order_is_refused(tmp_path: Path) -> None:
    before = tmp_path / "before"
    write_lines(before, KINDS, [("b.example", 0, 1), ("a.example", 0, 1)])
    with pytest.raises(CentralError, match="not sorted"):
        list(removals.taken_out(before, clear(tmp_path / "after"), 2))

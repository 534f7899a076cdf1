from __future__ import annotations

import stat
from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.records import Entry
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central import entries as clear
from blocklist_sync.central.entries import Entries, Kind
from blocklist_sync.central.errors import CentralError
from tests.support.blocklist import MANDATE, OFFER

BLOCK = Kind(Scope.SUBTREE, False, Category.SCAM, OFFER)
EXCEPT = Kind(Scope.EXACT, True, Category.GAMBLING, MANDATE)


def some() -> Entries:
    entries = Entries()
    entries.add(BLOCK, ["b.example", "a.example"], 1)
    entries.add(EXCEPT, ["a.example"], 2)
    return entries


def test_a_list_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "entries.tsv"
    clear.write(path, some())
    assert clear.read(path).kinds == some().kinds
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text("utf-8") == (
        "lachan-entries 1\n"
        "\texact\texcept\tgambling\tmandated\t12/QĐ\n"
        "\tsubtree\tblock\tscam\tprofile-only\t34/QĐ\n"
        "a.example\t0\t2\na.example\t1\t1\nb.example\t1\t1\n"
    )


def test_an_entry_keeps_the_date_it_came_with() -> None:
    entries = some()
    entries.add(BLOCK, ["a.example", "c.example"], 5)
    assert entries.kinds[BLOCK] == {"a.example": 1, "b.example": 1, "c.example": 5}
    later = Entries()
    later.add(BLOCK, ["a.example", "d.example"], 7)
    later.date_from(entries)
    assert later.kinds[BLOCK] == {"a.example": 1, "d.example": 7}


def test_counts() -> None:
    assert len(some()) == 3
    assert some().by_category() == {Category.GAMBLING: 1, Category.SCAM: 2}
    assert Entry("a.example", *EXCEPT) in some().flat()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("lachan-entries 2\n", 1),
        ("lachan-entries 1\n\tsubtree\tblock\tpiracy\tmandated\tx\n", 2),
        ("lachan-entries 1\n\tsubtree\tblock\tscam\tmandated\n", 2),
        ("lachan-entries 1\n\tsubtree\tblock\tscam\tmandated\t \n", 2),
        ("lachan-entries 1\n\tsubtree\tblock\tscam\tmandated\tx\na.example\t1\t1\n", 3),
        ("lachan-entries 1\n\tsubtree\tblock\tscam\tmandated\tx\na.example\t0\tx\n", 3),
        ("lachan-entries 1\na.example\n", 2),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "entries.tsv"
    path.write_text(text, "utf-8")
    with pytest.raises(CentralError, match=rf"entries\.tsv:{line}: "):
        clear.read(path)

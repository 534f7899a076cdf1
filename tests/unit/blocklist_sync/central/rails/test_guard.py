from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central import inforce
from blocklist_sync.central.diff import Change
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.guard import Guard, require
from blocklist_sync.central.rails.rails import Finding, RailError
from blocklist_sync.central.rails.screening import Pending
from tests.support import clear_list
from tests.support.blocklist import MANDATE
from tests.support.clear_list import Entries

TREE = Kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)


def write(path: Path, *names: str) -> None:
    held = Entries()
    held.add(TREE, names, 1)
    clear_list.write(path, held)


def checked(guard: Guard, changes: Sequence[Change], overridden: Collection[str]) -> list[Finding]:
    return require(guard.screen(changes).against(Pending()), overridden)


def test_what_rails_refuse_nobody_overrides(tmp_path: Path) -> None:
    guard = Guard(rails.load(None), tmp_path / "entries.tsv")
    fine = [Change("a.example", TREE, True)]
    assert checked(guard, fine, ()) == []
    with pytest.raises(RailError, match=r"never-block-government \(refuse\): a name of the state: a\.gov\.vn"):
        checked(guard, [*fine, Change("a.gov.vn", TREE, True)], {"never-block-government"})


def test_what_needs_a_second_approver_has_to_be_said(tmp_path: Path) -> None:
    guard = Guard(rails.load(None), tmp_path / "entries.tsv")
    changes = [Change("youtube.com", TREE, True)]
    with pytest.raises(RailError) as error:
        checked(guard, changes, {"change"})
    assert [finding.rail for finding in error.value.findings] == ["never-block-platforms"]
    assert [finding.rail for finding in checked(guard, changes, {"never-block-platforms"})] == ["never-block-platforms"]


def test_the_list_is_read_once_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "entries.tsv"
    guard = Guard(rails.load(None), path)
    assert guard.state().entries == 0
    write(path, "a.example", "b.example")
    assert guard.state().entries == 2
    with monkeypatch.context() as patched:
        patched.setattr(inforce, "from_entries", None)
        assert guard.state().of_order == {MANDATE.text: 2}
    write(path, "a.example", "b.example", "c.example")
    assert guard.state().entries == 3
    gone = [Change(f"{letter}.example", TREE, False) for letter in "abc"]
    with pytest.raises(RailError, match="all 3 entries of"):
        checked(guard, gone, ())
    path.write_text("noise")
    with pytest.raises(CentralError, match=r"entries\.tsv:1"):
        checked(guard, gone, ())

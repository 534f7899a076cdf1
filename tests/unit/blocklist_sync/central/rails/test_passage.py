from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.passage import compared
from blocklist_sync.central.rails.rails import RailError, Rails, RailSettings
from lachan import config
from tests.support import clear_list
from tests.support.blocklist import MANDATE
from tests.support.clear_list import Entries

TREE = Kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)
EXACT = TREE._replace(scope=Scope.EXACT)
LOOKED_AT = """
shipped_names: false
parent: {listed_below: 2}
never_block:
  - {id: state, why: a name of the state, severity: review, trees: [gov.vn]}
"""


def ready(text: str = LOOKED_AT) -> Rails:
    return rails.prepare(config.parse(text, RailSettings))


def write(path: Path, *names: str, kind: Kind = TREE) -> Path:
    held = Entries()
    held.add(kind, names, 1)
    clear_list.write(path, held)
    return path


def found(before: Path | None, after: Path) -> list[str]:
    return [finding.rail for finding in compared(before, after, ready())[1]]


def test_two_lists_are_held_against_each_other(tmp_path: Path) -> None:
    before, after = tmp_path / "published.tsv", write(tmp_path / "entries.tsv", "a.example", "a.gov.vn")
    assert found(None, after) == ["never-block-state"]
    # What stands in both is no change.
    write(before, "a.gov.vn")
    assert found(before, after) == []
    write(after, "b.example")
    assert found(after, before) == ["emptied", "never-block-state"] or found(after, before) == ["never-block-state"]
    told, findings = compared(before, after, None)
    assert ((told.added, told.removed), findings) == ((1, 1), [])
    with pytest.raises(CentralError):
        compared(before, tmp_path / "none.tsv", ready())


def test_what_a_rail_refuses_is_not_built(tmp_path: Path) -> None:
    with pytest.raises(RailError, match="never-block-government"):
        compared(None, write(tmp_path / "entries.tsv", "a.gov.vn"), rails.load(None))


def test_a_name_above_many_is_found_where_it_comes(tmp_path: Path) -> None:
    below = ("a.host.example", "b.host.example", "c.host.example")
    before = write(tmp_path / "before.tsv", *below)
    after = write(tmp_path / "after.tsv", *below, "host.example")
    [finding] = compared(before, after, ready())[1]
    assert (finding.rail, finding.names) == ("parent", ("host.example (3)",))
    # It stood there before, or stands there for itself alone.
    assert found(after, after) == []
    assert found(after, write(tmp_path / "more.tsv", *below, "host.example", "d.host.example")) == []
    assert found(None, write(tmp_path / "alone.tsv", "host.example", kind=EXACT)) == []

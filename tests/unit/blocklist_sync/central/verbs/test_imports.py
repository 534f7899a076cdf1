from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from blocklist_sync.artifact.categories import Category
from blocklist_sync.central.cli import app
from blocklist_sync.central.entries import Kind, Scope
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.verbs.imports import terms
from tests.support import clear_list
from tests.support.blocklist import MANDATE
from tests.support.clear_list import Entries

TREE = Kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)


def run(*words: object) -> Any:
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def release(tmp_path: Path) -> Path:
    held = Entries()
    held.add(TREE, ["a.example", "b.example"], 1)
    (tmp_path / "release").mkdir()
    clear_list.write(tmp_path / "release" / "entries.tsv", held)
    return tmp_path / "release"


def test_a_difference_is_shown_and_drafted(release: Path, tmp_path: Path) -> None:
    source = tmp_path / "list.txt"
    source.write_text("b.example\nc.example\n192.0.2.1\n")
    words = [source, "--release", release, "--order", MANDATE.text, "--category", "gambling", "--mandated", "--replace"]
    shown = run("diff", *words)
    assert shown.exit_code == 0, shown.output
    assert "c.example" in shown.stdout
    assert "list.txt:3: an address" in shown.stderr
    seen = json.loads(run("diff", *words, "--json").stdout)
    assert {key: seen["diff"][key] for key in ("in_force", "added", "removed", "changed", "unchanged")} == {
        "in_force": 2,
        "added": 1,
        "removed": 1,
        "changed": 0,
        "unchanged": 1,
    }
    assert seen["lines"]["first_refused"][0]["line"] == 3
    assert seen["drafts"] == []
    out = tmp_path / "drafts"
    assert "Drafts" in run("import", *words, "--out", out).stdout
    [draft] = json.loads(run("import", *words, "--out", out, "--json").stdout)["drafts"]
    assert Path(draft["changes"]).read_text().endswith("a.example\t0\t-\nc.example\t0\t+\n")


def test_what_rails_refuse_is_told_in_json_too(release: Path, tmp_path: Path) -> None:
    source = tmp_path / "list.txt"
    source.write_text("a.gov.vn\n")
    words = [source, "--release", release, "--order", "1", "--category", "scam", "--out", tmp_path / "drafts"]
    told = run("import", *words, "--json")
    assert isinstance(told.exception, CentralError)
    assert json.loads(told.stdout)["findings"][0]["rail"] == "never-block-government"
    # With rails of one's own it is another matter.
    (tmp_path / "rails.yaml").write_text("shipped_names: false\n")
    assert run("import", *words, "--rails", tmp_path / "rails.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("category", "order", "reason"),
    [("cats", None, "--category: 'cats' is none; there are csam"), (None, " ", "an order's number")],
)
def test_unfit_options_are_named(category: str | None, order: str | None, reason: str) -> None:
    with pytest.raises(CentralError, match=reason):
        terms(category, order, None, exact=False, form=None)

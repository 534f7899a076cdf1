"""docs/retention.md says of every table how long and why, as the upkeep does it."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from blocklist_sync.central.registry import tables as registry
from compliance_api.storage.tables import metadata
from compliance_api.storage.upkeep.partitions import DIVIDED
from compliance_api.storage.upkeep.terms import SWEEPS, TERMS, Term
from tests.architecture.tree import text

PAGE = PurePosixPath("docs/retention.md")
COLUMNS = 4
MOVING = set(TERMS.values()) - {Term.CURRENT, Term.EVER}


def rows(heading: str) -> dict[str, list[str]]:
    """The table below a heading, by its first column."""
    section = text(PAGE).split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {one[0].strip("`"): one[1:] for one in cells}


def test_every_table_has_a_term() -> None:
    assert set(TERMS) == set(metadata.tables)


def test_whatever_ends_is_deleted_by_the_upkeep() -> None:
    swept = {one.table for one in SWEEPS} | {along.table for one in SWEEPS for along in one.along}
    spans = {one.name for one in DIVIDED}
    assert {name for name, term in TERMS.items() if term in MOVING} == swept | spans


def test_the_page_says_of_every_table_how_long_and_why() -> None:
    page = rows("Compliance")
    assert {name: cells[0] for name, cells in page.items()} == {name: f"`{term}`" for name, term in TERMS.items()}
    assert all(len(cells) == COLUMNS - 1 and all(cells) for cells in page.values())


def test_and_of_every_table_of_the_list() -> None:
    page = rows("The list's registry")
    # Nothing of the registry may be changed or removed: that is its promise.
    assert {name: cells[0] for name, cells in page.items()} == dict.fromkeys(registry.HISTORY, "`ever`")
    assert all(all(cells) for cells in page.values())

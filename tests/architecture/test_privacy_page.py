"""docs/privacy.md names tests that exist, and speaks Vietnamese first."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath

from tests.architecture.tree import text

PAGE = PurePosixPath("docs/privacy.md")
COLUMNS = 6


def rows() -> list[list[str]]:
    table = [line for line in text(PAGE).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1:]]


def test_each_row_says_what_why_how_long_who_by_which_law_and_how_that_is_shown() -> None:
    assert len(rows()) > 10
    for row in rows():
        assert len(row) == COLUMNS, row
        assert all(row), row


def test_each_row_names_a_test_that_exists() -> None:
    for row in rows():
        named = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[-1])
        assert named, row[-1]
        tree = ast.parse(text(PurePosixPath(named[1])))
        there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert named[2] in there, row[-1]


def test_vietnamese_comes_first() -> None:
    page = text(PAGE)
    assert page.index("## Tóm tắt") < page.index("## What is collected")

"""docs/privacy.md tells of everything that the authority keeps, names tests that exist, and speaks Vietnamese first."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath

from compliance_api.storage.tables import metadata
from tests.architecture.tree import text

PAGE = PurePosixPath("docs/privacy.md")
COLUMNS = 6
KEPT = {
    "reports: counts": {"chain_heads", "reports", "unverified_reports"},
    "sums by the hour": {"hourly_rollups", "daily_rollups"},
    "names that releases took out": {"listings", "removals"},
    "observations of probes": {"assignments", "extra_questions", "observations", "questions", "tallies"},
    "addresses from which resolvers asked": {"egress_sightings", "session_paths"},
    "what a school's line lets its users do": {"line_checks"},
    "counts by listed name": {"challenge_outcomes", "challenge_sums", "challenges", "copied_counters"},
    "enrolment: a node's name": {
        "certificates",
        "enrolment_tokens",
        "enrolments",
        "node_versions",
        "organisations",
        "parties",
        "revocations",
    },
    "people who act": {"people"},
    "what each caller has left": {"shares"},
    "verdicts and findings": {
        "finding_citations",
        "finding_steps",
        "finding_versions",
        "findings",
        "period_verdicts",
        "verdict_changes",
        "verdicts",
    },
    "the ledger": {"ledger_checkpoints", "ledger_leaves", "ledger_tiles"},
    "legal holds": {"legal_holds"},
}
"""Each row's beginning, and the tables of the service in which that lies."""
OWN = {
    "closures",
    "draws",
    "jurisdictions",
    "law_versions",
    "log_position",
    "membership",
    "releases",
    "rounds",
    "seeds",
    "shape_versions",
    "upkeep_marks",
}
"""Tables with nothing of anybody: the service's own times, numbers and random values, and what is public anyway."""


def rows() -> list[list[str]]:
    table = [line for line in text(PAGE).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1:]]


def test_each_row_says_what_why_how_long_who_by_which_law_and_how_that_is_shown() -> None:
    assert len(rows()) > 10
    for row in rows():
        assert len(row) == COLUMNS, row
        assert all(row), row


def test_every_table_of_the_service_is_told_of() -> None:
    beginnings = [row[0] for row in rows()]
    for beginning in KEPT:
        assert [one for one in beginnings if one.startswith(beginning)], beginning
    assert set(metadata.tables) == set.union(OWN, *KEPT.values())


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

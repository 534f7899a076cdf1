"""Rows of findings and of their steps, as the domain's own types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compliance_api.domain.findings.casework import State, Step
from compliance_api.domain.findings.finding import FindingKind
from compliance_api.storage.tables import findings
from compliance_api.usecases.findings.casework import FindingCase

# Without their evidence, which is most of them.
CASE_COLUMNS = tuple(
    findings.c[name]
    for name in (
        "operator_id", "finding_id", "jurisdiction", "kind", "node", "since", "opened_at", "closed_at", "counts", "law",
    )
)  # fmt: skip
_STEP = (
    "position", "state", "at", "unit", "person", "note", "order_number", "order_authority", "next_unit", "due_at",
    "statement", "signature", "key", "paper",
)  # fmt: skip


def step_of(row: Any, prefix: str = "") -> Step:
    """A step; its columns are called so, behind a prefix."""
    values = {name: getattr(row, prefix + name) for name in _STEP}
    return Step(**{**values, "state": State(values["state"])})


def case_of(row: Any, steps: Sequence[Step]) -> FindingCase:
    """A finding with its steps."""
    return FindingCase(
        row.finding_id.hex(),
        row.operator_id,
        row.jurisdiction,
        FindingKind(row.kind),
        row.node,
        row.since,
        row.opened_at,
        row.closed_at,
        dict(row.counts),
        row.law,
        tuple(steps),
    )

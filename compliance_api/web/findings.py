"""Findings on paper: the list with what is late first, and one with its history.

Holds always: what is late comes first; every step that was taken is shown, with who took it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from compliance_api.domain.findings.casework import Step
from compliance_api.domain.parties.organisation import Label
from compliance_api.usecases.findings.casework import FindingCase
from compliance_api.web import words
from compliance_api.web.tongue import Tongue


@dataclass(frozen=True)
class StepRow:
    """A step in words."""

    view: Step
    state: str


@dataclass(frozen=True)
class CaseRow:
    """A finding in words."""

    view: FindingCase
    title: str
    operator: str
    state: str
    late: bool
    sentences: list[str]
    steps: tuple[StepRow, ...]


def case_row(view: FindingCase, names: Mapping[str, Label], now: datetime, tongue: Tongue) -> CaseRow:
    """A finding in words."""
    return CaseRow(
        view,
        tongue.gettext(words.TITLES[view.kind]),
        tongue.label(names[view.operator]) if view.operator in names else view.operator,
        tongue.gettext(words.STATES[view.state]),
        view.overdue(now),
        words.tell(view.kind, view.counts, tongue),
        tuple(StepRow(one, tongue.gettext(words.STATES[one.state])) for one in view.steps),
    )


def list_page(
    cases: Sequence[FindingCase], names: Mapping[str, Label], now: datetime, tongue: Tongue
) -> tuple[CaseRow, ...]:
    """All findings: late ones first, then those that somebody has to act on, by their deadline."""
    rows = [case_row(one, names, now, tongue) for one in cases]
    last = datetime.max.replace(tzinfo=now.tzinfo)
    rows.sort(key=lambda row: (not row.late, row.view.due_at is None, row.view.due_at or last, row.view.identifier))
    return tuple(rows)

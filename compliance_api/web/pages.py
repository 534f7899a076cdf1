"""Turns what the judge stored into what a page shows.

Holds always: a name of the categories whose very names must not spread is never in a page or document, nor a name whose
category is not known here; the worst verdicts come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from compliance_api.domain.findings.finding import EvidenceKind
from compliance_api.domain.verdicts.coverage import Coverage
from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.usecases.console.overview import (
    EvidenceView,
    FindingView,
    LiftedView,
    ObservationView,
    OperatorDetail,
    OperatorOverview,
    Overview,
    VerdictChange,
)
from compliance_api.web import words
from compliance_api.web.figures import Rate, Segment, rate, segments
from compliance_api.web.tongue import Tongue
from lachan.compliance.v1.report_pb2 import CATEGORY_CSAM, CATEGORY_SEXUAL_EXPLOITATION

MASKED_CATEGORIES = frozenset({CATEGORY_CSAM, CATEGORY_SEXUAL_EXPLOITATION})

_ORDER = (Outcome.NOT_COMPLIANT, Outcome.NOT_ENOUGH_EVIDENCE, Outcome.COMPLIANT)


class Hidden(Enum):
    """In the place of a name that is not shown."""

    NAME = "hidden"


@dataclass(frozen=True)
class EvidenceRow:
    """A piece of evidence with its detail, masked where it must be."""

    view: EvidenceView
    kind: str
    detail: str | Hidden


@dataclass(frozen=True)
class FindingRow:
    """A finding in words."""

    view: FindingView
    anchor: str
    title: str
    sentences: list[str]
    evidence: tuple[EvidenceRow, ...]


@dataclass(frozen=True)
class CoverageRow:
    """How sure we are, with its bars."""

    view: Coverage
    windows_bar: tuple[Segment, ...]
    names_bar: tuple[Segment, ...]
    missed: Rate | None
    # The claimed list is older than the current one.
    behind: bool


@dataclass(frozen=True)
class OperatorRow:
    """An operator with its verdict in words."""

    view: OperatorOverview
    name: str
    jurisdiction: str
    verdict: str
    for_seconds: float
    findings: tuple[FindingRow, ...]
    coverage: CoverageRow


@dataclass(frozen=True)
class ObservationRow:
    """An observation with its name, masked where it must be."""

    view: ObservationView
    qname: str | Hidden
    arm: str
    result: str
    shape: str


@dataclass(frozen=True)
class HistoryRow:
    """A change of verdict in words."""

    view: VerdictChange
    verdict: str
    findings: list[str]


@dataclass(frozen=True)
class LiftedRow:
    """What an operator let pass, in words."""

    view: LiftedView
    reason: str


@dataclass(frozen=True)
class FrontPage:
    """Everything the front page shows."""

    overview: Overview
    operators: tuple[OperatorRow, ...]
    counts: Mapping[Outcome, int]
    # Seconds since the newest evaluation.
    age: float | None


@dataclass(frozen=True)
class OperatorPage:
    """Everything an operator's page shows."""

    detail: OperatorDetail
    operator: OperatorRow
    observations: tuple[ObservationRow, ...]
    history: tuple[HistoryRow, ...]
    age: float
    lifted: tuple[LiftedRow, ...]


def coverage_row(view: Coverage) -> CoverageRow:
    """The coverage with its bars."""
    claimed, current = view.list_serial_claimed, view.list_serial_current
    received = min(view.windows_received, view.windows_expected)
    return CoverageRow(
        view,
        segments({"received": received, "absent": view.windows_expected - received}),
        segments(
            {"blocked": view.listed_blocked, "missed": view.listed_missed, "inconclusive": view.listed_inconclusive}
        ),
        rate(view.listed_missed, view.listed_asked),
        claimed is not None and current is not None and claimed < current,
    )


def _evidence_row(view: EvidenceView, categories: Mapping[str, frozenset[int]], tongue: Tongue) -> EvidenceRow:
    detail: str | Hidden = view.detail
    if view.kind is EvidenceKind.OBSERVATION and view.detail:
        known = categories.get(view.detail)
        if not known or known & MASKED_CATEGORIES:
            detail = Hidden.NAME
    return EvidenceRow(view, tongue.gettext(words.EVIDENCE[view.kind]), detail)


def finding_row(view: FindingView, categories: Mapping[str, frozenset[int]], tongue: Tongue) -> FindingRow:
    """A finding in words; `categories` holds what is known of each name's categories."""
    return FindingRow(
        view,
        f"{view.kind.value}-{view.node}".rstrip("-"),
        tongue.gettext(words.TITLES[view.kind]),
        words.tell(view.kind, view.counts, tongue),
        tuple(_evidence_row(one, categories, tongue) for one in view.evidence),
    )


def operator_row(
    view: OperatorOverview, now: datetime, tongue: Tongue, categories: Mapping[str, frozenset[int]] | None = None
) -> OperatorRow:
    """An operator with its verdict in words."""
    return OperatorRow(
        view,
        tongue.label(view.display_name),
        tongue.label(view.jurisdiction_name),
        tongue.gettext(words.VERDICTS[view.verdict]),
        max(0.0, (now - view.since).total_seconds()),
        tuple(finding_row(one, categories or {}, tongue) for one in view.findings),
        coverage_row(view.coverage),
    )


def front_page(overview: Overview, now: datetime, tongue: Tongue) -> FrontPage:
    """The front page: every operator, the worst verdicts first."""
    rows = [operator_row(one, now, tongue) for one in overview.operators]
    rows.sort(key=lambda row: _ORDER.index(row.view.verdict))
    counts = {outcome: sum(row.view.verdict is outcome for row in rows) for outcome in _ORDER}
    age = (now - overview.evaluated_at).total_seconds() if overview.evaluated_at else None
    return FrontPage(overview, tuple(rows), counts, age)


def operator_page(detail: OperatorDetail, now: datetime, tongue: Tongue) -> OperatorPage:
    """An operator's page."""
    categories: dict[str, frozenset[int]] = {}
    for one in detail.observations:
        categories[one.qname] = categories.get(one.qname, frozenset()) | {one.category}
    return OperatorPage(
        detail,
        operator_row(detail.overview, now, tongue, categories),
        tuple(
            ObservationRow(
                one,
                Hidden.NAME if categories[one.qname] & MASKED_CATEGORIES else one.qname,
                tongue.gettext(words.ARMS[one.arm]),
                tongue.gettext(words.RESULTS[one.result]),
                words.shape(one.shape, tongue),
            )
            for one in detail.observations
        ),
        tuple(
            HistoryRow(
                one,
                tongue.gettext(words.VERDICTS[one.verdict]),
                [tongue.gettext(words.TITLES[kind]) for kind in one.findings],
            )
            for one in detail.history
        ),
        (now - detail.overview.evaluated_at).total_seconds(),
        tuple(
            LiftedRow(one, tongue.gettext(words.LIFTED.get(one.reason, words.LIFTED["other"]))) for one in detail.lifted
        ),
    )

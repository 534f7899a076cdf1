"""The verdicts for machines. Holds always: names are added to this document, never renamed; times are UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from compliance_api.domain.verdicts.coverage import Coverage
from compliance_api.usecases.console.overview import FindingView, OperatorOverview, Overview
from compliance_api.web.tongue import iso


def _time(at: datetime | None) -> str | None:
    return iso(at) if at is not None else None


def _finding(view: FindingView) -> dict[str, Any]:
    return {
        "kind": view.kind.value,
        "accuses": view.accuses,
        "since": iso(view.since),
        "last_seen": iso(view.last_seen),
        "node": view.node or None,
        "counts": dict(view.counts),
        "law": view.law,
        "citation": {"vi": view.citation.vi, "en": view.citation.en},
        # Their details may be names that must not spread, so references alone.
        "evidence": [{"kind": one.kind.value, "reference": one.reference} for one in view.evidence],
    }


def _coverage(view: Coverage) -> dict[str, Any]:
    return view.document() | {
        "period_start": iso(view.period_start),
        "period_end": iso(view.period_end),
        "unreported": [one.document() for one in view.unreported],
    }


def _operator(view: OperatorOverview) -> dict[str, Any]:
    return {
        "organisation": view.organisation,
        "name": {"vi": view.display_name.vi, "en": view.display_name.en},
        "jurisdiction": view.jurisdiction,
        "jurisdiction_name": {"vi": view.jurisdiction_name.vi, "en": view.jurisdiction_name.en},
        "verdict": view.verdict.value,
        "since": iso(view.since),
        "evaluated_at": iso(view.evaluated_at),
        "law": view.law,
        "findings": [_finding(one) for one in view.findings],
        "coverage": _coverage(view.coverage),
    }


def verdicts(overview: Overview) -> dict[str, Any]:
    """Every operator's verdict with its reasons."""
    return {
        "evaluated_at": _time(overview.evaluated_at),
        "list": {
            "serial": overview.list_serial,
            "published_at": _time(overview.list_published_at),
            "entries": overview.list_entries,
        },
        "operators": [_operator(one) for one in overview.operators],
    }

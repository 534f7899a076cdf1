"""The console's reader on PostgreSQL: current verdicts with their findings, and the newest rows behind one.

Holds always: it only reads; every list is bounded; names of organisations come from the registry, for they are not
evidence; an operator that left the registry is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import ColumnElement, Row, Table, Text, cast, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.findings.finding import EvidenceKind, FindingKind
from compliance_api.domain.observations.observation import JUDGED, Arm, Result
from compliance_api.domain.parties.organisation import Jurisdiction, Label, Node, Organisation, Registry
from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.storage.console.measured import measured
from compliance_api.storage.tables import findings, observations, releases, reports, verdict_changes, verdicts
from compliance_api.storage.upkeep.plans import plan_each
from compliance_api.usecases.console.overview import (
    CoverageView,
    EvidenceView,
    FindingView,
    LiftedView,
    NodeView,
    ObservationView,
    OperatorDetail,
    OperatorOverview,
    Overview,
    ReportView,
    VerdictChange,
)
from lachan.compliance.v1 import report_pb2

MAX_ROWS = 100
MAX_CHANGES = 200
QTYPES = {1: "A", 28: "AAAA", 65: "HTTPS"}
_REPORT = tuple(
    reports.c[name]
    for name in (
        "node",
        "digest",
        "log_index",
        "sequence",
        "window_start",
        "window_seconds",
        "accepted_at",
        "list_serial",
        "list_activated_at",
        "queries",
        "queries_measured",
        "blocked",
        "enforcing",
    )
)


def _coverage(stored: Mapping[str, Any]) -> CoverageView:
    values = {field.name: stored[field.name] for field in fields(CoverageView) if field.name != "unreported"}
    # A verdict where nobody held anything back, or of an earlier release, says nothing of it.
    values["unreported"] = tuple(
        (one["custodian"], one["questions"], one["unreported"]) for one in stored.get("unreported", ())
    )
    for name in ("period_start", "period_end"):
        values[name] = datetime.fromisoformat(values[name])
    return CoverageView(**values)


def _evidence(stored: Mapping[str, str]) -> EvidenceView:
    return EvidenceView(
        EvidenceKind(stored["kind"]),
        stored["reference"],
        datetime.fromisoformat(stored["at"]),
        stored["node"],
        stored["probe"],
        stored["detail"],
    )


def _finding(row: Row[Any]) -> FindingView:
    kind = FindingKind(row.kind)
    return FindingView(
        kind,
        kind.accuses,
        row.since,
        row.last_seen,
        row.node,
        dict(row.counts),
        tuple(_evidence(one) for one in row.evidence),
        row.law,
        Label(row.citation_vi, row.citation_en),
    )


def _of(table: Table, organisation: str | None) -> list[ColumnElement[bool]]:
    """Only what is said of one operator, where one is given."""
    return [table.c.operator_id == organisation] if organisation is not None else []


async def _open_findings(
    connection: AsyncConnection, organisation: str | None
) -> dict[tuple[str, str], list[FindingView]]:
    order = list(FindingKind)
    found: dict[tuple[str, str], list[FindingView]] = {}
    wanted = select(findings).where(findings.c.closed_at.is_(None), *_of(findings, organisation))
    for row in await connection.execute(wanted):
        found.setdefault((row.operator_id, row.jurisdiction), []).append(_finding(row))
    for one in found.values():
        # Accusing ones first, then in the order of the closed set.
        one.sort(key=lambda finding: (not finding.accuses, order.index(finding.kind), finding.node))
    return found


class OverviewStore:
    """The reader that `compliance_api.usecases.console.overview` asks for."""

    def __init__(self, engine: AsyncEngine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry

    def _places(self) -> list[tuple[Organisation, Jurisdiction]]:
        return [
            (operator, jurisdiction)
            for operator in self._registry.operators()
            for jurisdiction in self._registry.jurisdictions
            if jurisdiction.identifier in operator.jurisdictions
        ]

    async def overview(self) -> Overview:
        """The front page."""
        async with self._engine.connect() as connection:
            await plan_each(connection)
            return await self._overview(connection)

    async def _overview(self, connection: AsyncConnection, organisation: str | None = None) -> Overview:
        """The front page; with one operator alone where that is all that is needed."""
        wanted = select(verdicts).where(*_of(verdicts, organisation))
        rows = {(row.operator_id, row.jurisdiction): row for row in await connection.execute(wanted)}
        found = await _open_findings(connection, organisation)
        newest = (await connection.execute(select(releases).order_by(releases.c.serial.desc()).limit(1))).first()
        operators = []
        for operator, place in self._places():
            row = rows.get((operator.identifier, place.identifier))
            if row is not None:
                own = found.get((operator.identifier, place.identifier), [])
                operators.append(_operator(operator, place, row, own))
        return Overview(
            max((one.evaluated_at for one in operators), default=None),
            newest.serial if newest else None,
            newest.published_at if newest else None,
            newest.entries if newest else None,
            tuple(operators),
        )

    async def operator_detail(self, organisation: str, jurisdiction: str) -> OperatorDetail | None:
        """One operator in a jurisdiction; None where there is no verdict under these names."""
        owner = self._registry.organisation(organisation)
        if owner is None:
            return None
        async with self._engine.connect() as connection:
            await plan_each(connection)
            overview = await self._overview(connection, organisation)
            shown = next((one for one in overview.operators if one.jurisdiction == jurisdiction), None)
            if shown is None:
                return None
            nodes = [node for node in owner.judged if jurisdiction in node.jurisdictions]
            names = [node.name for node in nodes]
            return OperatorDetail(
                shown,
                await _nodes(connection, organisation, nodes),
                await _reports(connection, organisation, names),
                await _observations(connection, organisation, names),
                await _history(connection, organisation, jurisdiction),
                await _lifted(connection, organisation, names),
                await measured(connection, organisation, jurisdiction),
            )


def _operator(
    operator: Organisation, place: Jurisdiction, row: Row[Any], found: Sequence[FindingView]
) -> OperatorOverview:
    return OperatorOverview(
        operator.identifier,
        operator.name,
        place.identifier,
        place.name,
        Outcome(row.outcome),
        row.since,
        row.evaluated_at,
        row.law,
        tuple(found),
        _coverage(row.coverage),
    )


async def _nodes(connection: AsyncConnection, operator: str, nodes: Sequence[Node]) -> tuple[NodeView, ...]:
    """Each node by its newest report; one question for all of them, for an operator may have hundreds."""
    asked = func.unnest(cast([node.name for node in nodes], ARRAY(Text))).table_valued("name").render_derived()
    newest = (
        select(*_REPORT)
        .where(reports.c.operator_id == operator, reports.c.node == asked.c.name)
        .order_by(reports.c.log_index.desc())
        .limit(1)
        .lateral("newest")
    )
    rows = await connection.execute(select(newest).select_from(asked).join(newest, true()))
    told = {row.node: row for row in rows}
    return tuple(_node(node, told.get(node.name)) for node in nodes)


def _node(node: Node, row: Row[Any] | None) -> NodeView:
    endpoints = tuple(str(endpoint) for endpoint in node.endpoints)
    if row is None:
        return NodeView(node.name, endpoints, *(None,) * 8)
    report = _report(row)
    return NodeView(
        node.name,
        endpoints,
        report.window_end,
        report.received_at,
        report.sequence,
        report.list_serial,
        row.list_activated_at,
        report.enforcing,
        report.queries,
        report.blocked,
    )


def _report(row: Row[Any]) -> ReportView:
    return ReportView(
        row.node,
        row.digest.hex(),
        row.log_index,
        row.sequence,
        row.window_start,
        row.window_seconds,
        row.accepted_at,
        row.list_serial,
        row.queries if row.queries_measured else None,
        row.blocked,
        row.enforcing,
    )


async def _reports(connection: AsyncConnection, operator: str, nodes: Sequence[str]) -> tuple[ReportView, ...]:
    newest = (
        select(*_REPORT)
        .where(reports.c.operator_id == operator, reports.c.node.in_(nodes))
        .order_by(reports.c.window_start.desc(), reports.c.log_index.desc())
        .limit(MAX_ROWS)
    )
    return tuple(_report(row) for row in await connection.execute(newest))


async def _lifted(connection: AsyncConnection, operator: str, nodes: Sequence[str]) -> tuple[LiftedView, ...]:
    """Overrides and suspensions in the latest reports, each once."""
    newest = (
        select(reports.c.node, reports.c.report)
        .where(reports.c.operator_id == operator, reports.c.node.in_(nodes))
        .order_by(reports.c.window_start.desc(), reports.c.log_index.desc())
        .limit(MAX_ROWS)
    )
    found: dict[LiftedView, None] = {}
    for row in await connection.execute(newest):
        found |= dict.fromkeys(lifted(row.node, row.report))
    return tuple(sorted(found, key=lambda one: (one.begins_at, one.node, one.fingerprint), reverse=True)[:MAX_ROWS])


def lifted(node: str, report: bytes) -> list[LiftedView]:
    """What a report says was let pass; nothing where it cannot be read."""
    told = report_pb2.Report()
    try:
        told.ParseFromString(report)
    except DecodeError:
        return []
    return [
        *(_view(node, one, one.serial, "") for one in told.suspensions),
        *(_view(node, one, None, f"{one.fingerprint:016x}") for one in told.overrides),
    ]


def _view(
    node: str, one: report_pb2.Override | report_pb2.Suspension, serial: int | None, fingerprint: str
) -> LiftedView:
    known = one.reason in report_pb2.OverrideReason.values()
    reason = report_pb2.OverrideReason.Name(one.reason).removeprefix("OVERRIDE_REASON_").lower() if known else "other"
    begins, ends = (datetime.fromtimestamp(at, UTC) for at in (one.created_at, one.ends_at))
    return LiftedView(node, serial, fingerprint, reason, begins, ends)


async def _observations(
    connection: AsyncConnection, operator: str, nodes: Sequence[str]
) -> tuple[ObservationView, ...]:
    newest = (
        select(observations)
        .where(observations.c.operator_id == operator, observations.c.node.in_(nodes))
        .where(observations.c.arm.in_(JUDGED))
        .order_by(observations.c.asked_at.desc())
        .limit(MAX_ROWS)
    )
    return tuple(_observation(row) for row in await connection.execute(newest))


def _observation(row: Row[Any]) -> ObservationView:
    return ObservationView(
        f"{row.assignment_id.hex()}/{row.question}",
        row.asked_at,
        f"{row.probe_organisation}/{row.probe}",
        row.vantage_point,
        row.access_network,
        row.node,
        row.endpoint,
        row.qname,
        QTYPES.get(row.qtype, f"TYPE{row.qtype}"),
        row.category,
        Arm(row.arm),
        Result(row.result),
        row.shape,
        row.reference_alive,
    )


async def _history(connection: AsyncConnection, operator: str, jurisdiction: str) -> tuple[VerdictChange, ...]:
    changes = (
        select(verdict_changes)
        .where(verdict_changes.c.operator_id == operator, verdict_changes.c.jurisdiction == jurisdiction)
        .order_by(verdict_changes.c.at.desc())
        .limit(MAX_CHANGES)
    )
    return tuple(
        VerdictChange(row.at, Outcome(row.outcome), tuple(FindingKind(kind) for kind in row.findings))
        for row in await connection.execute(changes)
    )


async def rolled_up(engine: AsyncEngine, operators: Sequence[str]) -> dict[str, tuple[Outcome, list[str]]]:
    """The verdict on each operator across its jurisdictions, the gravest one, with every kind found, for machines."""
    gravity = [Outcome.NOT_COMPLIANT, Outcome.NOT_ENOUGH_EVIDENCE, Outcome.COMPLIANT]
    outcomes: dict[str, list[Outcome]] = {name: [] for name in operators}
    kinds: dict[str, set[str]] = {name: set() for name in operators}
    async with engine.connect() as connection:
        for row in await connection.execute(select(verdicts).where(verdicts.c.operator_id.in_(operators))):
            outcomes[row.operator_id].append(Outcome(row.outcome))
            kinds[row.operator_id] |= set(row.findings)
    return {
        name: (min(found, key=gravity.index, default=Outcome.NOT_ENOUGH_EVIDENCE), sorted(kinds[name]))
        for name, found in outcomes.items()
    }

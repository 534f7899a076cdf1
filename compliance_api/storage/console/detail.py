"""The newest rows behind a verdict: nodes, reports, observations, changes, and what an operator let pass.

Holds always: it only reads; every list is bounded, the newest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import Row, Text, cast, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.observations.observation import JUDGED, Arm, Result
from compliance_api.domain.parties.organisation import Node
from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.storage.console.measured import measured
from compliance_api.storage.tables import observations, reports, verdict_changes
from compliance_api.usecases.console.overview import (
    LiftedView,
    NodeView,
    ObservationView,
    OperatorDetail,
    OperatorOverview,
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


async def detail(connection: AsyncConnection, shown: OperatorOverview, nodes: Sequence[Node]) -> OperatorDetail:
    """What stands behind the verdict on an operator in a jurisdiction, which has these nodes."""
    operator, names = shown.organisation, [node.name for node in nodes]
    return OperatorDetail(
        shown,
        await _nodes(connection, operator, nodes),
        await _reports(connection, operator, names),
        await _observations(connection, operator, names),
        await _history(connection, operator, shown.jurisdiction),
        await _lifted(connection, operator, names),
        await measured(connection, operator, shown.jurisdiction),
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

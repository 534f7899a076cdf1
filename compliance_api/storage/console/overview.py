"""The console's reader on PostgreSQL: current verdicts with their findings.

Holds always: it only reads; names of organisations come from the registry, for they are not evidence; an operator that
left the registry is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.findings.finding import EvidenceKind, FindingKind
from compliance_api.domain.parties.organisation import Jurisdiction, Label, Organisation, Registry
from compliance_api.domain.verdicts.coverage import Coverage
from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.storage.console.detail import detail
from compliance_api.storage.tables import findings, releases, verdicts
from compliance_api.storage.upkeep.plans import plan_each
from compliance_api.usecases.console.overview import (
    EvidenceView,
    FindingView,
    OperatorDetail,
    OperatorOverview,
    Overview,
    PlaceView,
)


def _evidence(stored: Mapping[str, str]) -> EvidenceView:
    return EvidenceView(
        EvidenceKind(stored["kind"]),
        stored["reference"],
        datetime.fromisoformat(stored["at"]),
        stored["node"],
        stored["probe"],
        stored["detail"],
    )


def _finding(row: Row[Any], evidence: tuple[EvidenceView, ...]) -> FindingView:
    kind = FindingKind(row.kind)
    return FindingView(
        kind,
        kind.accuses,
        row.since,
        row.last_seen,
        row.node,
        dict(row.counts),
        evidence,
        row.law,
        Label(row.citation_vi, row.citation_en),
    )


@dataclass(frozen=True)
class Said:
    """What is said of one operator, in one jurisdiction; empty for all."""

    operator: str = ""
    jurisdiction: str = ""

    def rows(self, table: Table) -> list[ColumnElement[bool]]:
        """The condition on a table's rows."""
        wanted = {"operator_id": self.operator, "jurisdiction": self.jurisdiction}
        return [table.c[name] == value for name, value in wanted.items() if value]


async def _open_findings(
    connection: AsyncConnection, said_of: Said, *, evidence: bool
) -> dict[tuple[str, str], list[FindingView]]:
    order = list(FindingKind)
    found: dict[tuple[str, str], list[FindingView]] = {}
    # Most of a finding is its evidence, and most readers do not ask for it.
    shown = [column for column in findings.c if evidence or column.name != "evidence"]
    wanted = select(*shown).where(findings.c.closed_at.is_(None), *said_of.rows(findings))
    for row in await connection.execute(wanted):
        pieces = tuple(_evidence(one) for one in row.evidence) if evidence else ()
        found.setdefault((row.operator_id, row.jurisdiction), []).append(_finding(row, pieces))
    for one in found.values():
        # Accusing ones first, then in the order of the closed set.
        one.sort(key=lambda finding: (not finding.accuses, order.index(finding.kind), finding.node))
    return found


class OverviewStore:
    """The reader that `compliance_api.usecases.console.overview` asks for."""

    def __init__(self, engine: AsyncEngine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry

    def _places(self, said_of: Said) -> list[tuple[Organisation, Jurisdiction]]:
        return [
            (operator, jurisdiction)
            for operator in self._registry.operators()
            for jurisdiction in self._registry.jurisdictions
            if jurisdiction.identifier in operator.jurisdictions
            if said_of.operator in {"", operator.identifier}
            if said_of.jurisdiction in {"", jurisdiction.identifier}
        ]

    async def overview(self) -> Overview:
        """The front page: findings without their evidence."""
        async with self._engine.connect() as connection:
            await plan_each(connection)
            return await self._overview(connection, Said(), evidence=False)

    async def verdicts(self) -> Overview:
        """The same with the evidence of every finding."""
        async with self._engine.connect() as connection:
            await plan_each(connection)
            return await self._overview(connection, Said(), evidence=True)

    async def names(self) -> Mapping[str, Label]:
        """What operators are called, by their identifier."""
        return {operator.identifier: operator.name for operator in self._registry.operators()}

    async def places(self, organisation: str) -> tuple[PlaceView, ...]:
        """Where an operator is judged; none where there is no verdict on it."""
        wanted = select(verdicts.c.jurisdiction).where(verdicts.c.operator_id == organisation)
        async with self._engine.connect() as connection:
            judged = set((await connection.execute(wanted)).scalars())
        return tuple(
            PlaceView(operator.identifier, operator.name, place.identifier, place.name)
            for operator, place in self._places(Said(organisation))
            if organisation and place.identifier in judged
        )

    async def check(self) -> None:
        """Reads a verdict, or that there is none: fails where none can be read."""
        async with self._engine.connect() as connection:
            await connection.execute(select(verdicts.c.outcome).limit(1))

    async def _overview(self, connection: AsyncConnection, said_of: Said, *, evidence: bool) -> Overview:
        wanted = select(verdicts).where(*said_of.rows(verdicts))
        rows = {(row.operator_id, row.jurisdiction): row for row in await connection.execute(wanted)}
        found = await _open_findings(connection, said_of, evidence=evidence)
        newest = (await connection.execute(select(releases).order_by(releases.c.serial.desc()).limit(1))).first()
        operators = []
        for operator, place in self._places(said_of):
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
        if owner is None or not jurisdiction:
            return None
        async with self._engine.connect() as connection:
            await plan_each(connection)
            found = await self._overview(connection, Said(organisation, jurisdiction), evidence=True)
            if not found.operators:
                return None
            nodes = [node for node in owner.judged if jurisdiction in node.jurisdictions]
            return await detail(connection, found.operators[0], nodes)


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
        Coverage.read(row.coverage),
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

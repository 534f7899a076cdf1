"""Cases read from PostgreSQL, and the verdicts on them written back.

Holds always: a verdict, its coverage and its findings change together; a finding stays one row from the first
evaluation that finds it to the last in an unbroken run (or to the day that settles it, where the e-process began anew
before), and is closed, never deleted; an earlier evaluation never overwrites a later.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.findings.casework import opening
from compliance_api.domain.findings.finding import Evidence, Finding
from compliance_api.domain.findings.procedure import Procedure
from compliance_api.domain.law.law import Law
from compliance_api.domain.legal_day import Period
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import Course
from compliance_api.domain.verdicts.verdict import Verdict
from compliance_api.storage.challenges.outcomes import challenged
from compliance_api.storage.findings import finding_versions
from compliance_api.storage.findings.casework import ID_BYTES, enter
from compliance_api.storage.judging import evidence
from compliance_api.storage.judging.closures import closed
from compliance_api.storage.judging.evidence import Extent
from compliance_api.storage.packs.withheld import withheld
from compliance_api.storage.tables import finding_citations, findings, verdict_changes, verdicts
from compliance_api.usecases.judging.count import Place


class Cases:
    """The store that `compliance_api.usecases.judging.judge` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def case(
        self, operator: str, jurisdiction: str, nodes: Sequence[str], law: Law, now: datetime, course: Course
    ) -> Case:
        """Everything stored about these nodes of an operator in the law's period up to now."""
        # The newest days whose challenges have all ended lie so far back.
        duty = law.challenges
        back = timedelta(days=1, seconds=duty.opened_after + duty.answered_within)
        extent = Extent(operator, nodes, now - timedelta(seconds=law.period), now)
        return await self.of_period(extent, jurisdiction, law, course, back)

    async def of_days(self, place: Place, wanted: Period, law: Law, course: Course, known_at: datetime | None) -> Case:
        """Everything stored about a period by a moment; None for all there is."""
        whole = law.model_copy(update={"period": (wanted.end - wanted.start).total_seconds()})
        extent = Extent(place.operator, place.nodes, wanted.start, wanted.end, known_at)
        return await self.of_period(extent, place.jurisdiction, whole, course)

    async def of_period(
        self, extent: Extent, jurisdiction: str, law: Law, course: Course, back: timedelta = timedelta(0)
    ) -> Case:
        """Everything stored about a stretch of time, and what challenges say of days that ended so much before it."""
        # One snapshot: what arrives meanwhile belongs to the next evaluation.
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            async with connection.begin():
                return Case(
                    extent.operator,
                    jurisdiction,
                    law,
                    extent.end,
                    await evidence.nodes(connection, extent),
                    await evidence.reported(connection, extent),
                    await evidence.unverified(connection, extent),
                    await evidence.sightings(connection, extent),
                    await evidence.published(connection, extent),
                    course,
                    await challenged(
                        connection, extent.operator, jurisdiction, extent.start - back, extent.end, extent.known_at
                    ),
                    await evidence.copied(connection, extent),
                    withheld=await withheld(connection, extent),
                    closures=await closed(connection, extent),
                )

    async def save(self, verdict: Verdict, procedure: Procedure) -> None:
        """Stores a verdict, opens and closes its findings, unless a later one is stored already."""
        at = verdict.coverage.period_end
        async with self._engine.begin() as connection:
            if await _save_verdict(connection, verdict, at):
                opened, renewed = await _save_findings(connection, verdict, at)
                step = opening(procedure, verdict.operator, at)
                await enter(connection, [(row, step) for row in opened])
                await finding_versions.renew(connection, renewed)


def _kinds(verdict: Verdict) -> list[str]:
    return sorted({finding.kind.value for finding in verdict.findings})


async def _save_verdict(connection: AsyncConnection, verdict: Verdict, at: datetime) -> bool:
    """Stores the verdict; False where a later one is there."""
    key = {"operator_id": verdict.operator, "jurisdiction": verdict.jurisdiction}
    values = {
        "outcome": verdict.outcome,
        "law": verdict.law,
        "findings": _kinds(verdict),
        "coverage": verdict.coverage.document(),
    }
    # Made first where there is none, so that its lock orders everybody who judges this operator.
    new = postgresql.insert(verdicts).values({**key, **values, "since": at, "evaluated_at": at})
    made = await connection.execute(new.on_conflict_do_nothing().returning(verdicts.c.operator_id))
    own = and_(*(verdicts.c[name] == value for name, value in key.items()))
    if made.first() is not None:
        await connection.execute(insert(verdict_changes).values({**key, **values, "at": at}))
        return True
    before = (await connection.execute(select(verdicts).where(own).with_for_update())).one()
    if before.evaluated_at >= at:
        return False
    since = before.since if before.outcome == verdict.outcome else at
    await connection.execute(update(verdicts).where(own).values({**values, "since": since, "evaluated_at": at}))
    if before.outcome != verdict.outcome or list(before.findings) != values["findings"]:
        await connection.execute(insert(verdict_changes).values({**key, **values, "at": at}))
    return True


def _evidence(piece: Evidence) -> dict[str, str]:
    values = {name: str(value) for name, value in vars(piece).items()}
    return {**values, "at": piece.at.isoformat()}


async def _save_findings(
    connection: AsyncConnection, verdict: Verdict, at: datetime
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Renews the open findings that were found again, opens new ones, and closes the others.

    Returns:
        Of those that accuse, the new ones, and the others as they are now.
    """
    place = and_(findings.c.operator_id == verdict.operator, findings.c.jurisdiction == verdict.jurisdiction)
    keys = [(finding.kind.value, finding.node) for finding in verdict.findings]
    still = tuple_(findings.c.kind, findings.c.node).in_(keys)
    held = and_(findings.c.node == "", findings.c.kind.in_([kind.value for kind in verdict.held]))
    gone = and_(place, findings.c.closed_at.is_(None), ~still, ~held)
    await connection.execute(update(findings).where(gone).values(closed_at=at))
    opened: list[dict[str, Any]] = []
    renewed: list[dict[str, Any]] = []
    cited = []
    for finding in verdict.findings:
        row = _finding(verdict, finding, at)
        new = postgresql.insert(findings).values(row)
        kept = await connection.execute(
            new.on_conflict_do_update(
                index_elements=["operator_id", "jurisdiction", "kind", "node"],
                index_where=findings.c.closed_at.is_(None),
                set_={
                    "since": func.least(findings.c.since, new.excluded.since),
                    **{
                        name: new.excluded[name]
                        for name in ("last_seen", "counts", "evidence", "law", "citation_vi", "citation_en")
                    },
                },
            ).returning(findings)
        )
        now = dict(kept.mappings().one())
        if finding.accuses:
            (opened if now["finding_id"] == row["finding_id"] else renewed).append(now)
        key = {"operator_id": verdict.operator, "finding_id": now["finding_id"], "cited_at": at}
        cited += [{**key, "kind": one.kind, "reference": one.reference} for one in finding.evidence]
    if cited:
        await connection.execute(postgresql.insert(finding_citations).on_conflict_do_nothing(), cited)
    return opened, renewed


def _finding(verdict: Verdict, finding: Finding, at: datetime) -> dict[str, Any]:
    return {
        "operator_id": verdict.operator,
        "finding_id": os.urandom(ID_BYTES),
        "jurisdiction": verdict.jurisdiction,
        "kind": finding.kind,
        "node": finding.node,
        "since": finding.since,
        "opened_at": at,
        "last_seen": at,
        "counts": [[name, count] for name, count in finding.counts.items()],
        "evidence": [_evidence(one) for one in finding.evidence],
        "law": finding.clause.law,
        "citation_vi": finding.clause.citation.vi,
        "citation_en": finding.clause.citation.en,
    }

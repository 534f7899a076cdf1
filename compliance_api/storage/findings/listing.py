"""The findings that a list shows, in PostgreSQL: what must be done first, however old it is.

Holds always: it only reads; a finding that is late is shown before any that is not, and counted wherever the list ends.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, false, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.storage.findings.rows import CASE_COLUMNS, case_of, step_of
from compliance_api.storage.tables import finding_steps, findings
from compliance_api.storage.upkeep.plans import plan_each
from compliance_api.usecases.findings.casework import Listing

MAX_LISTED = 200


def _ranked(now: datetime) -> Select[Any]:
    kept = finding_steps.c
    last = (
        select(kept.position, kept.next_unit, kept.due_at)
        .where(kept.operator_id == findings.c.operator_id, kept.finding_id == findings.c.finding_id)
        .order_by(kept.position.desc())
        .limit(1)
        .lateral("last")
    )
    late = func.coalesce(last.c.due_at < now, false())
    return (
        select(
            findings.c.operator_id,
            findings.c.finding_id,
            last.c.position,
            func.count().over().label("total"),
            func.count().filter(late).over().label("late"),
            func.row_number()
            .over(order_by=[late.desc(), last.c.next_unit.is_(None), last.c.due_at, findings.c.opened_at.desc()])
            .label("place"),
        )
        .outerjoin(last, true())
        .where(findings.c.kind.in_([kind for kind in FindingKind if kind.accuses]))
        .order_by("place")
        .limit(MAX_LISTED)
    )


async def listing(connection: AsyncConnection, now: datetime) -> Listing:
    """Those that accuse; in a transaction of the caller."""
    await plan_each(connection)
    first, kept = _ranked(now).subquery("first"), finding_steps.c
    own = and_(findings.c.operator_id == first.c.operator_id, findings.c.finding_id == first.c.finding_id)
    step = and_(
        kept.operator_id == first.c.operator_id,
        kept.finding_id == first.c.finding_id,
        kept.position == first.c.position,
    )
    taken = [column.label(f"step_{column.name}") for column in kept]
    wanted = (
        select(*CASE_COLUMNS, *taken, first.c.total, first.c.late)
        .select_from(first)
        .join(findings, own)
        .outerjoin(finding_steps, step)
        .order_by(first.c.place)
    )
    rows = (await connection.execute(wanted)).all()
    cases = tuple(case_of(row, [step_of(row, "step_")] if row.step_position is not None else []) for row in rows)
    return Listing(cases, rows[0].total if rows else 0, rows[0].late if rows else 0)

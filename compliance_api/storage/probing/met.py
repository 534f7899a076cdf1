"""Whom lines met, read from PostgreSQL: sessions that show who answered them.

Holds always: it only reads, in the caller's transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.observations.met import Met
from compliance_api.domain.observations.observation import Arm, Path
from compliance_api.storage.judging.evidence import Extent
from compliance_api.storage.tables import observations, session_paths


async def met(connection: AsyncConnection, extent: Extent) -> list[Met]:
    """Sessions of that time that show whom their line met, with who asked the authority for them.

    Of several addresses the first one that nobody enrolled is named, in the order of their texts. Where a session asked
    an enrolled address and cannot tell whom it met, nothing is said.
    """
    way, kept = session_paths.c, observations.c
    # The question that told who asked for the line; a session of before such were asked has its first one.
    question = func.coalesce(func.min(kept.question).filter(kept.arm == Arm.EGRESS), func.min(kept.question))
    asked = (
        select(
            kept.operator_id,
            kept.assignment_id,
            func.min(kept.asked_at).label("asked_at"),
            question.label("question"),
        )
        .where(kept.operator_id == extent.operator, kept.node.in_(extent.nodes), extent.knew(kept.received_at))
        .where(kept.asked_at >= extent.start, kept.asked_at < extent.end)
        .group_by(kept.operator_id, kept.assignment_id)
        .subquery()
    )
    rows = await connection.execute(
        select(session_paths, asked.c.asked_at, asked.c.question)
        .join(asked, and_(asked.c.operator_id == way.operator_id, asked.c.assignment_id == way.assignment_id))
        .where(or_(way.enrolled.is_not(None), way.handed), extent.knew(way.decided_at))
        .order_by(asked.c.asked_at, way.assignment_id)
    )
    return [
        Met(
            row.asked_at,
            f"{row.assignment_id.hex()}/{row.question}",
            row.vantage_point,
            row.access_network,
            row.custodian,
            min(row.foreign_egress or row.egress, default=""),
            row.enrolled if row.enrolled is not None else _enrolled_before(row),
            row.handed,
        )
        for row in rows
    ]


def _enrolled_before(row: Row[Any]) -> bool | None:
    """What an earlier release decided, which left this out; None where it cannot be told."""
    if row.path == Path.ELSEWHERE and row.foreign_egress:
        return False
    return True if row.egress and not row.foreign_egress else None

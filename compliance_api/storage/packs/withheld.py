"""What custodians were asked and did not hand in, read from PostgreSQL.

Holds always: it only reads, in the caller's transaction; an assignment counts once its time is over.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import and_, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.observations.unreported import Withheld
from compliance_api.storage.judging.evidence import Extent
from compliance_api.storage.tables import assignments, observations, rounds

# An observation was asked within its assignment's time, which no setting makes longer.
MARGIN = timedelta(days=8)


async def withheld(connection: AsyncConnection, extent: Extent, as_of: int | None = None) -> list[Withheld]:
    """By custodian, questions of assignments that ended in that time, and those that no observation came for.

    Custodians that handed in everything are left out. Of an assignment of before custodians were kept with it, the
    probe's organisation stands for its custodian.

    Args:
        connection: In one snapshot.
        extent: Whose assignments, and when they ended.
        as_of: How many leaves the ledger had; None for whatever is there.
    """
    given, seen = assignments.c, observations.c
    entered = (given.log_index < as_of, seen.log_index < as_of) if as_of is not None else (true(), true())
    came = (
        select(seen.assignment_id, func.count().label("total"))
        .where(
            seen.operator_id == extent.operator, seen.node.in_(extent.nodes), extent.knew(seen.received_at), entered[1]
        )
        .where(seen.asked_at >= extent.start - MARGIN, seen.asked_at < extent.end)
        .group_by(seen.assignment_id)
        .subquery()
    )
    asked = func.coalesce(given.questions, func.cardinality(given.positions))
    custodian = func.coalesce(given.custodian, given.probe_organisation).label("custodian")
    missing = func.sum(func.greatest(asked - func.coalesce(came.c.total, 0), 0)).label("unreported")
    wanted = (
        select(custodian, func.sum(asked).label("questions"), missing)
        .join(rounds, and_(rounds.c.operator_id == given.operator_id, rounds.c.round_id == given.round_id))
        .outerjoin(came, came.c.assignment_id == given.assignment_id)
        .where(given.operator_id == extent.operator, rounds.c.node.in_(extent.nodes), entered[0])
        .where(given.expires_at >= extent.start, given.expires_at < extent.end)
        .group_by(custodian)
        .having(missing > 0)
        .order_by(custodian)
    )
    rows = await connection.execute(wanted)
    return [Withheld(row.custodian, int(row.questions), int(row.unreported)) for row in rows]

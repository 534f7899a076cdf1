"""Reports that came in after the day that they are on was closed, in PostgreSQL.

Holds always: what was told is told again until it was heard to the end, whichever process did; what a first start finds
was judged with all that had come in by then.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import BigInteger, cast, extract, func, literal, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.legal_day import CALENDAR, OFFSET, LegalDay
from compliance_api.storage.tables import log_position, reports, upkeep_marks
from compliance_api.usecases.judging.hearing import LateReports

HEARD = "late_reports"
LATE = timedelta(hours=1)
"""Reports that come sooner after their window's end are on a day that nobody has closed."""


class Late:
    """The store that `compliance_api.usecases.judging.hearing` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def unheard(self) -> tuple[list[LateReports], int]:
        """What came late since the mark, by node and day, and the mark to be set once that was heard."""
        kept = reports.c
        number = func.floor((extract("epoch", kept.window_start) + literal(OFFSET.total_seconds())) / literal(CALENDAR))
        day = cast(number, BigInteger)
        async with self._engine.begin() as connection:
            top: int = (await connection.execute(select(func.max(log_position.c.next_index)))).scalar_one() or 0
            first = postgresql.insert(upkeep_marks).values(name=HEARD, log_index=top).on_conflict_do_nothing()
            await connection.execute(first)
            mark = select(upkeep_marks.c.log_index).where(upkeep_marks.c.name == HEARD)
            since: int = (await connection.execute(mark)).scalar_one()
            rows = await connection.execute(
                select(kept.operator_id, kept.node, day.label("day"), func.max(kept.accepted_at).label("accepted_at"))
                .where(kept.log_index >= since, kept.log_index < top)
                .where(
                    kept.accepted_at
                    > kept.window_start + func.make_interval(0, 0, 0, 0, 0, 0, kept.window_seconds) + LATE
                )
                .group_by(kept.operator_id, kept.node, day)
                .order_by(day, kept.operator_id, kept.node)
            )
            return [LateReports(row.operator_id, row.node, LegalDay(row.day), row.accepted_at) for row in rows], top

    async def heard(self, mark: int) -> None:
        """Sets the mark."""
        async with self._engine.begin() as connection:
            value = func.greatest(upkeep_marks.c.log_index, mark)
            await connection.execute(upkeep_marks.update().where(upkeep_marks.c.name == HEARD).values(log_index=value))

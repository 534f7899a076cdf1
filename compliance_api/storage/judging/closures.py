"""When the service took no reports, in PostgreSQL.

Holds always: a closure lies between two evaluations that follow each other, whichever process made them; it is entered
before the second of them judges anybody, and never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.reports.window import Closure
from compliance_api.storage.judging.evidence import Extent
from compliance_api.storage.tables import closures, verdicts

AROUND = timedelta(days=2)
"""A closure that ended so long before a stretch of time, or began so long after it, has nothing to do with it."""


async def closed(connection: AsyncConnection, extent: Extent) -> Sequence[Closure]:
    """The closures of that time and around it, oldest first."""
    kept = closures.c
    rows = await connection.execute(
        select(kept.began_at, kept.ended_at)
        .where(kept.ended_at > extent.start - AROUND, kept.began_at < extent.end + AROUND, extent.knew(kept.ended_at))
        .order_by(kept.began_at)
    )
    return [Closure(row.began_at, row.ended_at) for row in rows]


class Closures:
    """Notes when nobody was heard."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def note(self, now: datetime, least: timedelta) -> Closure | None:
        """Says that somebody judges now, and enters the time since that was so last, if it is longer than `least`."""
        async with self._engine.begin() as connection:
            last: datetime | None = (await connection.execute(select(func.max(verdicts.c.evaluated_at)))).scalar_one()
            if last is None or now - last <= least:
                return None
            row = postgresql.insert(closures).values(began_at=last, ended_at=now)
            made = await connection.execute(row.on_conflict_do_nothing().returning(closures.c.began_at))
            return Closure(last, now) if made.first() is not None else None

"""The job that keeps the tables in order: spans made ahead, sums made, what is due dropped.

Holds always: one process at a time does it; every step is a transaction of its own and the next run goes on where this
one was killed; running it twice changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.law.retention import Done, RetentionSettings
from compliance_api.storage.reports import rollups
from compliance_api.storage.upkeep import partitions, retention, terms
from compliance_api.storage.upkeep.partitions import DIVIDED, HOURLY, Divided
from lachan import log, postgres

LOCK = 0x6C616368616E11
"""Its advisory lock: `lachan`, then a number."""

_log = log.get()


@asynccontextmanager
async def _alone(engine: AsyncEngine) -> AsyncIterator[AsyncConnection | None]:
    """A connection that holds the lock; None where another process does. The lock ends with the connection."""
    async with engine.connect() as connection:
        got: bool = (await connection.execute(select(func.pg_try_advisory_lock(LOCK)))).scalar_one()
        await connection.commit()
        if not got:
            yield None
            return
        try:
            yield connection
        finally:
            try:
                await connection.rollback()
                await connection.execute(select(func.pg_advisory_unlock(LOCK)))
                await connection.commit()
            except postgres.FAILURES:
                # A connection that may still hold the lock must not go back to the others.
                await connection.invalidate()


class Upkeep:
    """The job."""

    def __init__(self, engine: AsyncEngine, settings: RetentionSettings) -> None:
        self._engine = engine
        self._settings = settings

    async def run(self, now: datetime) -> Done:
        """Does whatever is to be done now, unless another process is at it.

        Raises:
            SQLAlchemyError, OSError: The database is away, or a table was in use for too long; what was done is done.
            BusyError: Something came in meanwhile that the next run has to look at first.
        """
        done = Done()
        async with _alone(self._engine) as connection:
            if connection is None:
                return Done(ran=False)
            await self._make(connection, now, done)
            await self._sum(connection, done)
            await self._drop(connection, now, done)
            await self._sweep(connection, now, done)
        if done.spans_dropped or done.rows_deleted:
            _log.info("dropped what was due", spans=done.spans_dropped, rows=done.rows_deleted, kept=done.rows_kept)
        return done

    def _before(self, divided: Divided, now: datetime) -> datetime:
        return self._settings.hourly_before(now) if divided is HOURLY else self._settings.raw_before(now)

    async def _make(self, connection: AsyncConnection, now: datetime, done: Done) -> None:
        for divided in DIVIDED:
            async with connection.begin():
                starts = await partitions.missing(connection, divided, self._before(divided, now), now)
            for start in starts:
                async with connection.begin():
                    done.spans_made.append(await partitions.make(connection, divided, start))

    async def _sum(self, connection: AsyncConnection, done: Done) -> None:
        passed = 1
        while passed:
            async with connection.begin():
                passed = await rollups.step(connection)
            done.reports_summed += passed

    async def _drop(self, connection: AsyncConnection, now: datetime, done: Done) -> None:
        for divided in DIVIDED:
            async with connection.begin():
                there = await partitions.spans(connection, divided)
            for span in there:
                if span.end <= self._before(divided, now):
                    async with connection.begin():
                        done.rows_kept += await retention.retire(connection, divided, span)
            # Those of a run that was killed as well.
            async with connection.begin():
                out = await partitions.detached(connection, divided)
            for span in out:
                after: int | None = -1
                while after is not None:
                    async with connection.begin():
                        after = await retention.erase(connection, divided, span, after)
                async with connection.begin():
                    await partitions.drop(connection, span)
                done.spans_dropped.append(span.name)

    async def _sweep(self, connection: AsyncConnection, now: datetime, done: Done) -> None:
        for divided in DIVIDED:
            deleted = 1
            while deleted:
                async with connection.begin():
                    deleted = await retention.sweep(connection, divided, self._before(divided, now), now)
                done.rows_deleted += deleted
        for place in terms.SWEEPS:
            before = terms.TERMS[place.table].before(self._settings, now)
            deleted = 1
            while deleted:
                async with connection.begin():
                    deleted = await place.step(connection, before, now)
                done.rows_deleted += deleted

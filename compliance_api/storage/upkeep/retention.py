"""Drops what is due, and keeps of it what a hold or an open finding needs.

Holds always: a span of a table goes whole, with what must be kept of it moved aside in the same transaction; a report
goes only once its hours are summed; what an open finding cites and what a hold covers is not dropped; of what is gone,
the ledger keeps the commitment and loses the salt, so that nobody can guess what it was and every proof still holds.
Whoever is killed at any step goes on from there at the next run.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.errors import BusyError
from compliance_api.storage.reports.rollups import mark
from compliance_api.storage.tables import upkeep_marks
from compliance_api.storage.upkeep.keeping import Keep
from compliance_api.storage.upkeep.partitions import HOURLY, OBSERVATIONS, REPORTS, Divided, Span, take_out
from compliance_api.storage.upkeep.sweeping import Sweep

BATCH = 5_000
"""Leaves whose salts one transaction erases."""

KEEP = {
    "reports": Keep("window_start", "digest", "digests"),
    "observations": Keep("asked_at", "assignment_id", "sessions"),
    "hourly_rollups": Keep("hour"),
}
# Rows of the default partitions that are due: of a clock that is wrong, once they were taken long enough ago.
_DUE = {
    "reports": "old.accepted_at < :before AND (old.window_start < :before OR old.window_start > :now)",
    "observations": "old.received_at < :before AND (old.asked_at < :before OR old.asked_at > :now)",
    "hourly_rollups": "old.hour < :before OR old.hour > :now",
}


class NotSummedError(BusyError):
    """A report came in for a span that was about to go: the next run sums it first."""


async def retire(connection: AsyncConnection, divided: Divided, span: Span) -> int:
    """Takes a span out of its table and moves what must be kept into the default partition.

    In a transaction of the caller: all of it happens, or nothing.

    Returns:
        How many rows were kept.

    Raises:
        NotSummedError: A report in it is not in the sums yet.
    """
    await take_out(connection, divided, span)
    if divided is REPORTS:
        newest: int | None = (
            await connection.execute(text(f"SELECT max(log_index) FROM {span.name}"))  # noqa: S608 - a name of ours
        ).scalar_one()
        if newest is not None and newest >= await mark(connection):
            raise NotSummedError(f"{span.name} holds a report that is not in the sums yet")
    keep = KEEP[divided.name]
    columns = ", ".join(column.name for column in divided.table.columns)
    kept = await connection.execute(
        text(
            f"WITH kept AS (DELETE FROM {span.name} old"  # noqa: S608 - names of ours
            f" WHERE {keep.condition} RETURNING {columns})"
            f" INSERT INTO {divided.name} ({columns}) SELECT {columns} FROM kept"
        ),
        await keep.values(connection),
    )
    new = postgresql.insert(upkeep_marks).values(name=divided.name, before=span.end)
    before = func.greatest(upkeep_marks.c.before, new.excluded.before)
    await connection.execute(new.on_conflict_do_update(index_elements=["name"], set_={"before": before}))
    return kept.rowcount


async def erase(connection: AsyncConnection, divided: Divided, span: Span, after: int) -> int | None:
    """Erases the salts of the next leaves whose rows lie in a span that was taken out.

    Args:
        connection: In a transaction of the caller.
        divided: The table that it was of.
        span: Taken out.
        after: The highest index that is done.

    Returns:
        The highest index that is done now; None once all are.
    """
    if divided not in {REPORTS, OBSERVATIONS}:
        return None
    erased = await connection.execute(
        text(
            f"WITH next AS (SELECT log_index FROM {span.name} WHERE log_index > :after"  # noqa: S608 - names of ours
            f" ORDER BY log_index LIMIT {BATCH}),"
            " gone AS (UPDATE ledger_leaves SET salt = NULL, content = NULL"
            " WHERE log_index IN (SELECT log_index FROM next))"
            " SELECT max(log_index) FROM next"
        ),
        {"after": after},
    )
    highest: int | None = erased.scalar_one()
    return highest


async def sweep(connection: AsyncConnection, divided: Divided, before: datetime, now: datetime) -> int:
    """Deletes the next rows that are due and lie in no span, their salts with them; 0 where there are none."""
    place = Sweep(
        f"{divided.name}_default",
        _DUE[divided.name],
        KEEP[divided.name],
        leaves=() if divided is HOURLY else ("log_index",),
    )
    return await place.step(connection, before, now)

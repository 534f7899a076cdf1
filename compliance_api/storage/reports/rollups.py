"""Makes the sums by the hour and the legal day from the reports.

Holds always: a step makes whole hours and days anew from what is stored and remembers how far it came in the same
transaction, so that whoever is killed at any moment, or runs it twice, ends with the same rows; an hour whose reports
are gone is never made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import Row, Table, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.reports.record import ReleaseRecord
from compliance_api.domain.reports.rollup import (
    CATEGORIES,
    COLUMNS,
    HIGHEST,
    HOUR,
    LOWEST,
    Facts,
    day_of,
    hours_of,
    total,
)
from compliance_api.storage.tables import (
    daily_rollups,
    hourly_rollups,
    log_position,
    releases,
    reports,
    upkeep_marks,
)
from lachan.compliance.v1 import report_pb2 as pb

ROLLED_UP = "rolled_up"
STEP = 20_000
"""Reports that came in since, at most, whose hours one transaction makes anew."""
MAX_ROWS = 2_000
"""Rows of one statement."""


def facts(row: Row[Any]) -> Facts:
    """What a sum needs of a stored report: numbers by category stand in its bytes alone."""
    report = pb.Report()
    try:
        report.ParseFromString(row.report)
    except DecodeError:
        # Bytes of a report that was taken can be read; of one that was spoilt on the disk, the columns are left.
        report = pb.Report()
    blocked = [0] * (len(CATEGORIES) + 1)
    for cell in report.blocked:
        if cell.action != pb.ACTION_SHADOW and 0 < cell.category < len(blocked):
            blocked[cell.category] += cell.count
    return Facts(
        row.window_start,
        row.window_seconds,
        row.accepted_at,
        row.log_index,
        row.list_serial,
        row.enforcing,
        row.queries if row.queries_measured else None,
        tuple(blocked[1:]),
        sum(cell.count for cell in report.drops),
        report.upstream_failures,
    )


async def mark(connection: AsyncConnection) -> int:
    """Reports with a lower index than this are in the sums; the row is locked until the transaction ends."""
    await connection.execute(
        postgresql.insert(upkeep_marks).values(name=ROLLED_UP, log_index=0).on_conflict_do_nothing()
    )
    own = select(upkeep_marks.c.log_index).where(upkeep_marks.c.name == ROLLED_UP).with_for_update()
    reached: int = (await connection.execute(own)).scalar_one()
    return reached


async def forgotten_before(connection: AsyncConnection, table: Table) -> datetime | None:
    """Rows of a table from before this moment are gone; None while none are."""
    own = select(upkeep_marks.c.before).where(upkeep_marks.c.name == table.name)
    before: datetime | None = (await connection.execute(own)).scalar()
    return before


async def step(connection: AsyncConnection) -> int:
    """Makes the hours and days anew that the next reports belong to, in a transaction of the caller.

    Returns:
        How many places of the log that was; 0 where everything is in the sums.
    """
    since = await mark(connection)
    # Whoever has an index has committed, for indices are given in the order of the commits.
    end: int = (await connection.execute(select(log_position.c.next_index))).scalar_one()
    until = min(end, since + STEP)
    if until <= since:
        return 0
    hour = func.date_trunc("hour", reports.c.window_start, "UTC")
    came = reports.c.log_index >= since, reports.c.log_index < until
    rows = (await connection.execute(select(reports.c.operator_id, hour).where(*came).distinct())).all()
    gone = await forgotten_before(connection, reports)
    places = sorted((row[0], row[1]) for row in rows if gone is None or row[1] >= gone)
    history = await _releases(connection)
    for operator, start in places:
        await _make_hour(connection, operator, start, history)
    for operator, day in sorted({(operator, day_of(start)) for operator, start in places}):
        await _make_day(connection, operator, day)
    await connection.execute(upkeep_marks.update().where(upkeep_marks.c.name == ROLLED_UP).values(log_index=until))
    return until - since


async def _releases(connection: AsyncConnection) -> list[ReleaseRecord]:
    known = releases.c
    rows = await connection.execute(select(known.serial, known.published_at, known.urgent).order_by(known.serial))
    return [ReleaseRecord(*row) for row in rows]


async def _make_hour(
    connection: AsyncConnection, operator: str, start: datetime, history: Sequence[ReleaseRecord]
) -> None:
    kept = reports.c
    wanted = (
        select(
            kept.node,
            kept.window_start,
            kept.window_seconds,
            kept.accepted_at,
            kept.log_index,
            kept.list_serial,
            kept.enforcing,
            kept.queries,
            kept.queries_measured,
            kept.report,
        )
        .where(kept.operator_id == operator, kept.window_start >= start, kept.window_start < start + HOUR)
        # Of two reports under one number the first one counts.
        .where(kept.relation != Relation.EQUIVOCATION)
        .order_by(kept.node)
    )
    rows = list[Any]((await connection.execute(wanted)).all())
    # A national operator's hour is some work; calls must not wait for it.
    sums = await asyncio.to_thread(_sums, operator, start, rows, history)
    await _save(connection, hourly_rollups, ("operator_id", "node", "hour"), sums)


def _sums(
    operator: str, start: datetime, rows: Iterable[Any], history: Sequence[ReleaseRecord]
) -> list[dict[str, Any]]:
    return [
        {"operator_id": operator, "node": node, "hour": start, **vars(total(map(facts, own), history))}
        for node, own in groupby(rows, key=lambda row: str(row.node))
    ]


async def _make_day(connection: AsyncConnection, operator: str, day: date) -> None:
    start, end = hours_of(day)
    gone = await forgotten_before(connection, hourly_rollups)
    if gone is not None and start < gone:
        return
    hourly = hourly_rollups.c
    how = {name: func.min if name in LOWEST else func.max if name in HIGHEST else func.sum for name in COLUMNS}
    wanted = (
        select(hourly.node, *(how[name](hourly[name]).label(name) for name in COLUMNS))
        .where(hourly.operator_id == operator, hourly.hour >= start, hourly.hour < end)
        .group_by(hourly.node)
    )
    rows = await connection.execute(wanted)
    sums = [
        {
            "operator_id": operator,
            "node": row.node,
            "day": day,
            **{name: int(getattr(row, name)) for name in COLUMNS},
        }
        for row in rows
    ]
    await _save(connection, daily_rollups, ("operator_id", "node", "day"), sums)


async def _save(connection: AsyncConnection, table: Table, key: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    new = postgresql.insert(table)
    statement = new.on_conflict_do_update(index_elements=list(key), set_={name: new.excluded[name] for name in COLUMNS})
    for at in range(0, len(rows), MAX_ROWS):
        await connection.execute(statement, list(rows[at : at + MAX_ROWS]))

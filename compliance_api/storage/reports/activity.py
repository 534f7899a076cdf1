"""The console's reader of the sums by hour and legal day.

Holds always: it only reads, and a bounded stretch of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.parties.organisation import Registry
from compliance_api.domain.reports.rollup import COLUMNS, day_of, hour_of
from compliance_api.storage.tables import daily_rollups, hourly_rollups
from compliance_api.storage.upkeep.plans import plan_each
from compliance_api.usecases.console.activity import DAYS, HOURS, Activity, SumView

_BLOCKED = tuple(name for name in COLUMNS if name.startswith("blocked_"))


class ActivityStore:
    """The reader that `compliance_api.usecases.console.activity` asks for."""

    def __init__(self, engine: AsyncEngine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry

    async def activity(self, organisation: str, jurisdiction: str, now: datetime) -> Activity | None:
        """The sums of an operator's nodes in a jurisdiction up to now; None where there is no such operator there."""
        owner = self._registry.organisation(organisation)
        if owner is None or jurisdiction not in owner.jurisdictions:
            return None
        nodes = [node.name for node in owner.judged if jurisdiction in node.jurisdictions]
        hour, day = hourly_rollups.c.hour, daily_rollups.c.day
        # A window that began later than now is of a clock that is wrong.
        lately = hour > hour_of(now) - timedelta(hours=HOURS), hour <= now
        known = day > day_of(now) - timedelta(days=DAYS), day <= day_of(now)
        async with self._engine.connect() as connection:
            await plan_each(connection)
            return Activity(
                await _sums(connection, hourly_rollups, hour, organisation, nodes, lately),
                await _sums(connection, daily_rollups, day, organisation, nodes, known),
            )


async def _sums(
    connection: AsyncConnection,
    table: Table,
    at: ColumnElement[Any],
    operator: str,
    nodes: Sequence[str],
    when: Sequence[ColumnElement[bool]],
) -> tuple[SumView, ...]:
    kept = table.c
    added = ("windows", "unmeasured", "not_enforcing", "queries")
    blocked = sum((kept[name] for name in _BLOCKED[1:]), kept[_BLOCKED[0]])
    wanted = (
        select(
            at.label("at"),
            func.count().label("nodes"),
            *(func.sum(kept[name]).label(name) for name in added),
            func.sum(blocked).label("blocked"),
            func.max(kept.list_lag_seconds).label("lag"),
            func.max(kept.delay_seconds).label("delay"),
        )
        .where(kept.operator_id == operator, kept.node.in_(nodes), *when)
        .group_by(at)
        .order_by(at.desc())
    )
    return tuple(
        SumView(
            row.at,
            row.nodes,
            int(row.windows),
            int(row.unmeasured),
            int(row.not_enforcing),
            int(row.queries) if row.unmeasured < row.windows else None,
            int(row.blocked),
            row.lag,
            row.delay,
        )
        for row in await connection.execute(wanted)
    )

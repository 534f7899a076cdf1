"""Nodes' counters as series of windows, read from stored reports, and those found to be another node's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.challenges.challenge import CopiedCounters
from compliance_api.domain.challenges.copied import Node, Series
from compliance_api.domain.reports.chain import Relation
from compliance_api.storage.tables import copied_counters, reports


class Counters:
    """The store that `compliance_api.usecases.challenges.copies` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def series(self, start: datetime, end: datetime, seconds: int) -> Series:
        """By node, queries of each window of so many seconds; None where none was reported or measured."""
        kept = reports.c
        size = int((end - start).total_seconds()) // seconds
        wanted = (
            select(kept.operator_id, kept.node, kept.window_start, kept.queries)
            .where(kept.window_start >= start, kept.window_start < end, kept.window_seconds == seconds)
            .where(kept.relation != Relation.EQUIVOCATION, kept.queries_measured)
        )
        found: dict[Node, list[int | None]] = {}
        async with self._engine.connect() as connection:
            stream = await connection.stream(wanted)
            async for row in stream:
                place = int((row.window_start - start).total_seconds()) // seconds
                found.setdefault((row.operator_id, row.node), [None] * size)[place] = row.queries
        return found

    async def save(self, found: Sequence[CopiedCounters], now: datetime) -> None:
        """Stores pairs not stored yet, as found now."""
        rows = [
            {
                "operator_id": one.operator,
                "node": one.node,
                "other_operator": one.other_operator,
                "other_node": one.other_node,
                "starts_at": one.start,
                "lag": one.lag,
                "windows": one.windows,
                "dispersion": one.dispersion,
                "noise": one.noise,
                "found_at": now,
            }
            for one in found
        ]
        if rows:
            async with self._engine.begin() as connection:
                await connection.execute(postgresql.insert(copied_counters).on_conflict_do_nothing(), rows)

    async def found(self, operator: str, start: datetime, end: datetime) -> list[CopiedCounters]:
        """Pairs of which an operator's node is one, of days that began between two moments."""
        kept = copied_counters.c
        wanted = (
            select(copied_counters)
            .where((kept.operator_id == operator) | (kept.other_operator == operator))
            .where(kept.starts_at >= start, kept.starts_at < end)
            .order_by(*copied_counters.primary_key)
        )
        async with self._engine.connect() as connection:
            return [
                CopiedCounters(
                    row.operator_id,
                    row.node,
                    row.other_operator,
                    row.other_node,
                    row.starts_at,
                    row.lag,
                    row.windows,
                    row.dispersion,
                    row.noise,
                )
                for row in await connection.execute(wanted)
            ]

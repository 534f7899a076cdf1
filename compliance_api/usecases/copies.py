"""Looks for counters that are another node's, a legal day at a time, once it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from compliance_api.domain.challenge import CopiedCounters
from compliance_api.domain.copied import Series, copied
from compliance_api.domain.law import LawBook, LawError
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.organisation import Registry

# Reports come late; by then they mostly are there.
LATE = timedelta(hours=6)
DAY = timedelta(days=1)


class CounterStore(Protocol):
    """Reads counters and keeps what was found."""

    async def series(self, start: datetime, end: datetime, seconds: int) -> Series:
        """By node, queries of each window of so many seconds."""

    async def save(self, found: Sequence[CopiedCounters]) -> None:
        """Stores pairs not stored yet."""


class CopyFinder:
    """The task of looking."""

    def __init__(self, registry: Registry, laws: LawBook, store: CounterStore) -> None:
        self._registry = registry
        self._laws = laws
        self._store = store
        self._looked: datetime | None = None

    async def look(self, now: datetime) -> list[CopiedCounters]:
        """Looks at the last day that is over, once; what agrees too well."""
        day = LegalDay.of(now - LATE).after(-1)
        if self._looked == day.start:
            return []
        places = sorted({place for one in self._registry.operators() for place in one.jurisdictions})
        for place in places:
            try:
                law = self._laws.in_force(place, day.start)
            except LawError:
                continue
            seconds = int(law.report.window)
            today = await self._store.series(day.start, day.end, seconds)
            before = await self._store.series(day.start - DAY, day.start, seconds)
            found = await asyncio.to_thread(copied, today, before, day.start, law.burden.copy_rule())
            await self._store.save(found)
            # Nodes are compared whoever's they are: one law's rule is enough for all.
            self._looked = day.start
            return found
        return []

"""Looks for counters that are another node's, a legal day at a time, once it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from compliance_api.domain.challenges.challenge import CopiedCounters
from compliance_api.domain.challenges.copied import Series, copied
from compliance_api.domain.law.law_history import LawHistory
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.parties.organisation import Registry

# Reports come late; by then they mostly are there.
LATE = timedelta(hours=6)
DAY = timedelta(days=1)


class LawStore(Protocol):
    """Knows the law."""

    async def history(self) -> LawHistory:
        """Every version there is."""


class CounterStore(Protocol):
    """Reads counters and keeps what was found."""

    async def series(self, start: datetime, end: datetime, seconds: int) -> Series:
        """By node, queries of each window of so many seconds."""

    async def save(self, found: Sequence[CopiedCounters], now: datetime) -> None:
        """Stores pairs not stored yet, as found now."""


class CopyFinder:
    """The task of looking."""

    def __init__(self, registry: Registry, laws: LawStore, store: CounterStore) -> None:
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
        laws = await self._laws.history()
        for place in places:
            law = laws.timeline(place).first(day.start, day.end)
            if law is None:
                continue
            seconds = int(law.report.window)
            today = await self._store.series(day.start, day.end, seconds)
            before = await self._store.series(day.start - DAY, day.start, seconds)
            found = await asyncio.to_thread(copied, today, before, day.start, law.burden.copy_rule())
            await self._store.save(found, now)
            # Nodes are compared whoever's they are: one law's rule is enough for all.
            self._looked = day.start
            return found
        return []

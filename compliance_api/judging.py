"""The judge with everything it stands on, put together for whoever runs it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.law import LawBook
from compliance_api.domain.organisation import Registry
from compliance_api.domain.verdict import Verdict
from compliance_api.storage.cases import Cases
from compliance_api.storage.laws import Laws
from compliance_api.storage.tallies import Tallies
from compliance_api.usecases.count import DayCounter
from compliance_api.usecases.judge import Judge
from lachan import log

_log = log.get()


class Judging:
    """Learns the law once, then judges."""

    def __init__(self, engine: AsyncEngine, registry: Registry, book: LawBook) -> None:
        self._laws = Laws(engine)
        self._book = book
        self._judge = Judge(registry, self._laws, Cases(engine), DayCounter(Tallies(engine)))

    async def prepare(self, now: datetime) -> None:
        """Enters into the ledger what of the law is new, changed or gone."""
        for one in await self._laws.learn(self._book, now):
            _log.info("law known", law=one.name, version=one.version, backdated=one.backdated, gone=one.law is None)

    async def evaluate(self, now: datetime) -> list[Verdict]:
        """Judges every operator in each of its jurisdictions."""
        return await self._judge.evaluate(now)

"""Verdicts on days and months in PostgreSQL, as documents.

Holds always: a document is stored once and never changed; another one for the same period stands beside it under the
next number.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.verdicts.period_verdict import PeriodVerdict
from compliance_api.storage.tables import period_verdicts


class Periods:
    """Keeps what was said of periods."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, reached: PeriodVerdict, now: datetime) -> bool:
        """Stores a verdict, unless the newest one on the period says the same; whether it did."""
        kept = period_verdicts.c
        key = {
            "operator_id": reached.verdict.operator,
            "jurisdiction": reached.verdict.jurisdiction,
            "period": reached.period.name,
        }
        digest = hashlib.sha256(reached.document).digest()
        own = and_(*(kept[name] == value for name, value in key.items()))
        async with self._engine.begin() as connection:
            before = (
                await connection.execute(
                    select(kept.version, kept.digest).where(own).order_by(kept.version.desc()).limit(1)
                )
            ).first()
            if before is not None and before.digest == digest:
                return False
            new = postgresql.insert(period_verdicts).values(
                {
                    **key,
                    "version": before.version + 1 if before is not None else 1,
                    "begins_at": reached.period.start,
                    "reached_at": now,
                    "outcome": reached.outcome.value,
                    "digest": digest,
                    "document": reached.document,
                }
            )
            made = await connection.execute(new.on_conflict_do_nothing().returning(kept.version))
            return made.first() is not None

    async def newest(self, operator: str, jurisdiction: str, period: str) -> bytes | None:
        """The newest document on a period; None where there is none."""
        kept = period_verdicts.c
        wanted = (
            select(kept.document)
            .where(kept.operator_id == operator, kept.jurisdiction == jurisdiction, kept.period == period)
            .order_by(kept.version.desc())
            .limit(1)
        )
        async with self._engine.connect() as connection:
            found: bytes | None = (await connection.execute(wanted)).scalar_one_or_none()
            return found

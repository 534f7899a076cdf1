"""What each caller may take, in PostgreSQL: one row a share, for all processes.

Holds always: a draw is one statement, so that a process that is stopped holds nobody's share; the time is the
database's, and one that was set back keeps a share from growing for no longer than a few seconds.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import case, extract, func, literal, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.parties.bucket import Allowance
from compliance_api.storage.tables import shares
from compliance_api.usecases.membership.share import Drawn, Unit

AHEAD = timedelta(seconds=5)
"""A row's time may be later than a statement's, that waited for the row; later than so much, the clock was set back."""


class ShareTable:
    """The store that `compliance_api.usecases.membership.share` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def draw(self, holder: str, unit: Unit, allowance: Allowance, need: float, wanted: float) -> Drawn:
        """Up to `wanted` of a share, nothing where it holds less than `need`; one never heard of is full."""
        row = shares.c
        mine = (row.holder == holder) & (row.unit == unit)
        grown = allowance.rate * func.greatest(0.0, extract("epoch", func.now() - row.at))
        level = func.least(allowance.burst, row.tokens + grown)
        drawn = case((level < need, 0.0), else_=func.least(level, wanted))
        at = func.greatest(func.now(), func.least(row.at, func.now() + literal(AHEAD)))
        statement = (
            update(shares).where(mine).values(tokens=level - drawn, drawn=drawn, at=at).returning(row.drawn, row.tokens)
        )
        full = {"holder": holder, "unit": unit, "tokens": allowance.burst, "drawn": 0.0, "at": func.now()}
        async with self._engine.connect() as connection:
            # One statement, and no transaction around it.
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            found = (await connection.execute(statement)).one_or_none()
            if found is None:
                await connection.execute(postgresql.insert(shares).values(full).on_conflict_do_nothing())
                found = (await connection.execute(statement)).one()
        return Drawn(found.drawn, found.tokens)

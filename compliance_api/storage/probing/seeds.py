"""Seeds in PostgreSQL and in the ledger: committed to before they are used, told when they tell nothing any more.

Holds always: a seed is given out only after the leaf of its digest is committed; one operator, purpose and day have one
seed, whoever asks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import date, timedelta

from sqlalchemy import and_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.drawing.draws import SEED_BYTES
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.tables import seeds
from lachan import canonical
from lachan.ledger.leaf import Kind

TOLD_AFTER = timedelta(days=8)
"""By then every challenge that a day's seed drew is opened, or will not be."""
MAX_TOLD = 500


def _leaf(operator: str, purpose: str, day: date, **content: str) -> NewLeaf:
    what = {"type": "seed", "operator": operator, "purpose": purpose, "day": day.isoformat(), **content}
    return NewLeaf(Kind.CHALLENGE, canonical.encode(what), f"seed/{operator}/{purpose}/{day.isoformat()}")


class Seeds:
    """The store of seeds."""

    def __init__(self, engine: AsyncEngine, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._engine = engine
        self._entropy = entropy

    async def seed(self, operator: str, purpose: str, day: date) -> bytes:
        """The seed of a day (UTC), made and entered into the ledger where there is none."""
        own = and_(seeds.c.operator_id == operator, seeds.c.purpose == purpose, seeds.c.day == day)
        async with self._engine.begin() as connection:
            known = (await connection.execute(select(seeds.c.seed).where(own))).scalar_one_or_none()
            if known is not None:
                return bytes(known)
            made = self._entropy(SEED_BYTES)
            row = {"operator_id": operator, "purpose": purpose, "day": day, "seed": made, "committed_index": -1}
            new = postgresql.insert(seeds).values(row).on_conflict_do_nothing().returning(seeds.c.seed)
            if (await connection.execute(new)).first() is not None:
                leaf = _leaf(operator, purpose, day, sha256=hashlib.sha256(made).hexdigest())
                index = await append(connection, [leaf])
                await connection.execute(update(seeds).where(own).values(committed_index=index))
                return made
        # Another process made it meanwhile.
        async with self._engine.connect() as connection:
            return bytes((await connection.execute(select(seeds.c.seed).where(own))).scalar_one())

    async def tell(self, today: date) -> int:
        """Enters the seeds of days long past into the ledger; how many."""
        wanted = (
            select(seeds)
            .where(seeds.c.opened_index.is_(None), seeds.c.day < today - TOLD_AFTER)
            .order_by(seeds.c.day, seeds.c.operator_id, seeds.c.purpose)
            .limit(MAX_TOLD)
            .with_for_update(skip_locked=True)
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(wanted)).all()
            if not rows:
                return 0
            leaves = [_leaf(row.operator_id, row.purpose, row.day, seed=row.seed.hex()) for row in rows]
            first = await append(connection, leaves)
            for index, row in enumerate(rows, first):
                own = and_(
                    seeds.c.operator_id == row.operator_id,
                    seeds.c.purpose == row.purpose,
                    seeds.c.day == row.day,
                )
                await connection.execute(update(seeds).where(own).values(opened_index=index))
        return len(rows)

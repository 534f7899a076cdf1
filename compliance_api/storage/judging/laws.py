"""The law in PostgreSQL, as it was known when.

Holds always: a version is stored with its leaf in the ledger, in one transaction; two services that start together
store a new text once.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.law.law import LawBook
from compliance_api.domain.law.law_history import LawHistory, LawVersion, changes, read
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.tables import law_versions
from lachan.ledger.leaf import Kind

# Only one may compare the book with what is stored: any number, but always this one.
_LOCK = text("SELECT pg_advisory_xact_lock(5061027)")


async def history(connection: AsyncConnection) -> LawHistory:
    """Every version there is."""
    rows = await connection.execute(
        select(law_versions).order_by(law_versions.c.known_from, law_versions.c.law, law_versions.c.version)
    )
    return LawHistory(tuple(read(row.law, row.version, row.known_from, row.content) for row in rows))


class Laws:
    """Keeps what was the law, and since when that is known."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def history(self) -> LawHistory:
        """Every version there is."""
        async with self._engine.connect() as connection:
            return await history(connection)

    async def learn(self, book: LawBook, now: datetime) -> list[LawVersion]:
        """Stores what of the book is new, changed or gone, and says what that was."""
        async with self._engine.begin() as connection:
            await connection.execute(_LOCK)
            new = changes(await history(connection), book, now)
            if not new:
                return []
            leaves = [NewLeaf(Kind.LAW, (one.content or "").encode(), f"law/{one.name}") for one in new]
            first = await append(connection, leaves)
            await connection.execute(
                insert(law_versions),
                [
                    {
                        "law": one.name,
                        "version": one.version,
                        "known_from": one.known_from,
                        "content": one.content,
                        "log_index": first + number,
                    }
                    for number, one in enumerate(new)
                ],
            )
            return list(new)

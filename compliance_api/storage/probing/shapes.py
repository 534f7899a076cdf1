"""What a block looks like, as it was known when.

Holds always: a text is stored with its leaf in the ledger, in one transaction, before anything is judged by it; what a
version says never changes, so that an observation that names it can be judged again; two services that start together
store a text once.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.observations.shapes import ShapeBook, ShapesError
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.tables import shape_versions
from lachan.ledger.leaf import Kind

# Only one may compare the book with what is stored: any number, but always this one.
_LOCK = text("SELECT pg_advisory_xact_lock(5061028)")


class Shapes:
    """Keeps every text that anything was judged by."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def learn(self, book: ShapeBook, now: datetime) -> list[str]:
        """Stores the texts that are new, and says which.

        Raises:
            ShapesError: A version says something else than it did when it was stored.
        """
        contents = {one.version: one.content() for one in book.shapes}
        async with self._engine.begin() as connection:
            await connection.execute(_LOCK)
            kept = shape_versions.c
            rows = await connection.execute(select(kept.version, kept.content).where(kept.version.in_(contents)))
            stored = {row.version: row.content.encode() for row in rows}
            for version, content in stored.items():
                if content != contents[version]:
                    raise ShapesError(f"shapes: {version} is known with another text: a changed one is a new version")
            new = [version for version in contents if version not in stored]
            if not new:
                return []
            first = await append(
                connection, [NewLeaf(Kind.LAW, contents[version], f"shapes/{version}") for version in new]
            )
            await connection.execute(
                insert(shape_versions),
                [
                    {
                        "version": version,
                        "known_from": now,
                        "content": contents[version].decode(),
                        "log_index": first + number,
                    }
                    for number, version in enumerate(new)
                ],
            )
            return new

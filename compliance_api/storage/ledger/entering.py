"""What the list authority tells, entered into the ledger: each release and order once, and again where it was changed.

Holds always: what is stored beside its leaf is stored in one transaction with it; two processes that hear the same at
the same time enter it once.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.drawing.sampling import Release
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.tables import ledger_leaves
from compliance_api.usecases.ledger.cite import Cited
from lachan import canonical
from lachan.ledger.leaf import Kind

LOCK = 0x6C616368616E05
"""`lachan`, then a number."""


def of_release(release: Release) -> NewLeaf:
    """A release as it is entered."""
    told = {
        "serial": release.serial,
        "records_digest": release.records_digest.hex(),
        "published_at": int(release.published_at.timestamp()),
        "entries": release.entries,
        "urgent": release.urgent,
    }
    return NewLeaf(Kind.RELEASE, canonical.encode(told), f"release/{release.serial}")


async def enter_news(connection: AsyncConnection, leaves: Sequence[NewLeaf]) -> int:
    """Enters those leaves whose subject has no leaf yet, or one that says otherwise; how many those were."""
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    kept = ledger_leaves.c
    subjects = {one.subject for one in leaves}
    last = select(func.max(kept.log_index)).where(kept.subject.in_(subjects), kept.content.is_not(None))
    latest = select(kept.subject, kept.content).where(kept.log_index.in_(last.group_by(kept.subject)))
    known = {row.subject: row.content for row in await connection.execute(latest)}
    news = [one for one in leaves if known.get(one.subject) != one.content]
    if news:
        await append(connection, news)
    return len(news)


class Citations:
    """The store that `compliance_api.usecases.ledger.cite` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, cited: Sequence[Cited]) -> int:
        """Enters what is new or was changed; how many those were."""
        leaves = [NewLeaf(one.kind, canonical.encode(one.told), one.subject) for one in cited]
        if not leaves:
            return 0
        async with self._engine.begin() as connection:
            return await enter_news(connection, leaves)

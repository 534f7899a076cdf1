"""Claims as they stand after a report was read, made without one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.reports.chain import Link
from compliance_api.storage.tables import chain_heads
from compliance_api.usecases.reports.claim import Claim

T0 = datetime(2025, 1, 1, tzinfo=UTC)
EPOCH = b"e" * 16


def claim(
    sequence: int, previous: bytes = b"", *, epoch: bytes = EPOCH, after: bytes = b"", salt: bytes = b"", flaw: str = ""
) -> Claim:
    """The report of that number; `salt` makes another one of the same number."""
    digest = (sequence.to_bytes(8, "big") + epoch[:1] + salt).ljust(32, b"d")
    start = T0 + timedelta(minutes=5 * sequence)
    link = Link(epoch, after, sequence, digest, previous, False, start, 300)
    return Claim(link, flaw, 1, T0, 10, True, 3, True, b"report", b"signature" + salt, b"k" * 32)


def chain(count: int, *, epoch: bytes = EPOCH) -> list[Claim]:
    """The first reports of an epoch, each naming the one before it."""
    claims: list[Claim] = []
    for sequence in range(1, count + 1):
        claims.append(claim(sequence, claims[-1].link.digest if claims else b"", epoch=epoch))
    return claims


async def enrol(engine: AsyncEngine, nodes: Sequence[tuple[str, str]], at: datetime) -> None:
    """Nodes (operator, name) known since a moment, that have not reported yet."""
    rows = [{"operator_id": operator, "node": node, "enrolled_at": at} for operator, node in nodes]
    async with engine.begin() as connection:
        await connection.execute(insert(chain_heads), rows)

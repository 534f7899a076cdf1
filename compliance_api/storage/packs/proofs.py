"""Reads the ledger: heads that were published, leaves, and the proofs between them.

Holds always: a proof is made from tiles alone, which only grow, so that one of an earlier size can always be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.ledger import tiles
from compliance_api.ledger.tiles import Tile
from compliance_api.storage.tables import ledger_checkpoints, ledger_leaves, ledger_tiles, log_position
from compliance_api.usecases.ledger.audit import Entry, Progress
from lachan.ledger import tree
from lachan.ledger.tree import Nodes

T = TypeVar("T")


async def fetch(connection: AsyncConnection, wanted: Iterable[Tile]) -> dict[Tile, bytes]:
    """Tiles as they are stored; those that are not there are left out."""
    keys = list(wanted)
    if not keys:
        return {}
    kept = ledger_tiles.c
    found = await connection.execute(select(ledger_tiles).where(tuple_(kept.level, kept.place).in_(keys)))
    return {(row.level, row.place): row.hashes for row in found}


async def made(connection: AsyncConnection, proof: Callable[[Nodes], T]) -> T:
    """Something made from the tree.

    Raises:
        LedgerError: The tree has not grown that far.
    """
    return proof(tiles.nodes(await fetch(connection, tiles.needed(proof))))


class Proofs:
    """The ledger to whoever asks about it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def progress(self) -> Progress:
        """How far the ledger has come."""
        kept = ledger_checkpoints.c
        async with self._engine.connect() as connection:
            entered = (await connection.execute(select(log_position.c.next_index))).scalar_one()
            last = (
                await connection.execute(
                    select(kept.size, kept.refreshed_at)
                    .where(kept.cosigned.is_not(None))
                    .order_by(kept.size.desc())
                    .limit(1)
                )
            ).one_or_none()
        return Progress(entered, last.size if last else 0, last.refreshed_at if last else None)

    async def checkpoint(self) -> bytes | None:
        """The last head that was published, with its latest cosignatures."""
        kept = ledger_checkpoints.c
        last = select(kept.refreshed).where(kept.cosigned.is_not(None)).order_by(kept.size.desc()).limit(1)
        async with self._engine.connect() as connection:
            return (await connection.execute(last)).scalar_one_or_none()

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof from one size to another.

        Raises:
            LedgerError: There are no such sizes.
        """
        async with self._engine.connect() as connection:
            return await made(connection, partial(tree.consistency_proof, old=old, new=new))

    async def entries(self, indexes: Sequence[int], size: int) -> list[Entry]:
        """Leaves with the proofs that they stand in the tree of a size.

        Raises:
            LedgerError: The tree of that size has not all of them.
        """
        kept = ledger_leaves.c
        async with self._engine.connect() as connection:
            rows = (
                await connection.execute(
                    select(ledger_leaves).where(kept.log_index.in_(indexes)).order_by(kept.log_index)
                )
            ).all()

            def proofs(nodes: Nodes) -> list[list[bytes]]:
                return [tree.inclusion_proof(nodes, row.log_index, size) for row in rows]

            paths = await made(connection, proofs)
        return [
            Entry(
                row.log_index,
                row.kind,
                row.subject,
                row.entered_at,
                row.commitment,
                row.salt,
                row.content,
                tuple(path),
            )
            for row, path in zip(rows, paths, strict=True)
        ]

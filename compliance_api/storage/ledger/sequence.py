"""The ledger while it grows: one sequencer at a time over all processes, by an advisory lock of its session.

Holds always: what a turn writes it writes on the session that holds the lock, so that with the one the other is lost;
tree and head change in one transaction. A session that does nothing for `IDLE_SECONDS`, because its process is stopped
say, is ended by the server, and the turn goes to another.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from sqlalchemy import Row, func, insert, literal, select, text, union_all, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.errors import ComplianceError
from compliance_api.ledger import tiles
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.packs.proofs import fetch, made
from compliance_api.storage.tables import (
    chain_heads,
    ledger_checkpoints,
    ledger_leaves,
    ledger_tiles,
    log_position,
    observations,
    reports,
    unverified_reports,
)
from compliance_api.usecases.ledger.sequence import Head, LedgerChangedError
from lachan.ledger import tree
from lachan.ledger.batch import signed
from lachan.ledger.leaf import SALT_BYTES, Kind, Opening
from lachan.ledger.tree import leaf_hash

LOCK = 0x6C616368616E04
"""`lachan`, then a number."""
IDLE_SECONDS = 60
ENTERED_AT_ONCE = 1000


class LedgerHoleError(ComplianceError):
    """An index was given away, and nothing that has it is there."""


class _Turn:
    """The ledger while nobody else sequences it."""

    def __init__(self, connection: AsyncConnection, entropy: Callable[[int], bytes]) -> None:
        self._connection = connection
        self._entropy = entropy

    async def head(self) -> Head | None:
        """The last head, if there is one."""
        kept = ledger_checkpoints.c
        columns = kept.size, kept.signed, kept.cosigned, kept.refreshed_at
        async with self._connection.begin():
            row = (await self._connection.execute(select(*columns).order_by(kept.size.desc()).limit(1))).one_or_none()
        return Head(*row) if row else None

    async def published(self) -> int:
        """The size of the last head that was published, 0 if none was."""
        kept = ledger_checkpoints.c
        largest = select(func.max(kept.size)).where(kept.cosigned.is_not(None))
        async with self._connection.begin():
            size: int | None = (await self._connection.execute(largest)).scalar_one()
        return size or 0

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof from one size to another."""
        async with self._connection.begin():
            return await made(self._connection, partial(tree.consistency_proof, old=old, new=new))

    async def publish(self, size: int, cosigned: bytes, now: int) -> None:
        """Stores a head with its cosignatures; the first ones stay beside the latest."""
        kept = ledger_checkpoints.c
        values = {
            "cosigned": func.coalesce(kept.cosigned, cosigned),
            "cosigned_at": func.coalesce(kept.cosigned_at, now),
            "refreshed": cosigned,
            "refreshed_at": now,
        }
        async with self._connection.begin():
            await self._connection.execute(update(ledger_checkpoints).where(kept.size == size).values(values))

    async def grow(self, sign: Callable[[int, bytes], bytes], most: int) -> int:
        """Adds up to `most` leaves to the tree and stores a head over them; how many leaves that were.

        Raises:
            LedgerChangedError: The tree that is stored is not that of the last head.
            LedgerHoleError: A leaf is missing.
        """
        connection, leaf = self._connection, ledger_leaves.c
        async with connection.begin():
            size, root = await self._last(connection)
            # Read first: whatever is below it is committed, and so seen by what is read next.
            entered = (await connection.execute(select(log_position.c.next_index))).scalar_one()
            end: int = min(entered, size + most)
            if end <= size:
                return 0
            wanted = select(leaf.log_index, leaf.commitment).where(leaf.log_index >= size, leaf.log_index < end)
            new = (await connection.execute(wanted.order_by(leaf.log_index))).all()
            for index, row in enumerate(new, size):
                if row.log_index != index:
                    raise LedgerHoleError(f"leaf {index} is not in the ledger, while {row.log_index} is")
            if len(new) != end - size:
                raise LedgerHoleError(f"leaf {size + len(new)} is not in the ledger")
            kept = await fetch(connection, tiles.edge(size))
            frontier = tiles.frontier(kept, size)
            if frontier.root != root:
                raise LedgerChangedError(f"the tree of {size} leaves that is stored has not the root that was signed")
            grown = tiles.extend(kept, frontier, (leaf_hash(row.commitment) for row in new))
            rows = [{"level": level, "place": place, "hashes": data} for (level, place), data in grown.items()]
            statement = postgresql.insert(ledger_tiles)
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["level", "place"], set_={"hashes": statement.excluded.hashes}
                ),
                rows,
            )
            head = {"size": end, "root": frontier.root, "signed": sign(end, frontier.root)}
            await connection.execute(insert(ledger_checkpoints), head)
        return end - size

    @staticmethod
    async def _last(connection: AsyncConnection) -> tuple[int, bytes]:
        kept = ledger_checkpoints.c
        newest = select(kept.size, kept.root).order_by(kept.size.desc()).limit(1)
        row = (await connection.execute(newest)).one_or_none()
        return (row.size, row.root) if row else (0, tree.EMPTY_ROOT)

    async def enter_missing(self) -> int:
        """Enters what a release without a ledger has stored; how many leaves that were.

        Raises:
            LedgerHoleError: Of an index that was given away, nothing is stored.
        """
        return await self._enter_observations() + await self._fill()

    async def _enter_observations(self) -> int:
        kept = observations.c
        async with self._connection.begin():
            rows = (
                await self._connection.execute(
                    select(
                        kept.operator_id,
                        kept.node,
                        kept.assignment_id,
                        kept.question,
                        kept.asked_at,
                        kept.observation,
                        kept.signature,
                        kept.key_id,
                    )
                    .where(kept.log_index.is_(None))
                    .order_by(kept.received_at)
                    .limit(ENTERED_AT_ONCE)
                    .with_for_update(skip_locked=True)
                )
            ).all()
            if not rows:
                return 0
            leaves = [
                NewLeaf(
                    Kind.OBSERVATION,
                    signed(row.observation, row.signature, row.key_id),
                    f"{row.operator_id}/{row.node}",
                )
                for row in rows
            ]
            first = await append(self._connection, leaves)
            for index, row in enumerate(rows, first):
                own = (
                    (kept.operator_id == row.operator_id)
                    & (kept.assignment_id == row.assignment_id)
                    & (kept.question == row.question)
                    & (kept.asked_at == row.asked_at)
                )
                await self._connection.execute(update(observations).where(own).values(log_index=index))
        return len(rows)

    async def _fill(self) -> int:
        """Enters reports that have an index and no leaf."""
        connection, leaf = self._connection, ledger_leaves.c
        async with connection.begin():
            size, _ = await self._last(connection)
            entered = (await connection.execute(select(log_position.c.next_index))).scalar_one()
            end = min(entered, size + ENTERED_AT_ONCE)
            there = select(func.count()).where(leaf.log_index >= size, leaf.log_index < end)
            if (await connection.execute(there)).scalar_one() == end - size:
                return 0
            # From here on nobody else enters anything, so that a time that is given now is not before a later one.
            position = (await connection.execute(select(log_position).with_for_update())).one()
            around = select(leaf.log_index, leaf.entered_at).where(leaf.log_index >= size - 1, leaf.log_index < end)
            known = {row.log_index: row.entered_at for row in await connection.execute(around)}
            behind = select(leaf.entered_at).where(leaf.log_index >= end).order_by(leaf.log_index).limit(1)
            following = (await connection.execute(behind)).scalar_one_or_none()
            stored = {row.log_index: row for row in await connection.execute(_without_leaf(size, end))}
            bounds = _bounds(size, end, known, following)
            latest = max(position.entered_at, int(time.time()))
            rows = _filled(size, known, stored, [latest if one is None else one for one in bounds], self._entropy)
            await connection.execute(insert(ledger_leaves), rows)
            latest = rows[-1]["entered_at"]
            await connection.execute(
                update(log_position).values(entered_at=func.greatest(log_position.c.entered_at, latest))
            )
        return len(rows)


def _without_leaf(first: int, end: int) -> Any:
    """Reports, verified and not, whose indices are in a range; by the index of each node's own."""

    def of(table: Any, kind: Kind) -> Any:
        own = (
            select(table)
            .where(table.c.operator_id == chain_heads.c.operator_id, table.c.node == chain_heads.c.node)
            .where(table.c.log_index >= first, table.c.log_index < end)
            .lateral()
        )
        columns = [own.c[name] for name in ("operator_id", "node", "log_index", "accepted_at", *_SIGNED)]
        return select(literal(str(kind)).label("kind"), *columns).select_from(chain_heads).join(own, text("true"))

    return union_all(of(reports, Kind.REPORT), of(unverified_reports, Kind.UNVERIFIED_REPORT))


_SIGNED = ("report", "signature", "key_id")


def _filled(
    first: int,
    known: dict[int, int],
    stored: dict[int, Row[Any]],
    bounds: Sequence[int],
    entropy: Callable[[int], bytes],
) -> list[dict[str, Any]]:
    """Leaves for the indices that have none, entered when their reports were accepted, but in order.

    Args:
        first: The first index.
        known: Times of entry of the leaves that are there, by index.
        stored: Reports by index.
        bounds: For each index from the first on, the time that it must not be entered after.
        entropy: Makes salts.
    """
    rows = []
    before = known.get(first - 1, 0)
    for index, bound in enumerate(bounds, first):
        if index in known:
            before = known[index]
            continue
        row = stored.get(index)
        if row is None:
            raise LedgerHoleError(f"leaf {index} is not in the ledger, and no report has this index")
        before = max(before, min(int(row.accepted_at.timestamp()), bound))
        content = signed(row.report, row.signature, row.key_id)
        opening = Opening(entropy(SALT_BYTES), Kind(row.kind), before, content)
        rows.append(
            {
                "log_index": index,
                "kind": row.kind,
                "subject": f"{row.operator_id}/{row.node}",
                "entered_at": before,
                "commitment": opening.commitment,
                "salt": opening.salt,
            }
        )
    return rows


def _bounds(first: int, end: int, known: dict[int, int], following: int | None) -> list[int | None]:
    """For each index of a range, the time of entry of the first leaf behind it that is there, if one is."""
    found: list[int | None] = []
    for index in reversed(range(first, end)):
        found.append(following)
        following = known.get(index, following)
    return found[::-1]


class LedgerSequence:
    """The store that `compliance_api.usecases.ledger.sequence` asks for."""

    def __init__(self, engine: AsyncEngine, entropy: Callable[[int], bytes]) -> None:
        self._engine = engine
        self._entropy = entropy

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[_Turn | None]:
        """The ledger for one at a time over all processes; None while it is another's turn."""
        connection = await self._engine.connect()
        try:
            taken = (await connection.execute(select(func.pg_try_advisory_lock(LOCK)))).scalar_one()
            await connection.execute(text(f"SET idle_session_timeout = '{IDLE_SECONDS}s'"))
            await connection.commit()
            yield _Turn(connection, self._entropy) if taken else None
            await connection.execute(text("RESET idle_session_timeout"))
            if taken:
                await connection.execute(select(func.pg_advisory_unlock(LOCK)))
            await connection.commit()
        except BaseException:
            # The session goes, and the lock with it.
            await connection.invalidate()
            raise
        finally:
            await connection.close()

"""What is known of names taken out of the list, in PostgreSQL.

Holds always: what was heard first stands; what a release took out is in the ledger, by its digest, in the transaction
that stores it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.observations.removal import ListChanges, Removal
from compliance_api.ledger.removed import digest
from compliance_api.storage.ledger.entering import enter_news
from compliance_api.storage.ledger.leaves import NewLeaf
from compliance_api.storage.packs.takenout import subject
from compliance_api.storage.tables import listings, questions, removals, rounds
from lachan import canonical
from lachan.ledger.leaf import Kind

ASKED_UNLISTED = frozenset({Arm.CONTROL, Arm.NEIGHBOUR, Arm.RELEASED})


def _removal(row: Row[Any]) -> Removal:
    return Removal(
        row.qname,
        row.serial,
        row.removed_at,
        row.added_serial,
        row.category,
        row.order_reference,
        row.free,
        row.control,
    )


def _leaf(serial: int, names: Sequence[tuple[str, bool]]) -> NewLeaf:
    """What the ledger knows of it: names by their digest alone."""
    told = {"type": "removals", "serial": serial, "names": len(names), "sha256": digest(names)}
    return NewLeaf(Kind.RELEASE, canonical.encode(told), subject(serial))


async def changes(connection: AsyncConnection, names: Iterable[str], known_at: datetime | None = None) -> ListChanges:
    """Everything known of some names.

    Args:
        connection: In the caller's transaction.
        names: The names.
        known_at: What came in later is left out; None for nothing.
    """
    wanted = sorted(set(names))
    if not wanted:
        return ListChanges()
    removed: dict[str, list[Removal]] = {}
    listed: dict[str, list[datetime]] = {}
    gone = select(removals).where(removals.c.qname == func.any(wanted)).order_by(removals.c.serial)
    came = select(listings).where(listings.c.qname == func.any(wanted)).order_by(listings.c.listed_at)
    if known_at is not None:
        gone, came = gone.where(removals.c.heard_at <= known_at), came.where(listings.c.heard_at <= known_at)
    for row in await connection.execute(gone):
        removed.setdefault(row.qname, []).append(_removal(row))
    for row in await connection.execute(came):
        listed.setdefault(row.qname, []).append(row.listed_at)
    return ListChanges(removed, listed)


class ListChangeStore:
    """The store that `compliance_api.usecases.probing.listchanges` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def last(self) -> int:
        """The newest release of which a removal is known; 0 where there is none."""
        async with self._engine.connect() as connection:
            found: int | None = (await connection.execute(select(func.max(removals.c.serial)))).scalar_one()
            return found or 0

    async def save(self, heard: Sequence[Removal], now: datetime) -> None:
        """Stores removals not stored yet."""
        if not heard:
            return
        rows = [
            {
                "qname": one.qname,
                "serial": one.serial,
                "removed_at": one.removed_at,
                "added_serial": one.added_serial,
                "category": one.category,
                "order_reference": one.order,
                "free": one.free,
                "control": one.control,
                "heard_at": now,
            }
            for one in heard
        ]
        kept = removals.c
        async with self._engine.begin() as connection:
            new = postgresql.insert(removals).on_conflict_do_nothing()
            await connection.execute(new, rows)
            serials = {one.serial for one in heard}
            whole: dict[int, list[tuple[str, bool]]] = {serial: [] for serial in sorted(serials)}
            wanted = select(kept.serial, kept.qname, kept.free).where(kept.serial.in_(serials))
            for row in await connection.execute(wanted):
                whole[row.serial].append((row.qname, row.free))
            await enter_news(connection, [_leaf(serial, sorted(names)) for serial, names in whole.items()])

    async def free(self, since: datetime, limit: int) -> list[Removal]:
        """Names that became free since then, each by its last removal; of too many the newest, own ones first."""
        newest = (
            select(removals)
            .where(removals.c.free, removals.c.removed_at >= since)
            .order_by(removals.c.control.desc(), removals.c.serial.desc(), removals.c.qname)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            found = [_removal(row) for row in await connection.execute(newest)]
        last: dict[str, Removal] = {}
        for one in found:
            last.setdefault(one.qname, one)
        return [last[name] for name in sorted(last)]

    async def asked_unlisted(self, since: datetime, limit: int) -> list[str]:
        """Names that rounds drawn since then ask because they are not on the list."""
        drawn, held = rounds.c, questions.c
        wanted = (
            select(held.qname)
            .join(rounds, and_(drawn.operator_id == held.operator_id, drawn.round_id == held.round_id))
            .where(drawn.drawn_at >= since, held.arm.in_(ASKED_UNLISTED))
            .distinct()
            .order_by(held.qname)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return list((await connection.execute(wanted)).scalars())

    async def note_listed(self, found: Mapping[str, datetime], now: datetime) -> None:
        """Stores that names are listed, and since when."""
        if not found:
            return
        rows = [{"qname": name, "listed_at": at, "heard_at": now} for name, at in sorted(found.items())]
        async with self._engine.begin() as connection:
            await connection.execute(postgresql.insert(listings).on_conflict_do_nothing(), rows)

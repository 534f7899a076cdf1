"""What rails say of a proposal, when it comes in and again when somebody approves it, for those who decide.

Holds always: what was found is kept beside the proposal, whatever its proposer wrote; a rail that refuses does so at
any time; one that asks for a second approver and was found only now makes the proposal need two. What one person alone
approved and the list does not show yet counts with what is proposed, of the list and of each order, so that many small
changes are no way around.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ARRAY, Text, and_, any_, func, insert, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from blocklist_sync.central.diff import Change
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.guard import Guard, require
from blocklist_sync.central.rails.rails import Finding, RailError
from blocklist_sync.central.rails.screening import Pending, Screened
from blocklist_sync.central.registry.record import APPROVED, Record
from blocklist_sync.central.registry.spool import Stored
from blocklist_sync.central.registry.tables import (
    approvals,
    change_chunks,
    decisions,
    findings,
    order_changes,
    proposals,
)
from blocklist_sync.central.release.candidate import ReleaseFolder

AT_ONCE = 2
"""Long proposals that are weighed at the same time; others wait."""


class Weighing:
    """The rails beside the database."""

    def __init__(self, engine: AsyncEngine, guard: Guard, folder: ReleaseFolder) -> None:
        """Prepares to weigh.

        Args:
            engine: The database.
            guard: The rails, beside the list that the release folder has now.
            folder: The release folder.
        """
        self._engine = engine
        self._guard = guard
        self._folder = folder
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def screen(self, changes: Iterable[Change]) -> Screened:
        """Holds changes against the rails; read twice, so no iterator.

        Raises:
            CentralError: The list cannot be read.
        """
        async with self._turns:
            return await asyncio.to_thread(self._guard.screen, changes)

    async def screen_again(self, identifier: str) -> Screened:
        """Holds a stored proposal's changes against the rails and the list of now.

        Raises:
            CentralError: The list or the changes cannot be read.
        """
        with Stored() as stored:
            async with self._engine.connect() as connection:
                selected = select(change_chunks.c.deflated).where(change_chunks.c.proposal_id == identifier)
                async for deflated in await connection.stream_scalars(selected.order_by(change_chunks.c.position)):
                    stored.add(deflated)
            return await self.screen(stored)

    async def come_in(
        self, connection: AsyncConnection, held: Record, screened: Screened, now: datetime
    ) -> tuple[Finding, ...]:
        """Keeps what was found in a proposal that has just come in.

        Raises:
            RailError: A rail refuses, or asks for a second approver and is not overridden.
        """
        pending = await self._pending(connection, screened)
        found = require(screened.against(pending), {one.rail for one in held.proposal.rails})
        await _keep(connection, held, found, now)
        await _keep_counts(connection, held, screened)
        return tuple(found)

    async def approved(
        self, connection: AsyncConnection, held: Record, screened: Screened, now: datetime
    ) -> tuple[Finding, ...]:
        """Keeps what is found only now that somebody approves a proposal, in the transaction that decides.

        Raises:
            RailError: A rail refuses.
        """
        found = screened.against(await self._pending(connection, screened))
        if against := rails.refused(found):
            raise RailError(against)
        # Numbers change with the list; what was found once of a rail need not be found again.
        known = {(one.rail, one.severity) for one in held.findings}
        new = [one for one in found if (one.rail, one.severity) not in known]
        await _keep(connection, held, new, now)
        return tuple(new)

    async def _pending(self, connection: AsyncConnection, screened: Screened) -> Pending:
        candidate = await asyncio.to_thread(self._folder.candidate)
        length, as_of = (candidate.log_length, candidate.as_of) if candidate is not None else (0, 0)
        given = (
            select(func.count())
            .select_from(approvals)
            .where(approvals.c.proposal_id == proposals.c.id)
            .scalar_subquery()
        )
        waits = and_(
            decisions.c.outcome == APPROVED,
            or_(decisions.c.log_index > length, decisions.c.effect_at > as_of),
            given == 1,
        )
        selected = (
            select(func.coalesce(func.sum(proposals.c.added), 0), func.coalesce(func.sum(proposals.c.removed), 0))
            .join(decisions, decisions.c.proposal_id == proposals.c.id)
            .where(waits)
        )
        added, removed = (await connection.execute(selected)).one()
        lost = func.sum(order_changes.c.removed - order_changes.c.added)
        by_order = (
            select(order_changes.c.order_text, lost.label("lost"))
            .join(proposals, proposals.c.id == order_changes.c.proposal_id)
            .join(decisions, decisions.c.proposal_id == proposals.c.id)
            .where(waits, order_changes.c.order_text == any_(literal(list(screened.go), ARRAY(Text))))
            .group_by(order_changes.c.order_text)
        )
        rows = await connection.execute(by_order)
        return Pending(int(added), int(removed), {row.order_text: int(row.lost) for row in rows})


async def _keep_counts(connection: AsyncConnection, held: Record, screened: Screened) -> None:
    rows = [
        {
            "proposal_id": held.proposal.id,
            "order_text": order,
            "added": screened.come.get(order, 0),
            "removed": screened.go.get(order, 0),
        }
        for order in sorted({*screened.come, *screened.go})
    ]
    if rows:
        await connection.execute(insert(order_changes), rows)


async def _keep(connection: AsyncConnection, held: Record, found: Iterable[Finding], now: datetime) -> None:
    rows = [
        {
            "proposal_id": held.proposal.id,
            "position": position,
            "rail": one.rail,
            "severity": one.severity.value,
            "why": one.why,
            "total": one.count,
            "names": list(one.names),
            "found_at": now,
        }
        for position, one in enumerate(found, len(held.findings) + 1)
    ]
    if rows:
        await connection.execute(insert(findings), rows)

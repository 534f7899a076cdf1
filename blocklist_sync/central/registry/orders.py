"""Legal orders and their scans: registered once, never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from blocklist_sync.central.log.proposals import Order
from blocklist_sync.central.registry.errors import ConflictError, InvalidRequestError, NotFoundError
from blocklist_sync.central.registry.tables import approvals, decisions, orders, proposals, scans


@dataclass(frozen=True)
class Registered:
    """An order, and who registered it when."""

    order: Order
    added_by: str
    added_at: int


@dataclass(frozen=True)
class Approved:
    """A proposal that was approved."""

    step: int
    digest: bytes
    order: str
    effect_at: int
    decided_at: int
    signatures: list[tuple[bytes, bytes, int]]
    """Of each approver: SHA-256 of the key, the signature, and when it was made."""


class OrderStore:
    """The orders."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, order: Order, scan: bytes, person: str, now: datetime) -> Registered:
        """Registers an order; the same one again changes nothing.

        Raises:
            InvalidRequestError: The scan is not the one that the order names.
            ConflictError: The number is another order's.
        """
        digest = hashlib.sha256(scan).digest() if scan else None
        if scan and digest and digest.hex() != order.scan_sha256:
            raise InvalidRequestError([("scan", "not the document that scan_sha256 names")])
        async with self._engine.begin() as connection:
            if digest:
                row = {"sha256": digest, "content": scan, "added_by": person, "added_at": now}
                await connection.execute(postgresql.insert(scans).values(row).on_conflict_do_nothing())
            elif order.scan_sha256:
                await self._check_scan(connection, order.scan_sha256)
            row = {
                "number": order.number,
                "date": order.date,
                "issuer": order.issuer,
                "legal_basis": order.legal_basis,
                "urgency": order.urgency,
                "jurisdiction": order.jurisdiction,
                "mandated": bool(order.mandated),
                "scan_sha256": bytes.fromhex(order.scan_sha256) or None,
                "added_by": person,
                "added_at": now,
            }
            await connection.execute(postgresql.insert(orders).values(row).on_conflict_do_nothing())
            held = await find(connection, order.number)
        if held is None or held.order != order:
            raise ConflictError(f"{order.number} was registered before, and says otherwise; orders are never changed")
        return held

    @staticmethod
    async def _check_scan(connection: AsyncConnection, digest: str) -> None:
        known = await connection.scalar(select(scans.c.sha256).where(scans.c.sha256 == bytes.fromhex(digest)))
        if known is None:
            raise InvalidRequestError([("scan", "the document that scan_sha256 names was not sent")])

    async def get(self, number: str) -> Registered:
        """One order.

        Raises:
            NotFoundError: No order has the number.
        """
        async with self._engine.connect() as connection:
            held = await find(connection, number)
        if held is None:
            raise NotFoundError(f"no order {number}")
        return held

    async def page(self, after: str, size: int) -> Sequence[Registered]:
        """Orders by number, behind one of them."""
        column = orders.c.number.collate("C")
        selected = select(orders).where(column > after).order_by(column).limit(size)
        async with self._engine.connect() as connection:
            return [_registered(row) for row in await connection.execute(selected)]

    async def approved(self, after: int, size: int) -> Sequence[Approved]:
        """What was approved, in the order of the log, behind one of its steps."""
        own = (
            select(decisions.c.log_index, decisions.c.effect_at, decisions.c.decided_at, decisions.c.proposal_id)
            .where(decisions.c.log_index > after)
            .order_by(decisions.c.log_index)
            .limit(size)
            .subquery()
        )
        wanted = (
            select(own, proposals.c.digest, proposals.c.order_number)
            .add_columns(approvals.c.approver_key, approvals.c.signature, approvals.c.decided_at.label("signed_at"))
            .join(proposals, proposals.c.id == own.c.proposal_id)
            .join(approvals, approvals.c.proposal_id == own.c.proposal_id)
            .order_by(own.c.log_index, approvals.c.approver_key)
        )
        found: dict[int, Approved] = {}
        async with self._engine.connect() as connection:
            for row in await connection.execute(wanted):
                one = found.setdefault(
                    row.log_index,
                    Approved(
                        row.log_index, row.digest, row.order_number, row.effect_at, int(row.decided_at.timestamp()), []
                    ),
                )
                one.signatures.append((hashlib.sha256(row.approver_key).digest(), row.signature, row.signed_at))
        return list(found.values())

    async def scan(self, number: str) -> bytes:
        """An order's scanned document.

        Raises:
            NotFoundError: No order has the number, or it has no scan.
        """
        selected = select(scans.c.content).join(orders, orders.c.scan_sha256 == scans.c.sha256)
        async with self._engine.connect() as connection:
            content = await connection.scalar(selected.where(orders.c.number == number))
        if content is None:
            raise NotFoundError(f"no scan of an order {number}")
        return bytes(content)


async def find(connection: AsyncConnection, number: str) -> Registered | None:
    """An order by its number, if there is one."""
    row = (await connection.execute(select(orders).where(orders.c.number == number))).one_or_none()
    return _registered(row) if row is not None else None


def _registered(row: Row[Any]) -> Registered:
    order = Order(
        row.number,
        row.date,
        row.issuer,
        row.legal_basis,
        row.urgency,
        row.jurisdiction,
        int(row.mandated),
        row.scan_sha256.hex() if row.scan_sha256 else "",
    )
    return Registered(order, row.added_by, int(row.added_at.timestamp()))

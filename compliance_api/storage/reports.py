"""Reports in PostgreSQL: each exactly once, chained, at a place in the log.

Holds always: a node's reports are added under the lock of its chain head, and the head moves in the same transaction;
the log's next index is taken last in it, so that indices have no holes and the lock that orders all nodes is held
shortly; a number above the highest one used in its epoch is new, which the head knows, and any other is looked up in
every partition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.chain import Head, Relation, follow
from compliance_api.storage.ledger import NewLeaf, append
from compliance_api.storage.tables import chain_heads, reports, unverified_reports
from compliance_api.usecases.claim import Claim
from compliance_api.usecases.ingest import Logged
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind


@dataclass
class _Place:
    """Where a claim stands; a new one's index counts from 0 until the log has given the batch its indices."""

    index: int
    accepted_at: datetime
    relation: Relation | None


def _head(row: Row[Any]) -> Head | None:
    if row.digest is None:
        return None
    return Head(row.boot_epoch, row.previous_boot_epoch, row.sequence, row.digest, row.window_end)


def _ceiling(row: Row[Any]) -> tuple[bytes, int] | None:
    return (row.boot_epoch, row.top_sequence) if row.top_digest is not None and row.top_digest == row.digest else None


class _Batch:
    """One call's claims of one node, decided in order against what is stored. No I/O."""

    def __init__(
        self, operator: str, node: str, head: Head | None, ceiling: tuple[bytes, int] | None, now: datetime
    ) -> None:
        self._base = {"operator_id": operator, "node": node, "accepted_at": now}
        self._now = now
        self.head = head
        # The head's epoch, and the highest number that was ever used in it.
        self.ceiling = ceiling
        # By epoch and number, the reports that use it, the first one first.
        self.numbers: dict[tuple[bytes, int], dict[bytes, _Place]] = {}
        self.unverified: dict[tuple[bytes, bytes], _Place] = {}
        self.verified_rows: list[dict[str, Any]] = []
        self.unverified_rows: list[dict[str, Any]] = []
        self._new: list[tuple[_Place, dict[str, Any]]] = []

    def decide(self, claim: Claim) -> tuple[_Place, bool]:
        """Where the claim stands, and whether it stood there before."""
        return self._set_aside(claim) if claim.flaw else self._chain(claim)

    def is_certainly_new(self, claim: Claim) -> bool:
        """Whether nothing stored can have this claim's number."""
        link = claim.link
        return self.ceiling is not None and self.ceiling[0] == link.boot_epoch and self.ceiling[1] < link.sequence

    def highest(self, stored: int) -> int:
        """The highest number used in the head's epoch, those `stored` and the new claims included."""
        epoch = self.head.boot_epoch if self.head else b""
        used: list[int] = [row["sequence"] for row in self.verified_rows if row["boot_epoch"] == epoch]
        return max([stored, *used])

    @property
    def leaves(self) -> list[NewLeaf]:
        """What is to be entered into the ledger: a leaf for each claim that is new."""
        subject = f"{self._base['operator_id']}/{self._base['node']}"
        return [
            NewLeaf(
                Kind.UNVERIFIED_REPORT if place.relation is None else Kind.REPORT,
                signed(row["report"], row["signature"], row["key_id"]),
                subject,
            )
            for place, row in self._new
        ]

    def number_from(self, first: int) -> None:
        """Gives the new claims their indices in the log."""
        for place, row in self._new:
            place.index += first
            row["log_index"] = place.index

    def _add(self, relation: Relation | None, rows: list[dict[str, Any]], row: dict[str, Any]) -> _Place:
        place = _Place(len(self._new), self._now, relation)
        self._new.append((place, row))
        rows.append(row)
        return place

    def _signed(self, claim: Claim) -> dict[str, Any]:
        return {
            **self._base,
            "digest": claim.link.digest,
            "report": claim.report,
            "signature": claim.signature,
            "key_id": claim.key_id,
        }

    def _set_aside(self, claim: Claim) -> tuple[_Place, bool]:
        key = claim.link.digest, hashlib.sha256(claim.signature + claim.key_id).digest()
        if key in self.unverified:
            return self.unverified[key], True
        row = {**self._signed(claim), "signature_digest": key[1], "reason": claim.flaw}
        self.unverified[key] = self._add(None, self.unverified_rows, row)
        return self.unverified[key], False

    def _chain(self, claim: Claim) -> tuple[_Place, bool]:
        link = claim.link
        same_number = self.numbers.setdefault((link.boot_epoch, link.sequence), {})
        if link.digest in same_number:
            return same_number[link.digest], True
        rival = next(iter(same_number), None)
        if rival is not None:
            relation = Relation.EQUIVOCATION
        else:
            step = follow(self.head, link)
            self.head, relation = step.head, step.relation
        same_number[link.digest] = self._add(
            relation,
            self.verified_rows,
            {
                **self._signed(claim),
                "boot_epoch": link.boot_epoch,
                "sequence": link.sequence,
                "relation": relation,
                "rival": rival,
                "window_start": link.window_start,
                "window_seconds": link.window_seconds,
                "list_serial": claim.list_serial,
                "list_activated_at": claim.list_activated_at,
                "queries": claim.queries,
                "queries_measured": claim.queries_measured,
                "blocked": claim.blocked,
                "enforcing": claim.enforcing,
            },
        )
        return same_number[link.digest], False


class Reports:
    """The store that `compliance_api.usecases.ingest` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def enrol(self, nodes: Sequence[tuple[str, str]], now: datetime) -> None:
        """Notes since when each (operator, node) is known; those noted before stay as they are."""
        if not nodes:
            return
        rows = [{"operator_id": operator, "node": node, "enrolled_at": now} for operator, node in nodes]
        async with self._engine.begin() as connection:
            await connection.execute(postgresql.insert(chain_heads).on_conflict_do_nothing(), rows)

    async def add(self, operator: str, node: str, claims: Sequence[Claim], now: datetime) -> list[Logged]:
        """Stores each claim that is not there yet, all in one transaction, and says where each one stands."""
        own = (chain_heads.c.operator_id == operator) & (chain_heads.c.node == node)
        async with self._engine.begin() as connection:
            row = (await connection.execute(select(chain_heads).where(own).with_for_update())).one()
            batch = _Batch(operator, node, _head(row), _ceiling(row), now)
            await self._recall_verified(connection, batch, operator, node, claims)
            await self._recall_unverified(connection, batch, operator, node, claims)
            decided = [batch.decide(claim) for claim in claims]
            stored = await self._highest(connection, batch, operator, node)
            if leaves := batch.leaves:
                batch.number_from(await append(connection, leaves))
            if batch.unverified_rows:
                await connection.execute(insert(unverified_reports), batch.unverified_rows)
            if batch.verified_rows and batch.head is not None:
                await connection.execute(insert(reports), batch.verified_rows)
                first_window = row.first_window or batch.verified_rows[0]["window_start"]
                values = {
                    **vars(batch.head),
                    "first_window": first_window,
                    "top_digest": batch.head.digest,
                    "top_sequence": batch.highest(stored),
                }
                await connection.execute(update(chain_heads).where(own).values(values))
        return [Logged(place.index, place.accepted_at, place.relation, again) for place, again in decided]

    async def _highest(self, connection: AsyncConnection, batch: _Batch, operator: str, node: str) -> int:
        """The highest number stored in the epoch of the new head; 0 where there is none."""
        if batch.head is None:
            return 0
        if batch.ceiling is not None and batch.ceiling[0] == batch.head.boot_epoch:
            return batch.ceiling[1]
        kept = reports.c
        own = (kept.operator_id == operator, kept.node == node, kept.boot_epoch == batch.head.boot_epoch)
        highest: int | None = (await connection.execute(select(func.max(kept.sequence)).where(*own))).scalar_one()
        return highest or 0

    async def _recall_verified(
        self, connection: AsyncConnection, batch: _Batch, operator: str, node: str, claims: Sequence[Claim]
    ) -> None:
        """Reads what is stored already under the numbers of this call."""
        numbers = {
            (claim.link.boot_epoch, claim.link.sequence)
            for claim in claims
            if not claim.flaw and not batch.is_certainly_new(claim)
        }
        if not numbers:
            return
        kept = reports.c
        found = await connection.execute(
            select(kept.boot_epoch, kept.sequence, kept.digest, kept.log_index, kept.accepted_at, kept.relation)
            .where(kept.operator_id == operator, kept.node == node)
            .where(tuple_(kept.boot_epoch, kept.sequence).in_(numbers))
            .order_by(kept.log_index)
        )
        for row in found:
            place = _Place(row.log_index, row.accepted_at, Relation(row.relation))
            batch.numbers.setdefault((row.boot_epoch, row.sequence), {})[row.digest] = place

    async def _recall_unverified(
        self, connection: AsyncConnection, batch: _Batch, operator: str, node: str, claims: Sequence[Claim]
    ) -> None:
        """Reads which of this call's unverified reports are stored already."""
        digests = {claim.link.digest for claim in claims if claim.flaw}
        if not digests:
            return
        kept = unverified_reports.c
        found = await connection.execute(
            select(kept.digest, kept.signature_digest, kept.log_index, kept.accepted_at)
            .where(kept.operator_id == operator, kept.node == node)
            .where(kept.digest.in_(digests))
        )
        for row in found:
            batch.unverified[row.digest, row.signature_digest] = _Place(row.log_index, row.accepted_at, None)

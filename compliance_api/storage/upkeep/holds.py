"""Legal holds: what must be kept although its time is over, because somebody said so.

Holds always: a hold names who placed it and why, keeps either what a finding cites or everything of an operator within
a period, and is never deleted: whoever ends it is written beside it. Both are entered into the ledger.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.errors import ComplianceError
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.tables import findings, legal_holds
from lachan import canonical
from lachan.ledger.leaf import Kind

ID_BYTES = 16
MAX_TEXT = 500


@dataclass(frozen=True)
class Hold:
    """One hold, in force or ended."""

    operator: str
    # Lowercase hex.
    hold_id: str
    # Hex id of the finding whose evidence is kept; empty where a period is.
    finding: str
    period_start: datetime | None
    period_end: datetime | None
    reason: str
    placed_by: str
    placed_at: datetime
    released_by: str = ""
    release_reason: str = ""
    released_at: datetime | None = None

    def __post_init__(self) -> None:
        """Holds every field against its bound.

        Raises:
            ComplianceError: It keeps nothing, or does not say who wants that and why.
        """
        if bool(self.finding) == (self.period_start is not None):
            raise ComplianceError("a hold is of a finding or of a period")
        if self.period_start and (self.period_end is None or self.period_end <= self.period_start):
            raise ComplianceError("the period does not end after it begins")
        for name in ("reason", "placed_by"):
            if not 1 <= len(getattr(self, name)) <= MAX_TEXT:
                raise ComplianceError(f"{name}: 1 to {MAX_TEXT} characters")

    def canonical(self) -> bytes:
        """What the ledger commits to."""
        shown = {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }
        return canonical.encode(shown)

    def leaf(self) -> NewLeaf:
        """Its leaf in the ledger."""
        return NewLeaf(Kind.HOLD, self.canonical(), f"hold/{self.hold_id}")


class Holds:
    """The register of holds."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def place(
        self,
        operator: str,
        reason: str,
        by: str,
        now: datetime,
        *,
        finding: str = "",
        period: tuple[datetime, datetime] | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> Hold:
        """Places a hold.

        Args:
            operator: Whose reports and observations.
            reason: Why, in words.
            by: Who says so.
            now: The present.
            finding: Hex id of the finding whose evidence is to be kept, or
            period: from when to when everything is.
            entropy: Makes the hold's id.

        Raises:
            ComplianceError: A field is out of bounds, or there is no such finding.
        """
        start, end = period or (None, None)
        hold = Hold(operator, entropy(ID_BYTES).hex(), finding, start, end, reason, by, now)
        async with self._engine.begin() as connection:
            if finding:
                known = select(findings.c.finding_id).where(
                    findings.c.operator_id == operator, findings.c.finding_id == _bytes("finding", finding)
                )
                if (await connection.execute(known)).first() is None:
                    raise ComplianceError(f"{operator} has no finding {finding}")
            await connection.execute(
                insert(legal_holds).values(
                    operator_id=operator,
                    hold_id=bytes.fromhex(hold.hold_id),
                    finding_id=bytes.fromhex(finding) or None,
                    period_start=start,
                    period_end=end,
                    reason=reason,
                    placed_by=by,
                    placed_at=now,
                )
            )
            await append(connection, [hold.leaf()])
        return hold

    async def release(self, hold_id: str, reason: str, by: str, now: datetime) -> Hold:
        """Ends a hold; it stays in the register.

        Raises:
            ComplianceError: There is no such hold in force, or a field is out of bounds.
        """
        for name, value in (("reason", reason), ("by", by)):
            if not 1 <= len(value) <= MAX_TEXT:
                raise ComplianceError(f"{name}: 1 to {MAX_TEXT} characters")
        own = legal_holds.c.hold_id == _bytes("hold", hold_id), legal_holds.c.released_at.is_(None)
        async with self._engine.begin() as connection:
            ended = await connection.execute(
                update(legal_holds)
                .where(*own)
                .values(released_by=by, release_reason=reason, released_at=now)
                .returning(legal_holds)
            )
            row = ended.first()
            if row is None:
                raise ComplianceError(f"no hold {hold_id} is in force")
            hold = _hold(row)
            await append(connection, [hold.leaf()])
        return hold

    async def all(self) -> list[Hold]:
        """Every hold there ever was, the oldest first."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(legal_holds).order_by(legal_holds.c.placed_at))
            return [_hold(row) for row in rows]


def _bytes(what: str, value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise ComplianceError(f"{what}: {value!r} is not in hex") from error


def _hold(row: Any) -> Hold:
    return Hold(
        row.operator_id,
        row.hold_id.hex(),
        row.finding_id.hex() if row.finding_id else "",
        row.period_start,
        row.period_end,
        row.reason,
        row.placed_by,
        row.placed_at,
        row.released_by or "",
        row.release_reason or "",
        row.released_at,
    )

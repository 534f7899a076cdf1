"""Checks of lines in PostgreSQL: as signed, beside them what they say and whose line it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, insert, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.tables import line_checks
from compliance_api.usecases.probing.linecheck import CheckedLine
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind

# One at a time: what is there already is entered into the ledger by nobody again.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:line, 0))")


@dataclass(frozen=True)
class KnownLine:
    """The newest check of a line."""

    organisation: str
    probe: str
    vantage_point: str
    began_at: datetime
    received_at: datetime
    open: bool
    states: Mapping[str, str]


class StoredLineChecks:
    """The store that `compliance_api.usecases.probing.linecheck` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, checked: CheckedLine) -> bool:
        """Stores a check and enters it into the ledger, unless it is stored; whether it did."""
        line = f"line_check/{checked.organisation}/{checked.probe.name}"
        kept = line_checks.c
        own = and_(kept.organisation == checked.organisation, kept.probe == checked.probe.name)
        async with self._engine.begin() as connection:
            await connection.execute(_LOCK, {"line": line})
            there = await connection.execute(select(kept.digest).where(own, kept.digest == checked.digest))
            if there.first() is not None:
                return False
            content = signed(checked.check, checked.signature, checked.key_id)
            index = await append(connection, [NewLeaf(Kind.LINE_CHECK, content, line)])
            row = {
                "organisation": checked.organisation,
                "probe": checked.probe.name,
                "digest": checked.digest,
                "vantage_point": checked.probe.vantage_point,
                "began_at": checked.began_at,
                "received_at": checked.received_at,
                "open": checked.open,
                "states": dict(checked.states),
                "log_index": index,
            }
            await connection.execute(insert(line_checks), [row])
        return True

    async def newest(self) -> list[KnownLine]:
        """The newest check of each line."""
        kept = line_checks.c
        wanted = (
            select(line_checks)
            .order_by(kept.organisation, kept.probe, kept.received_at.desc(), kept.digest)
            .ext(postgresql.distinct_on(kept.organisation, kept.probe))
        )
        async with self._engine.connect() as connection:
            return [
                KnownLine(
                    row.organisation,
                    row.probe,
                    row.vantage_point,
                    row.began_at,
                    row.received_at,
                    row.open,
                    row.states,
                )
                for row in await connection.execute(wanted)
            ]

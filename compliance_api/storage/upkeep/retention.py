"""Drops what is due, and keeps of it what a hold or an open finding needs.

Holds always: a span of a table goes whole, with what must be kept of it moved aside in the same transaction; a report
goes only once its hours are summed; what an open finding cites and what a hold covers is not dropped; of what is gone,
the ledger keeps the commitment and loses the salt, so that nobody can guess what it was and every proof still holds.
Whoever is killed at any step goes on from there at the next run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, func, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.findings.finding import EvidenceKind
from compliance_api.errors import BusyError
from compliance_api.storage.reports.rollups import mark
from compliance_api.storage.tables import (
    egress_sightings,
    finding_citations,
    finding_steps,
    findings,
    legal_holds,
    unverified_reports,
    upkeep_marks,
)
from compliance_api.storage.upkeep.partitions import (
    OBSERVATIONS,
    REPORTS,
    Divided,
    Span,
    take_out,
)

BATCH = 5_000
"""Rows that one transaction deletes, or whose salts it erases."""

_HELD = (
    "EXISTS (SELECT FROM legal_holds hold WHERE hold.released_at IS NULL AND hold.operator_id = old.operator_id"
    " AND old.{column} >= hold.period_start AND old.{column} < hold.period_end)"
)
_CITED = {
    "reports": "old.digest = ANY(:digests)",
    "unverified_reports": "old.digest = ANY(:digests)",
    "observations": "old.assignment_id = ANY(CAST(:sessions AS bytea[]))",
}
# Rows of the default partitions that are due: of a clock that is wrong, once they were taken long enough ago.
_DUE = {
    "reports": "old.accepted_at < :before AND (old.window_start < :before OR old.window_start > :now)",
    "observations": "old.received_at < :before AND (old.asked_at < :before OR old.asked_at > :now)",
    "hourly_rollups": "old.hour < :before OR old.hour > :now",
    "unverified_reports": "old.accepted_at < :before",
    "egress_sightings": "old.seen_at < :before",
}
_WITHOUT_LEAF = frozenset({"hourly_rollups", "egress_sightings"})

SWEPT = {unverified_reports: "accepted_at", egress_sightings: "seen_at"}
"""Tables that lie in no spans of time, for they are small, and the time by which their rows are due."""


class NotSummedError(BusyError):
    """A report came in for a span that was about to go: the next run sums it first."""


@dataclass(frozen=True)
class Cited:
    """What open findings, and those under a hold, rest on."""

    # SHA-256 of reports.
    digests: tuple[bytes, ...] = ()
    # Assignments of observations: of a session all is kept, for what stood beside an answer belongs to it.
    sessions: tuple[bytes, ...] = ()

    def values(self, table: str) -> dict[str, Any]:
        """The values for a table's part of `_CITED`."""
        if table == "observations":
            return {"sessions": list(self.sessions)}
        return {"digests": list(self.digests)} if table in _CITED else {}


async def cited(connection: AsyncConnection) -> Cited:
    """What must be kept for findings now."""
    held = select(legal_holds.c.finding_id).where(
        legal_holds.c.operator_id == findings.c.operator_id,
        legal_holds.c.finding_id == findings.c.finding_id,
        legal_holds.c.released_at.is_(None),
    )
    own = finding_steps.c.operator_id == findings.c.operator_id, finding_steps.c.finding_id == findings.c.finding_id
    turn = select(finding_steps.c.next_unit).where(*own).order_by(finding_steps.c.position.desc()).limit(1)
    # Open while it is found, or while it is somebody's turn: an operator may answer what is not found any more.
    is_open = findings.c.closed_at.is_(None) | turn.scalar_subquery().is_not(None)
    kept = is_open | held.exists()
    # What it cites now stands in its row; a release before kept nothing else.
    pieces = [
        (str(one["kind"]), str(one["reference"]))
        for evidence in (await connection.execute(select(findings.c.evidence).where(kept))).scalars()
        for one in evidence
    ]
    ever = finding_citations.c
    before = select(ever.kind, ever.reference).join(
        findings, (findings.c.operator_id == ever.operator_id) & (findings.c.finding_id == ever.finding_id)
    )
    pieces += [(row.kind, row.reference) for row in await connection.execute(before.where(kept))]
    digests, sessions = set(), set()
    for kind, reference in pieces:
        if kind in {EvidenceKind.REPORT, EvidenceKind.UNVERIFIED_REPORT}:
            digests.add(bytes.fromhex(reference))
        elif kind == EvidenceKind.OBSERVATION:
            sessions.add(bytes.fromhex(reference.partition("/")[0]))
    return Cited(tuple(sorted(digests)), tuple(sorted(sessions)))


def _kept(table: str, column: str) -> str:
    """The condition on a row `old` that it must be kept."""
    held = _HELD.format(column=column)
    return f"({_CITED[table]} OR {held})" if table in _CITED else f"({held})"


async def retire(connection: AsyncConnection, divided: Divided, span: Span) -> int:
    """Takes a span out of its table and moves what must be kept into the default partition.

    In a transaction of the caller: all of it happens, or nothing.

    Returns:
        How many rows were kept.

    Raises:
        NotSummedError: A report in it is not in the sums yet.
    """
    await take_out(connection, divided, span)
    if divided is REPORTS:
        newest: int | None = (
            await connection.execute(text(f"SELECT max(log_index) FROM {span.name}"))  # noqa: S608 - a name of ours
        ).scalar_one()
        if newest is not None and newest >= await mark(connection):
            raise NotSummedError(f"{span.name} holds a report that is not in the sums yet")
    columns = ", ".join(column.name for column in divided.table.columns)
    kept = await connection.execute(
        text(
            f"WITH kept AS (DELETE FROM {span.name} old"  # noqa: S608 - names of ours
            f" WHERE {_kept(divided.name, divided.column)} RETURNING {columns})"
            f" INSERT INTO {divided.name} ({columns}) SELECT {columns} FROM kept"
        ),
        (await cited(connection)).values(divided.name),
    )
    new = postgresql.insert(upkeep_marks).values(name=divided.name, before=span.end)
    before = func.greatest(upkeep_marks.c.before, new.excluded.before)
    await connection.execute(new.on_conflict_do_update(index_elements=["name"], set_={"before": before}))
    return kept.rowcount


async def erase(connection: AsyncConnection, divided: Divided, span: Span, after: int) -> int | None:
    """Erases the salts of the next leaves whose rows lie in a span that was taken out.

    Args:
        connection: In a transaction of the caller.
        divided: The table that it was of.
        span: Taken out.
        after: The highest index that is done.

    Returns:
        The highest index that is done now; None once all are.
    """
    if divided not in {REPORTS, OBSERVATIONS}:
        return None
    erased = await connection.execute(
        text(
            f"WITH next AS (SELECT log_index FROM {span.name} WHERE log_index > :after"  # noqa: S608 - names of ours
            f" ORDER BY log_index LIMIT {BATCH}),"
            " gone AS (UPDATE ledger_leaves SET salt = NULL, content = NULL"
            " WHERE log_index IN (SELECT log_index FROM next))"
            " SELECT max(log_index) FROM next"
        ),
        {"after": after},
    )
    highest: int | None = erased.scalar_one()
    return highest


async def sweep(connection: AsyncConnection, divided: Divided, before: datetime, now: datetime) -> int:
    """Deletes the next rows that are due and lie in no span, their salts with them; 0 where there are none."""
    return await _delete(connection, f"{divided.name}_default", divided.name, divided.column, before, now)


async def sweep_table(connection: AsyncConnection, table: Table, before: datetime, now: datetime) -> int:
    """Deletes the next rows that are due of a table of `SWEPT`; 0 where there are none."""
    return await _delete(connection, table.name, table.name, SWEPT[table], before, now)


async def _delete(
    connection: AsyncConnection, place: str, table: str, column: str, before: datetime, now: datetime
) -> int:
    leaf = table not in _WITHOUT_LEAF
    erase_salts = (
        ", gone AS (UPDATE ledger_leaves SET salt = NULL, content = NULL"
        " WHERE log_index IN (SELECT log_index FROM due))"
    )
    done = await connection.execute(
        text(
            f"WITH due AS (DELETE FROM {place} WHERE ctid IN"  # noqa: S608 - names of ours
            f" (SELECT ctid FROM {place} old WHERE ({_DUE[table]}) AND NOT {_kept(table, column)} LIMIT {BATCH})"
            f" RETURNING {'log_index' if leaf else column}){erase_salts if leaf else ''} SELECT count(*) FROM due"
        ),
        {"before": before, "now": now, **(await cited(connection)).values(table)},
    )
    count: int = done.scalar_one()
    return count

"""The steps of findings in PostgreSQL.

Holds always: a step is decided under the lock of its finding and stored with its leaf in the ledger, in one
transaction; steps are only ever added; a finding's procedure is that of the law in force when it was opened, as it was
known then, whatever came into force since.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.findings.casework import Deed, Matter, State, Step, take
from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.findings.procedure import Procedure
from compliance_api.domain.law.law import LawError
from compliance_api.domain.law.law_history import LawHistory
from compliance_api.domain.parties.organisation import Label
from compliance_api.errors import NotFoundError
from compliance_api.ledger.statement import digest
from compliance_api.storage.findings import finding_versions as versions
from compliance_api.storage.findings.listing import listing
from compliance_api.storage.findings.rows import CASE_COLUMNS, case_of, step_of
from compliance_api.storage.judging import laws
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.packs import redacted
from compliance_api.storage.tables import finding_steps, findings, ledger_leaves
from compliance_api.usecases.findings.casework import Detail, FindingCase, Listing, Taken
from lachan import canonical
from lachan.ledger.leaf import Kind

MAX_FINDINGS = 1000
ID_BYTES = 16


class UnknownFindingError(NotFoundError):
    """There is no finding under that id."""


def leaf(finding: Mapping[str, Any], step: Step) -> NewLeaf:
    """What the ledger is told: the step, and of an opening what was found."""
    document = {**versions.about(finding), "step": step.document()}
    if step.state is State.OPEN:
        document |= versions.said(finding)
    return NewLeaf(Kind.FINDING, canonical.encode(document), f"finding/{document['finding']}")


async def enter(connection: AsyncConnection, new: Sequence[tuple[Mapping[str, Any], Step]]) -> int:
    """Stores steps with their leaves; the last thing in the caller's transaction.

    Args:
        connection: In a transaction.
        new: Rows of `findings`, each with its step.

    Returns:
        The index of the first one's leaf.
    """
    if not new:
        return 0
    first = await append(connection, [leaf(finding, step) for finding, step in new])
    await connection.execute(
        insert(finding_steps),
        [
            {
                "operator_id": finding["operator_id"],
                "finding_id": finding["finding_id"],
                **{name: value for name, value in vars(step).items() if name != "order_leaf"},
                "state": step.state.value,
                "log_index": first + number,
            }
            for number, (finding, step) in enumerate(new)
        ],
    )
    opened = [(finding, 1, first + number) for number, (finding, step) in enumerate(new) if step.state is State.OPEN]
    await versions.keep(connection, opened)
    return first


def _procedure(history: LawHistory, row: Row[Any]) -> Procedure:
    """Of the law that the finding was opened by, as it was known then.

    The law that it is measured by may be an older one, and another one once it has gone on for long enough.
    """
    try:
        return history.in_force(row.jurisdiction, row.opened_at, row.opened_at)[1].procedure
    except LawError:
        # Opened by a release that knew the law by its files alone.
        known = [one.law for one in history.versions if one.name == row.law and one.law is not None]
        return known[-1].procedure if known else Procedure()


class Casework:
    """Keeps what is done about findings."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def cases(self, operators: Sequence[str] | None = None) -> list[FindingCase]:
        """The findings that accuse, the newest first; of these operators, or of all."""
        wanted = select(*CASE_COLUMNS).where(findings.c.kind.in_([kind for kind in FindingKind if kind.accuses]))
        if operators is not None:
            wanted = wanted.where(findings.c.operator_id.in_(operators))
        wanted = wanted.order_by(findings.c.opened_at.desc(), findings.c.finding_id).limit(MAX_FINDINGS)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
            steps = await _steps(connection, [(row.operator_id, row.finding_id) for row in rows])
        return [case_of(row, steps.get(row.finding_id, ())) for row in rows]

    async def listing(self, now: datetime) -> Listing:
        """The findings that accuse, as a list shows them."""
        async with self._engine.connect() as connection:
            return await listing(connection, now)

    async def case(self, identifier: str) -> FindingCase | None:
        """One finding with its history; None where there is none under that id."""
        async with self._engine.connect() as connection:
            row = await _row(connection, identifier)
            if row is None:
                return None
            steps = await _steps(connection, [(row.operator_id, row.finding_id)])
        return case_of(row, steps.get(row.finding_id, ()))

    async def detail(self, identifier: str) -> Detail | None:
        """One finding as an operator may see it: nothing of it leads to a probe or to a name that is asked."""
        async with self._engine.connect() as connection:
            row = await _row(connection, identifier)
            if row is None:
                return None
            steps = (await _steps(connection, [(row.operator_id, row.finding_id)])).get(row.finding_id, [])
            return Detail(
                case_of(row, steps),
                await _head(connection, row, steps),
                Label(row.citation_vi, row.citation_en),
                redacted.cited(row.evidence),
                await redacted.seen(connection, row),
            )

    async def overdue(self, now: datetime) -> Mapping[str, int]:
        """How many findings wait for a unit, or an operator, whose time is over."""
        kept = finding_steps.c
        last = (
            select(kept.next_unit, kept.due_at)
            .order_by(kept.operator_id, kept.finding_id, kept.position.desc())
            .ext(postgresql.distinct_on(kept.operator_id, kept.finding_id))
            .subquery()
        )
        late = (
            select(last.c.next_unit, func.count().label("late")).where(last.c.due_at < now).group_by(last.c.next_unit)
        )
        async with self._engine.connect() as connection:
            return {row.next_unit: row.late for row in await connection.execute(late)}

    async def take(self, identifier: str, deed: Deed, now: datetime) -> Taken:
        """Takes a step.

        Raises:
            UnknownFindingError: There is no such finding.
            StepError: It may not be taken.
        """
        async with self._engine.begin() as connection:
            row = await _row(connection, identifier, lock=True)
            if row is None:
                raise UnknownFindingError(f"there is no finding {identifier}")
            before = (await _steps(connection, [(row.operator_id, row.finding_id)])).get(row.finding_id, [])
            procedure = _procedure(await laws.history(connection), row)
            head = await _head(connection, row, before)
            matter = Matter(row.operator_id, procedure, before, row.closed_at is None, head)
            step = take(matter, deed, now)
            if step.order_number:
                told = await _orders(connection, {step.order_number})
                step = replace(step, order_leaf=max(told.get(step.order_number, ()), default=None))
            finding = dict(zip(row._fields, row, strict=True))
            # The step is taken about what the finding says now.
            await versions.renew(connection, [finding], timedelta(0))
            index = await enter(connection, [(finding, step)])
        return Taken(case_of(row, [*before, step]), index)


async def _row(connection: AsyncConnection, identifier: str, *, lock: bool = False) -> Row[Any] | None:
    try:
        key = bytes.fromhex(identifier)
    except ValueError:
        return None
    wanted = select(findings).where(findings.c.finding_id == key)
    return (await connection.execute(wanted.with_for_update() if lock else wanted)).first()


async def _head(connection: AsyncConnection, row: Row[Any], steps: Sequence[Step]) -> str:
    """SHA-256 of what the ledger holds of the last step."""
    if not steps:
        return ""
    kept = finding_steps.c
    last = select(kept.log_index).where(
        kept.operator_id == row.operator_id, kept.finding_id == row.finding_id, kept.position == steps[-1].position
    )
    index = (await connection.execute(last)).scalar_one()
    own = select(ledger_leaves.c.content).where(ledger_leaves.c.log_index == index)
    return digest((await connection.execute(own)).scalar_one() or b"")


async def _steps(connection: AsyncConnection, keys: Sequence[tuple[str, bytes]]) -> dict[bytes, list[Step]]:
    found: dict[bytes, list[Step]] = {}
    if not keys:
        return found
    kept = finding_steps.c
    wanted = (
        select(finding_steps)
        .where(kept.operator_id.in_({key[0] for key in keys}), kept.finding_id.in_([key[1] for key in keys]))
        .order_by(kept.finding_id, kept.position)
    )
    rows = (await connection.execute(wanted)).all()
    orders = await _orders(connection, {row.order_number for row in rows if row.order_number})
    for row in rows:
        told = (one for one in orders.get(row.order_number, ()) if one < row.log_index)
        found.setdefault(row.finding_id, []).append(replace(step_of(row), order_leaf=max(told, default=None)))
    return found


async def _orders(connection: AsyncConnection, numbers: Collection[str]) -> dict[str, list[int]]:
    """The leaves by which the list's registry told of these orders, by number."""
    found: dict[str, list[int]] = {}
    if not numbers:
        return found
    kept = ledger_leaves.c
    subjects = {f"order/{number}": number for number in numbers}
    wanted = select(kept.subject, kept.log_index).where(kept.kind == Kind.ORDER, kept.subject.in_(subjects))
    for row in await connection.execute(wanted):
        found.setdefault(subjects[row.subject], []).append(row.log_index)
    return found

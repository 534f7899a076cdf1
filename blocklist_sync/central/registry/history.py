"""What happened to a name, what is due for review, what is late: questions about history, answered from it.

Holds always: nothing that was approved is left out, whatever became of it since; answers are bounded and say where
there is more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Select, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from blocklist_sync.central.entries import Kind, parse_kind
from blocklist_sync.central.registry import orders as registered
from blocklist_sync.central.registry import record, signatures
from blocklist_sync.central.registry.orders import Registered
from blocklist_sync.central.registry.record import APPROVED, WITHDRAWN, Record
from blocklist_sync.central.registry.releases import Released
from blocklist_sync.central.registry.remains import Remains
from blocklist_sync.central.registry.signatures import Signed
from blocklist_sync.central.registry.spool import inflate
from blocklist_sync.central.registry.stages import Course, Haste, Stage, StagePlans, haste_of, stages, unproposed
from blocklist_sync.central.registry.tables import change_chunks, decisions, orders, proposals

MAX_EVENTS = 1000
MAX_LATE = 1000
MAX_CHUNKS = 20_000


@dataclass(frozen=True)
class Told:
    """A proposal with what became of it outside the registry."""

    record: Record
    ordered_at: int
    serial: int
    published_at: int
    stages: Sequence[Stage]


@dataclass(frozen=True)
class Event:
    """One change of one entry."""

    name: str
    kind: Kind
    added: bool
    told: Told
    order: Registered


@dataclass(frozen=True)
class Late:
    """One stage that should be over; `proposal_id` is empty while nothing is proposed."""

    order_number: str
    proposal_id: str
    stage: Stage


Counted = TypeVar("Counted", Released, Signed)


def first_with(releases: Sequence[Counted], found: Record) -> Counted | None:
    """The first of some releases, signed or published, that a proposal counts in."""
    outcome = found.outcome
    if outcome is None or not outcome.log_index:
        return None
    return next(
        (one for one in releases if one.log_length >= outcome.log_index and one.as_of >= outcome.effect_at), None
    )


def tell(
    found: Record, ordered_at: int, releases: Sequence[Released], signed: Sequence[Signed], plans: StagePlans
) -> Told:
    """A record with its release and its stages.

    Args:
        found: The record.
        ordered_at: When its order was registered.
        releases: What was published, oldest first.
        signed: What was signed, oldest first.
        plans: Who answers for what, and how long it may take.
    """
    release, signing = first_with(releases, found), first_with(signed, found)
    outcome = found.outcome
    course = Course(
        haste=_haste(found),
        ordered_at=ordered_at,
        proposed_at=found.added_at,
        decided_at=outcome.decided_at if outcome else 0,
        approved=found.state == APPROVED,
        effect_at=outcome.effect_at if outcome else 0,
        # What was published was signed before, whatever came of a later candidate.
        signed_at=min(signing.at, release.published_at if release else signing.at) if signing else 0,
        published_at=release.published_at if release else 0,
        review_by=found.next_review_by if found.proposal.added else 0,
    )
    return Told(
        found,
        ordered_at,
        release.serial if release else 0,
        release.published_at if release else 0,
        stages(course, plans),
    )


def _haste(found: Record) -> Haste:
    if not found.proposal.added or found.lifts:
        return "unblock"
    return haste_of(found.proposal.order.urgency)


def with_parents(name: str) -> list[str]:
    """A name and every name above it that a rule could stand on."""
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(len(labels) - 1)]


class History:
    """Answers from what was kept."""

    def __init__(self, engine: AsyncEngine, plans: StagePlans, remains: Remains) -> None:
        self._engine = engine
        self._plans = plans
        self._remains = remains

    async def told(self, found: Record, releases: Sequence[Released]) -> Told:
        """A proposal with everything that became of it."""
        async with self._engine.connect() as connection:
            return await self._tell(connection, found, releases, await signatures.signed(connection))

    async def _tell(
        self, connection: AsyncConnection, found: Record, releases: Sequence[Released], signed: Sequence[Signed]
    ) -> Told:
        order = await registered.find(connection, found.proposal.order.number)
        return tell(found, order.added_at if order else found.added_at, releases, signed, self._plans)

    async def explain(self, name: str, releases: Sequence[Released]) -> tuple[list[Event], bool]:
        """Every change of a name and of the names above it, oldest first, and whether there are more.

        Args:
            name: In canonical form.
            releases: What was published, oldest first.
        """
        wanted = with_parents(name)
        events: list[Event] = []
        async with self._engine.connect() as connection:
            lines, more = await _lines(connection, wanted)
            signed = await signatures.signed(connection)
            ids = {identifier for identifier, *_ in lines}
            found = await record.load(connection, record.query()[0].where(proposals.c.id.in_(ids)))
            records = {one.proposal.id: one for one in found}
            for identifier, owner, kind, added in lines:
                one = records[identifier]
                order = await registered.find(connection, one.proposal.order.number)
                if order is not None:
                    told = tell(one, order.added_at, releases, signed, self._plans)
                    events.append(Event(owner, kind, added, told, order))
        events.sort(key=lambda event: (event.told.record.number, -event.name.count("."), event.name))
        return events[:MAX_EVENTS], more or len(events) > MAX_EVENTS

    async def due(
        self, by: int, after: tuple[int, int] | None, size: int, releases: Sequence[Released]
    ) -> list[Record]:
        """Approved proposals whose entries are due for review by a moment, those due first in front.

        Those of which nothing stands any more are left out.

        Args:
            by: Seconds since 1970 UTC.
            after: The date and number that the page before ended with.
            size: Of the page.
            releases: What was published, oldest first.
        """
        page: list[Record] = []
        async with self._engine.connect() as connection:
            while len(page) < size:
                found = await record.load(connection, _due(by, after).limit(size))
                page += [one for one in found if await self._stands(connection, one, releases)]
                if len(found) < size:
                    break
                after = (found[-1].next_review_by, found[-1].number)
        return page[:size]

    async def _stands(self, connection: AsyncConnection, found: Record, releases: Sequence[Released]) -> bool:
        """Whether there is something to review, or to publish before."""
        return first_with(releases, found) is None or await self._remains.of(connection, found)

    async def overdue(self, now: int, releases: Sequence[Released]) -> tuple[list[Late], bool]:
        """What is late, and who answers for it; the one that is late longest in front; and whether there is more."""
        late: list[Late] = []
        async with self._engine.connect() as connection:
            for row in await connection.execute(_without_proposal()):
                number, urgency, added_at = row
                stage = unproposed(int(added_at.timestamp()), haste_of(urgency), self._plans)
                late += [Late(number, "", stage)] if stage.overdue(now) else []
            selected = self._unfinished(now, releases)
            found = await record.load(connection, selected.limit(MAX_LATE + 1))
            signed = await signatures.signed(connection)
            for one in found:
                told = await self._tell(connection, one, releases, signed)
                waiting = [stage for stage in told.stages if stage.overdue(now)]
                if any(stage.name == "review" for stage in waiting) and not await self._remains.of(connection, one):
                    waiting = [stage for stage in waiting if stage.name != "review"]
                late += [Late(one.proposal.order.number, one.proposal.id, stage) for stage in waiting]
        late.sort(key=lambda one: (one.stage.due_at, one.order_number, one.proposal_id))
        return late[:MAX_LATE], len(late) > MAX_LATE or len(found) > MAX_LATE

    def _unfinished(self, now: int, releases: Sequence[Released]) -> Select[Any]:
        """Proposals of which a stage may be open: undecided, approved and unpublished, or due for review."""
        selected, last = record.query()
        length = releases[-1].log_length if releases else 0
        as_of = releases[-1].as_of if releases else 0
        unpublished = or_(decisions.c.log_index > length, decisions.c.effect_at > as_of)
        date = func.coalesce(last.next_review_by, proposals.c.review_by)
        due = and_(decisions.c.outcome == APPROVED, proposals.c.added > 0, date <= now)
        reviewed = func.coalesce(and_(last.position.is_not(None), last.next_review_by.is_(None)), False)
        open_stage = or_(
            decisions.c.outcome.is_(None), and_(decisions.c.outcome == APPROVED, unpublished), and_(due, ~reviewed)
        )
        return selected.where(open_stage).order_by(proposals.c.number)


def _due(by: int, after: tuple[int, int] | None) -> Select[Any]:
    """Approved proposals that are due by a moment, behind one of them."""
    selected, last = record.query()
    date = func.coalesce(last.next_review_by, proposals.c.review_by)
    for_good = and_(last.position.is_not(None), last.next_review_by.is_(None))
    selected = selected.where(
        decisions.c.outcome == APPROVED, proposals.c.added > 0, ~func.coalesce(for_good, False), date <= by
    )
    if after is not None:
        selected = selected.where(tuple_(date, proposals.c.number) > tuple_(*after))
    return selected.order_by(date, proposals.c.number)


def _without_proposal() -> Select[Any]:
    """Orders that nobody carries out: what was withdrawn was decided by nobody."""
    proposed = (
        select(proposals.c.order_number)
        .outerjoin(decisions, decisions.c.proposal_id == proposals.c.id)
        .where(func.coalesce(decisions.c.outcome, "") != WITHDRAWN)
        .distinct()
    )
    return (
        select(orders.c.number, orders.c.urgency, orders.c.added_at)
        .where(orders.c.number.not_in(proposed))
        .order_by(orders.c.added_at)
        .limit(MAX_LATE + 1)
    )


async def _lines(connection: AsyncConnection, wanted: Sequence[str]) -> tuple[list[tuple[str, str, Kind, bool]], bool]:
    """Every line of every proposal's changes that names one of these; and whether too many had to be looked at."""
    spans = [and_(change_chunks.c.first_name <= name, change_chunks.c.last_name >= name) for name in wanted]
    selected = select(change_chunks.c.proposal_id, change_chunks.c.deflated).where(or_(*spans))
    rows = await connection.stream(selected.order_by(change_chunks.c.proposal_id).limit(MAX_CHUNKS + 1))
    lines: list[tuple[str, str, int, bool]] = []
    looked_at = 0
    async for row in rows:
        looked_at += 1
        text = "\n" + inflate(row.deflated).decode("ascii")
        for name in wanted:
            at = text.find(f"\n{name}\t")
            while at >= 0:
                _, number, sign = text[at + 1 : text.index("\n", at + 1)].split("\t")
                lines.append((row.proposal_id, name, int(number), sign == "+"))
                at = text.find(f"\n{name}\t", at + 1)
    kinds = await _kinds(connection, {line[0] for line in lines})
    return [(one, name, kinds[one][number], added) for one, name, number, added in lines], looked_at > MAX_CHUNKS


async def _kinds(connection: AsyncConnection, ids: set[str]) -> dict[str, list[Kind]]:
    """The table of kinds of each proposal's changes."""
    selected = select(change_chunks.c.proposal_id, change_chunks.c.deflated).where(
        change_chunks.c.proposal_id.in_(ids), change_chunks.c.position == 0
    )
    heads = (await connection.execute(selected)).all() if ids else []
    return {row.proposal_id: [parse_kind(line) for line in _head(row.deflated)] for row in heads}


def _head(deflated: bytes) -> list[str]:
    return inflate(deflated).decode().split("\n")[1:-1]

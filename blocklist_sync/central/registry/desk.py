"""The desk: proposals come in, are approved, rejected, withdrawn and reviewed.

Holds always: a proposal is there whole or not at all; whoever signed it was enrolled and whoever approves it is another
with another key (said here, by the table's constraint, and by the log's verifier); it is decided once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import insert, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from blocklist_sync.central.log import approvals as chain
from blocklist_sync.central.log import keys, verifier
from blocklist_sync.central.log import proposals as headers
from blocklist_sync.central.log.approvals import Approval, Person
from blocklist_sync.central.log.changes import Summary
from blocklist_sync.central.log.proposals import MAX_TEXT_CHARACTERS, Proposal, ProposalError
from blocklist_sync.central.registry import orders, record
from blocklist_sync.central.registry.book import Book
from blocklist_sync.central.registry.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
)
from blocklist_sync.central.registry.record import APPROVED, PROPOSED, REJECTED, WITHDRAWN, Record
from blocklist_sync.central.registry.releases import Released
from blocklist_sync.central.registry.spool import Spool
from blocklist_sync.central.registry.tables import approvals, change_chunks, decisions, proposals, reviews
from blocklist_sync.central.registry.weighing import Weighing

CLOCK_SECONDS = 300
"""How far a person's clock may be ahead of this one, or, for what they decide, behind it."""
MAX_REVIEW_SECONDS = 3 * 366 * 86_400

MAX_HEADER_BYTES = 1 << 15
"""So that it fits a step of the log with all the approvals that it may get."""

Clock = Callable[[], datetime]


class Desk:
    """Takes what people do."""

    def __init__(self, engine: AsyncEngine, book: Book, weighing: Weighing, clock: Clock) -> None:
        self._engine = engine
        self._book = book
        self._weighing = weighing
        self._clock = clock

    async def check(self, data: bytes, signature: bytes, person: Person) -> Proposal:
        """Whether a header may be submitted by a person, before its changes are taken.

        Raises:
            InvalidRequestError: A field of it is wrong.
            NotPermittedError: The person is no editor, or did not sign it.
        """
        if len(data) > MAX_HEADER_BYTES:
            raise InvalidRequestError([("header", f"longer than {MAX_HEADER_BYTES} bytes")])
        try:
            proposal = headers.parse(data)
        except ProposalError as error:
            raise InvalidRequestError([(f"header.{error.field}", error.reason)]) from error
        if proposal.proposer != person.id:
            raise NotPermittedError(f"proposed in the name of {proposal.proposer}, not of {person.id}")
        if "editor" not in person.roles:
            raise NotPermittedError(f"{person.id} is no editor")
        if not keys.holds(person.key, headers.PROPOSAL, proposal.digest, signature):
            raise InvalidRequestError([("signature", f"not {person.id}'s under this header")])
        now = int(self._clock().timestamp())
        if not now - 86_400 <= proposal.proposed_at <= now + CLOCK_SECONDS:
            raise InvalidRequestError([("header.proposed_at", "not within the last day, by the registry's clock")])
        if proposal.review_by > now + MAX_REVIEW_SECONDS:
            raise InvalidRequestError([("header.review_by", "in more than three years")])
        async with self._engine.connect() as connection:
            held = await orders.find(connection, proposal.order.number)
        if held is None:
            raise InvalidRequestError([("header.order.number", "no such order is registered")])
        if held.order != proposal.order:
            raise InvalidRequestError([("header.order", "says otherwise than the order that is registered")])
        return proposal

    async def submit(
        self,
        proposal: Proposal,
        signature: bytes,
        person: Person,
        spool: Spool,
        summary: Summary,
        published: Released | None = None,
    ) -> tuple[Record, bool]:
        """Stores a proposal that `check` has taken; the same one again changes nothing.

        Args:
            proposal: What was checked.
            signature: Its proposer's.
            person: The proposer.
            spool: The changes.
            summary: What they come to.
            published: The release published last.

        Returns:
            The record, and whether it is new.

        Raises:
            InvalidRequestError: The changes are others than the header says.
            RailError: Rails stand against them.
            ConflictError: Its id is another proposal's, or another makes the same changes and waits for a decision or
                for its release: a list imported twice before it takes effect is proposed once.
        """
        try:
            headers.check_changes(proposal, summary)
        except ProposalError as error:
            raise InvalidRequestError([(f"header.{error.field}", error.reason)]) from error
        if (await self._book.people()).get(person.id) != person:
            raise NotPermittedError(f"{person.id} is not enrolled any more")
        row = {
            "id": proposal.id,
            "digest": proposal.digest,
            "header": proposal.encode(),
            "signature": signature,
            "order_number": proposal.order.number,
            "proposer": person.id,
            "proposer_key": person.key,
            "effective_from": proposal.effective_from,
            "review_by": proposal.review_by,
            "changes_size": summary.size,
            "lifts": all(kind.exception for kind in summary.adding),
            "added": proposal.added,
            "removed": proposal.removed,
            "added_at": self._clock(),
        }
        screened = await self._weighing.screen(spool)
        now = self._clock()
        # Nobody who decides waits for a long one to be written; whoever sends the same waits here, and finds it.
        async with self._engine.begin() as connection:
            await record.hold_changes(connection, summary.digest)
            waiting = await record.waiting(connection, proposal, summary.size, published)
            if waiting is not None:
                raise ConflictError(
                    f"{waiting.proposal.id} ({waiting.state}) makes the same changes, not published yet"
                )
            adding = postgresql.insert(proposals).values(row).on_conflict_do_nothing().returning(proposals.c.id)
            new = await connection.scalar(adding) is not None
            if new:
                await _copy(connection, proposal.id, spool)
            same = or_(proposals.c.id == proposal.id, proposals.c.digest == proposal.digest)
            held = await record.one(connection, same)
            if held is None or held.proposal != proposal:
                raise ConflictError(f"{proposal.id} is another proposal's id")
            if new:
                held = replace(held, findings=await self._weighing.come_in(connection, held, screened, now))
            return held, new

    async def approve(self, identifier: str, person: Person, decided_at: int, signature: bytes) -> Record:
        """Adds an approval; the same one again changes nothing.

        Raises:
            NotFoundError: There is no such proposal.
            ConflictError: It was decided, or the person has approved it otherwise.
            InvalidRequestError: The approval does not count.
            RailError: A rail refuses, as the list is now.
        """
        now = self._clock()
        given = Approval(person.id, decided_at, signature.hex())
        held = await self.get(identifier)
        if given in held.approvals:
            return held
        # Whoever is late must not have been in time by their own word.
        if abs(decided_at - now.timestamp()) > CLOCK_SECONDS:
            raise InvalidRequestError([("decided_at", f"more than {CLOCK_SECONDS} s from the registry's clock")])
        # Weighed before anybody has to wait: this may take a while, and what is weighed does not change.
        self._takes(held, given, (await self._book.people()).get(person.id))
        screened = await self._weighing.screen_again(identifier)
        async with self._book.deciding() as (connection, people):
            held = await _held(connection, identifier)
            if given in held.approvals:
                return held
            self._takes(held, given, people.get(person.id))
            found = await self._weighing.approved(connection, held, screened, now)
            held = replace(held, findings=held.findings + found)
            await connection.execute(
                insert(approvals).values(
                    proposal_id=identifier,
                    approver=person.id,
                    approver_key=person.key,
                    proposer=held.proposal.proposer,
                    proposer_key=held.proposer_key,
                    decided_at=decided_at,
                    signature=signature,
                    added_at=now,
                )
            )
            # Whoever was retired since does not count any more.
            counted = [one for one in held.approvals if self._still(held, one, people.get(one.approver))] + [given]
            if len(counted) >= held.approvers_needed:
                await self._enter(connection, held, counted, person, now)
            return await _held(connection, identifier)

    async def close(self, identifier: str, person: Person, outcome: str, reason: str) -> Record:
        """Ends a proposal: its proposer withdraws it, or an approver rejects it.

        Raises:
            NotFoundError: There is no such proposal.
            ConflictError: It was decided.
            NotPermittedError: The person may not.
            InvalidRequestError: The outcome or the reason is none.
        """
        if outcome not in (REJECTED, WITHDRAWN):
            raise InvalidRequestError([("outcome", f"{REJECTED} or {WITHDRAWN}")])
        _check_reason(reason)
        async with self._book.deciding() as (connection, _):
            held = await _held(connection, identifier)
            _undecided(held)
            if outcome == WITHDRAWN and person.id != held.proposal.proposer:
                raise NotPermittedError("only who proposed it withdraws it")
            if outcome == REJECTED and ("approver" not in person.roles or person.id == held.proposal.proposer):
                raise NotPermittedError("only an approver rejects it, and not who proposed it")
            await connection.execute(
                insert(decisions).values(
                    proposal_id=identifier,
                    outcome=outcome,
                    decided_by=person.id,
                    reason=reason,
                    decided_at=self._clock(),
                )
            )
            return await _held(connection, identifier)

    async def review(self, identifier: str, person: Person, next_review_by: int, reason: str) -> Record:
        """Notes that a proposal's entries were reviewed.

        Raises:
            NotFoundError: There is no such proposal.
            ConflictError: It is not in force.
            InvalidRequestError: The next date or the reason is none.
        """
        _check_reason(reason)
        now = self._clock()
        if next_review_by and not now.timestamp() < next_review_by <= now.timestamp() + MAX_REVIEW_SECONDS:
            raise InvalidRequestError([("next_review_by", "within the next three years, or 0")])
        if not {"editor", "approver"} & set(person.roles):
            raise NotPermittedError(f"{person.id} is neither editor nor approver")
        async with self._book.deciding() as (connection, _):
            held = await _held(connection, identifier)
            if held.state != APPROVED or not held.next_review_by:
                raise ConflictError(f"{identifier} has nothing to review: it is {held.state}")
            await connection.execute(
                insert(reviews).values(
                    proposal_id=identifier,
                    position=held.reviews + 1,
                    reviewed_by=person.id,
                    next_review_by=next_review_by or None,
                    reason=reason,
                    reviewed_at=now,
                )
            )
            return await _held(connection, identifier)

    async def get(self, identifier: str) -> Record:
        """One proposal.

        Raises:
            NotFoundError: There is no such proposal.
        """
        async with self._engine.connect() as connection:
            return await _held(connection, identifier)

    async def page(self, before: int | None, size: int, state: str, order_number: str) -> list[Record]:
        """Proposals, newest first, behind one of them."""
        selected, _ = record.query()
        if before is not None:
            selected = selected.where(proposals.c.number < before)
        if order_number:
            selected = selected.where(proposals.c.order_number == order_number)
        if state == PROPOSED:
            selected = selected.where(decisions.c.outcome.is_(None))
        elif state:
            selected = selected.where(decisions.c.outcome == state)
        async with self._engine.connect() as connection:
            return await record.load(connection, selected.order_by(proposals.c.number.desc()).limit(size))

    async def chunk(self, identifier: str, position: int) -> bytes | None:
        """One piece of a proposal's changes, or None behind the last."""
        selected = select(change_chunks.c.deflated).where(
            change_chunks.c.proposal_id == identifier, change_chunks.c.position == position
        )
        async with self._engine.connect() as connection:
            found: bytes | None = await connection.scalar(selected)
            return found

    async def decided_by(self, index: int) -> str:
        """The proposal that a step of the log brought; empty where it brought none."""
        selected = select(decisions.c.proposal_id).where(decisions.c.log_index == index)
        async with self._engine.connect() as connection:
            return await connection.scalar(selected) or ""

    def _takes(self, held: Record, given: Approval, approver: Person | None) -> None:
        """Whether a proposal can be given an approval now."""
        _undecided(held)
        if given.approver in {one.approver for one in held.approvals}:
            raise ConflictError(f"{given.approver} has approved it already")
        self._counts(held, given, approver)

    def _counts(self, held: Record, given: Approval, approver: Person | None) -> None:
        try:
            verifier.check_approval(held.proposal, held.proposer_key, given, approver, self._book.keys)
        except ProposalError as error:
            if error.field == "approver":
                raise NotPermittedError(error.reason) from error
            raise InvalidRequestError([(error.field, error.reason)]) from error

    def _still(self, held: Record, given: Approval, approver: Person | None) -> bool:
        try:
            self._counts(held, given, approver)
        except (NotPermittedError, InvalidRequestError):
            return False
        return True

    async def _enter(
        self, connection: AsyncConnection, held: Record, counted: list[Approval], person: Person, now: datetime
    ) -> None:
        """Writes an approved proposal into the log."""
        index, decision = await self._book.append(
            connection,
            lambda index, previous: chain.proposal_step(index, previous, held.proposal, held.signature, counted),
            now,
        )
        assert decision is not None  # noqa: S101  a step of a proposal is one
        await connection.execute(
            insert(decisions).values(
                proposal_id=held.proposal.id,
                outcome=APPROVED,
                log_index=index,
                effect_at=decision.effect_at,
                decided_by=person.id,
                reason=held.proposal.reason,
                decided_at=datetime.fromtimestamp(decision.approvals[-1].decided_at, UTC),
            )
        )


async def _held(connection: AsyncConnection, identifier: str) -> Record:
    try:
        headers.check_uuid(identifier, "id")
    except ProposalError as error:
        raise InvalidRequestError([(error.field, error.reason)]) from error
    found = await record.one(connection, proposals.c.id == identifier)
    if found is None:
        raise NotFoundError(f"no proposal {identifier}")
    return found


def _undecided(held: Record) -> None:
    if held.outcome is not None:
        raise ConflictError(f"{held.proposal.id} is {held.outcome.outcome} already, by {held.outcome.decided_by}")


def _check_reason(reason: str) -> None:
    try:
        headers.check_prose(reason, "reason", MAX_TEXT_CHARACTERS)
    except ProposalError as error:
        raise InvalidRequestError([(error.field, error.reason)]) from error


async def _copy(connection: AsyncConnection, identifier: str, spool: Spool) -> None:
    """Loads the pieces by COPY, in the transaction that the connection is in."""
    raw = await connection.get_raw_connection()
    rows = ((identifier, one.position, one.first_name, one.last_name, one.deflated) for one in spool.pieces())
    columns = ("proposal_id", "position", "first_name", "last_name", "deflated")
    assert raw.driver_connection is not None  # noqa: S101  asyncpg's, of a connection that is open
    await raw.driver_connection.copy_records_to_table(change_chunks.name, records=rows, columns=columns)

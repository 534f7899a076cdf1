"""A proposal as the database holds it, with everything that has happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklist_sync.central.log import proposals as headers
from blocklist_sync.central.log.approvals import Approval
from blocklist_sync.central.log.proposals import Proposal
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.neverblock import Severity
from blocklist_sync.central.rails.rails import Finding
from blocklist_sync.central.registry.releases import Released
from blocklist_sync.central.registry.tables import approvals, decisions, findings, proposals, reviews

PROPOSED, APPROVED, REJECTED, WITHDRAWN = "proposed", "approved", "rejected", "withdrawn"
MAX_ALIKE = 1000
STATES = (PROPOSED, APPROVED, REJECTED, WITHDRAWN)


@dataclass(frozen=True)
class Outcome:
    """How a proposal ended; `log_index` and `effect_at` are 0 where it was not approved."""

    outcome: str
    decided_by: str
    reason: str
    decided_at: int
    log_index: int
    effect_at: int


@dataclass(frozen=True)
class Record:
    """A proposal and its fate."""

    number: int
    proposal: Proposal
    header: bytes
    signature: bytes
    proposer_key: bytes
    added_at: int
    approvals: tuple[Approval, ...]
    outcome: Outcome | None
    reviews: int
    next_review_by: int
    """When its entries are due next: the header's date, or the last review's; 0 where they are reviewed for good."""
    findings: tuple[Finding, ...] = ()
    """What rails found, when it came in and when it was approved."""
    lifts: bool = False
    """Whether it lets names pass and blocks none."""

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return self.outcome.outcome if self.outcome else PROPOSED

    @property
    def approvers_needed(self) -> int:
        """How many people have to approve it: by its header, and by what rails found."""
        return max(self.proposal.approvers_needed, 2 if rails.overridable(self.findings) else 1)


def last_review() -> Any:
    """The last review of each proposal."""
    return (
        select(reviews.c.proposal_id, reviews.c.position, reviews.c.next_review_by)
        .ext(postgresql.distinct_on(reviews.c.proposal_id))
        .order_by(reviews.c.proposal_id, reviews.c.position.desc())
        .subquery("last_review")
    )


def query() -> tuple[Select[Any], Any]:
    """Every proposal with its decision and its last review, and that review's columns to filter by."""
    last = last_review()
    selected = select(
        proposals,
        decisions.c.outcome,
        decisions.c.decided_by,
        decisions.c.reason,
        decisions.c.decided_at,
        decisions.c.log_index,
        decisions.c.effect_at,
        last.c.position.label("reviewed"),
        last.c.next_review_by,
    )
    joined = proposals.outerjoin(decisions, decisions.c.proposal_id == proposals.c.id)
    return selected.select_from(joined.outerjoin(last, last.c.proposal_id == proposals.c.id)), last.c


async def load(connection: AsyncConnection, selected: Select[Any]) -> list[Record]:
    """The records that a query selects, in its order."""
    rows = (await connection.execute(selected)).all()
    given: dict[str, list[Approval]] = {row.id: [] for row in rows}
    found: dict[str, list[Finding]] = {row.id: [] for row in rows}
    if rows:
        of_these = select(approvals).where(approvals.c.proposal_id.in_(given))
        for row in await connection.execute(of_these.order_by(approvals.c.decided_at, approvals.c.approver)):
            given[row.proposal_id].append(Approval(row.approver, row.decided_at, row.signature.hex()))
        told = select(findings).where(findings.c.proposal_id.in_(given))
        for row in await connection.execute(told.order_by(findings.c.proposal_id, findings.c.position)):
            one = Finding(row.rail, Severity(row.severity), row.why, row.total, tuple(row.names))
            found[row.proposal_id].append(one)
    return [_record(row, given[row.id], found[row.id]) for row in rows]


async def one(connection: AsyncConnection, condition: ColumnElement[bool]) -> Record | None:
    """The one record that meets a condition, if there is one."""
    found = await load(connection, query()[0].where(condition))
    return found[0] if found else None


async def hold_changes(connection: AsyncConnection, digest: bytes) -> None:
    """Until the transaction ends, nobody else hands in the changes of this digest."""
    key = int.from_bytes(digest[:8], signed=True)
    await connection.execute(select(func.pg_advisory_xact_lock(key)))


async def waiting(connection: AsyncConnection, asked: Proposal, size: int, published: Released | None) -> Record | None:
    """Another proposal of the same changes that is undecided, or approved and not in the release published last."""
    alike = and_(
        proposals.c.id != asked.id,
        proposals.c.changes_size == size,
        proposals.c.added == asked.added,
        proposals.c.removed == asked.removed,
    )
    late = decisions.c.outcome == APPROVED
    if published is not None:
        behind = or_(decisions.c.log_index > published.log_length, decisions.c.effect_at > published.as_of)
        late = and_(late, behind)
    selected = query()[0].where(alike, or_(decisions.c.outcome.is_(None), late)).order_by(proposals.c.number)
    # The digest stands in the header alone; whatever is as long and as many is most likely the same.
    found = await load(connection, selected.limit(MAX_ALIKE))
    return next((one for one in found if one.proposal.changes_sha256 == asked.changes_sha256), None)


def _record(row: Row[Any], given: Sequence[Approval], found: Sequence[Finding]) -> Record:
    proposal = headers.parse(row.header)
    outcome = None
    if row.outcome is not None:
        decided_at = int(row.decided_at.timestamp())
        outcome = Outcome(row.outcome, row.decided_by, row.reason, decided_at, row.log_index or 0, row.effect_at or 0)
    reviewed = row.reviewed is not None
    return Record(
        number=row.number,
        proposal=proposal,
        header=row.header,
        signature=row.signature,
        proposer_key=row.proposer_key,
        added_at=int(row.added_at.timestamp()),
        approvals=tuple(given),
        outcome=outcome,
        reviews=row.reviewed if reviewed else 0,
        next_review_by=(row.next_review_by or 0) if reviewed else proposal.review_by,
        lifts=bool(row.lifts),
        findings=tuple(found),
    )

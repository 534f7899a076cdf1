"""What must outlive its time: what a finding rests on, and what a legal hold covers.

Holds always: findings keep what they cite or ever cited while they are open, are somebody's turn, or are under a hold;
a hold of a period keeps every row of its operator that belongs to a moment within it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.findings.finding import EvidenceKind
from compliance_api.storage.tables import finding_citations, finding_steps, findings, legal_holds

_REPORTS = frozenset({EvidenceKind.REPORT, EvidenceKind.UNVERIFIED_REPORT})
_CHALLENGES = frozenset({EvidenceKind.OPENING, EvidenceKind.CHALLENGE})


@dataclass(frozen=True)
class Cited:
    """What open findings, and those under a hold, rest on."""

    # Of these findings.
    findings: tuple[bytes, ...] = ()
    # SHA-256 of reports.
    digests: tuple[bytes, ...] = ()
    # Assignments of observations: of a session all is kept, for what stood beside an answer belongs to it.
    sessions: tuple[bytes, ...] = ()
    challenges: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Keep:
    """Which rows of a table, called `old` in a statement, must be kept."""

    # Their moment, by which a hold's period covers them.
    moment: str
    # The column that is compared with what findings cite, and which of `Cited` that is; empty where they cite none.
    column: str = ""
    cited: str = ""
    operator: str = "operator_id"

    @property
    def condition(self) -> str:
        """In SQL."""
        held = (
            "EXISTS (SELECT FROM legal_holds hold WHERE hold.released_at IS NULL"
            f" AND hold.operator_id = old.{self.operator}"
            f" AND old.{self.moment} >= hold.period_start AND old.{self.moment} < hold.period_end)"
        )
        return f"({held} OR old.{self.column} = ANY(CAST(:cited AS bytea[])))" if self.cited else f"({held})"

    async def values(self, connection: AsyncConnection) -> dict[str, Any]:
        """The values that the condition takes."""
        return {"cited": list(getattr(await cited(connection), self.cited))} if self.cited else {}


def _kept() -> ColumnElement[bool]:
    """Whether a finding's evidence is kept."""
    held = select(legal_holds.c.finding_id).where(
        legal_holds.c.operator_id == findings.c.operator_id,
        legal_holds.c.finding_id == findings.c.finding_id,
        legal_holds.c.released_at.is_(None),
    )
    own = finding_steps.c.operator_id == findings.c.operator_id, finding_steps.c.finding_id == findings.c.finding_id
    turn = select(finding_steps.c.next_unit).where(*own).order_by(finding_steps.c.position.desc()).limit(1)
    # Open while it is found, or while it is somebody's turn: an operator may answer what is not found any more.
    return findings.c.closed_at.is_(None) | turn.scalar_subquery().is_not(None) | held.exists()


async def cited(connection: AsyncConnection) -> Cited:
    """What must be kept for findings now."""
    rows = (await connection.execute(select(findings.c.finding_id, findings.c.evidence).where(_kept()))).all()
    # What it cites now stands in its row; a release before kept nothing else.
    pieces = [(str(one["kind"]), str(one["reference"])) for row in rows for one in row.evidence]
    ever = finding_citations.c
    before = select(ever.kind, ever.reference).join(
        findings, (findings.c.operator_id == ever.operator_id) & (findings.c.finding_id == ever.finding_id)
    )
    pieces += [(row.kind, row.reference) for row in await connection.execute(before.where(_kept()))]
    digests, sessions, challenges = set(), set(), set()
    for kind, reference in pieces:
        if kind in _REPORTS:
            digests.add(bytes.fromhex(reference))
        elif kind == EvidenceKind.OBSERVATION:
            sessions.add(bytes.fromhex(reference.partition("/")[0]))
        elif kind in _CHALLENGES:
            challenges.add(bytes.fromhex(reference))
    return Cited(
        tuple(sorted(row.finding_id for row in rows)),
        tuple(sorted(digests)),
        tuple(sorted(sessions)),
        tuple(sorted(challenges)),
    )

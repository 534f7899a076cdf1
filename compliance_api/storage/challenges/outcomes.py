"""What challenges say together, in PostgreSQL, as it was known when.

Holds always: what was summed up is never changed, another sum over the same days stands beside it under the next
number; a verdict on a place rests on the sums of that place's nodes, where there are any; one is kept where it is the
first, where it accuses otherwise than the one before, and where nothing of its days is left to be opened: what comes in
between would have every opening judge days and months again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, astuple
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.challenges.outcome import ChallengeOutcome
from compliance_api.domain.findings.finding import Evidence, EvidenceKind
from compliance_api.domain.verdicts.case import SlopeRecord
from compliance_api.domain.verdicts.challenged import record
from compliance_api.storage.tables import challenge_sums

Content = Mapping[str, Any]


def _evidence(one: Evidence) -> dict[str, str]:
    return {**asdict(one), "kind": one.kind.value, "at": one.at.isoformat()}


def _content(found: ChallengeOutcome) -> dict[str, Any]:
    told = record(found)
    # Plain numbers below 2^53, but for the sums.
    values = {name: value for name, value in vars(told).items() if name not in {"ends_at", "evidence"}}
    return {
        **values,
        "starts_at": found.start.isoformat(),
        "complete": found.complete,
        "sums": [str(one) for one in astuple(found.sums)],
        "evidence": [_evidence(one) for one in told.evidence],
    }


def _record(ends_at: datetime, content: Content) -> SlopeRecord:
    names = set(SlopeRecord.__dataclass_fields__) - {"ends_at", "evidence"}
    evidence = tuple(
        Evidence(**{**one, "kind": EvidenceKind(one["kind"]), "at": datetime.fromisoformat(one["at"])})
        for one in content.get("evidence", ())
    )
    return SlopeRecord(ends_at, **{name: value for name, value in content.items() if name in names}, evidence=evidence)


def _accuses(content: Content) -> tuple[Any, ...]:
    """What of a sum accuses."""
    return tuple(content.get(name, 0) for name in ("accuses", "lied", "above", "shut_nodes"))


def _of(jurisdiction: str) -> ColumnElement[bool]:
    """What was summed up for a place, or for all of an operator's nodes by an earlier release."""
    return challenge_sums.c.jurisdiction.in_([jurisdiction, ""])


async def challenged(
    connection: AsyncConnection,
    operator: str,
    jurisdiction: str,
    start: datetime,
    end: datetime,
    known_at: datetime | None,
) -> SlopeRecord | None:
    """What challenges of the days up to some moment of that time, or the day after it, say: the strongest accusation.

    Args:
        connection: Whose transaction it is.
        operator: Whose challenges.
        jurisdiction: Where the nodes are.
        start: Days that end later are looked at.
        end: Days that end up to a day later are.
        known_at: What was summed up later is left out; None for nothing.
    """
    kept = challenge_sums.c
    wanted = (
        select(challenge_sums)
        .where(kept.operator_id == operator, _of(jurisdiction))
        .where(kept.ends_at > start, kept.ends_at <= end + timedelta(days=1))
        # The place's own before those of all nodes.
        .order_by(kept.ends_at, kept.jurisdiction.desc(), kept.version.desc())
        .ext(postgresql.distinct_on(kept.ends_at))
    )
    if known_at is not None:
        wanted = wanted.where(kept.computed_at <= known_at)
    found = [_record(row.ends_at, row.content) for row in await connection.execute(wanted)]
    # Of those that accuse of as much, the newest.
    return max(found, key=lambda one: (one.severity, one.ends_at), default=None)


class Outcomes:
    """Keeps what challenges say."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, found: ChallengeOutcome, now: datetime) -> bool:
        """Stores an outcome, unless it says nothing new; whether it did."""
        kept = challenge_sums.c
        content = _content(found)
        of_days = and_(kept.operator_id == found.operator, kept.ends_at == found.end)
        newest = (
            select(kept.content)
            .where(of_days, kept.jurisdiction == found.jurisdiction)
            .order_by(kept.version.desc())
            .limit(1)
        )
        async with self._engine.begin() as connection:
            before = (await connection.execute(newest)).scalar_one_or_none()
            if before is not None and not _says_more(before, content):
                return False
            # Places share the numbers.
            last = (await connection.execute(select(func.max(kept.version)).where(of_days))).scalar_one()
            row = {
                "operator_id": found.operator,
                "ends_at": found.end,
                "version": (last or 0) + 1,
                "computed_at": now,
                "content": content,
                "jurisdiction": found.jurisdiction,
            }
            new = postgresql.insert(challenge_sums).values(row).on_conflict_do_nothing()
            return (await connection.execute(new.returning(kept.version))).first() is not None

    async def since(self, operator: str, jurisdiction: str, since: datetime) -> list[tuple[datetime, datetime]]:
        """The ends of the days that were summed up later than a moment, and when that was, the oldest first."""
        kept = challenge_sums.c
        wanted = (
            select(kept.ends_at, kept.computed_at)
            .where(kept.operator_id == operator, _of(jurisdiction), kept.computed_at > since)
            .order_by(kept.computed_at)
        )
        async with self._engine.connect() as connection:
            return [(row.ends_at, row.computed_at) for row in await connection.execute(wanted)]


def _says_more(before: Content, now: Content) -> bool:
    return _accuses(before) != _accuses(now) or (
        now["complete"] and {**now, "starts_at": ""} != {**before, "starts_at": ""}
    )

"""By which way the sessions of probes went, in PostgreSQL: who asked for their nonces, and what was made of it.

Holds always: an address is kept only for a nonce that an assignment holds; a session is decided once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, exists, func, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.observations.observation import Arm, Path
from compliance_api.domain.parties.organisation import Transport
from compliance_api.storage.tables import (
    assignments,
    egress_sightings,
    extra_questions,
    observations,
    rounds,
    session_paths,
)
from compliance_api.usecases.probing.paths import Decided, Said, Session

MAX_ADDRESSES = 16
"""Addresses kept for one nonce, give or take one batch: who sees a nonce may ask for it from anywhere."""
NONCES = (Arm.WHOAMI, Arm.EGRESS)


def way_of_session() -> ColumnElement[str]:
    """The way of an observation, with its session's beside it in an outer join.

    What it shows by itself, a certificate that holds, outweighs what its session does not show.
    """
    own = observations.c.path
    return case((own == Path.VERIFIED, own), else_=func.coalesce(session_paths.c.path, own))


class Paths:
    """The store that `compliance_api.usecases.probing.paths` and the authority's name server ask for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def asked(self, seen: Mapping[tuple[str, str], datetime]) -> int:
        """Keeps who asked for nonces, by name and address; how many belong to an assignment."""
        extra = extra_questions.c
        wanted = select(extra.operator_id, extra.assignment_id, extra.qname).where(
            extra.qname.in_({name for name, _ in seen}), extra.arm == Arm.EGRESS
        )
        async with self._engine.begin() as connection:
            owners = {row.qname: row for row in await connection.execute(wanted)}
            who = egress_sightings.c
            ids = {row.assignment_id for row in owners.values()}
            known = select(who.assignment_id, func.count().label("total")).where(
                who.operator_id.in_({row.operator_id for row in owners.values()}), who.assignment_id.in_(ids)
            )
            full = {
                row.assignment_id
                for row in await connection.execute(known.group_by(who.assignment_id))
                if row.total >= MAX_ADDRESSES
            }
            rows = [
                {
                    "operator_id": owners[name].operator_id,
                    "assignment_id": owners[name].assignment_id,
                    "address": address,
                    "seen_at": at,
                }
                for (name, address), at in seen.items()
                if name in owners and owners[name].assignment_id not in full
            ]
            if rows:
                await connection.execute(postgresql.insert(egress_sightings).on_conflict_do_nothing(), rows)
        return len(rows)

    async def undecided(self, now: datetime, settle: timedelta, limit: int) -> list[Session]:
        """Sessions with nonces that are over and not decided yet: each nonce was handed in, or none can be any more."""
        given, extra, seen = assignments.c, extra_questions.c, observations.c
        nonces = and_(
            extra.operator_id == given.operator_id,
            extra.assignment_id == given.assignment_id,
            extra.arm.in_(NONCES),
        )
        handed_in = and_(
            seen.operator_id == extra.operator_id,
            seen.assignment_id == extra.assignment_id,
            seen.question == extra.position,
            seen.received_at <= now - settle,
        )
        decided = exists().where(
            session_paths.c.operator_id == given.operator_id, session_paths.c.assignment_id == given.assignment_id
        )
        open_nonce = exists().where(nonces, ~exists().where(handed_in))
        wanted = (
            select(assignments, rounds.c.node, rounds.c.address)
            .join(rounds, and_(rounds.c.operator_id == given.operator_id, rounds.c.round_id == given.round_id))
            .where(~decided, exists().where(nonces))
            .where(or_(~open_nonce, given.expires_at <= now - settle), given.issued_at > now - timedelta(days=30))
            # An assignment of which nothing came in has no session to decide.
            .where(exists().where(seen.operator_id == given.operator_id, seen.assignment_id == given.assignment_id))
            .order_by(given.issued_at)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(wanted)).all()
            if not rows:
                return []
            keys = {(row.operator_id, row.assignment_id) for row in rows}
            found = {key: _Parts() for key in keys}
            operators, ids = {key[0] for key in keys}, {key[1] for key in keys}
            ours = and_(seen.operator_id.in_(operators), seen.assignment_id.in_(ids))
            # One probe's, so that all its rows say the same.
            lines = (
                select(
                    seen.operator_id,
                    seen.assignment_id,
                    func.max(seen.vantage_point).label("vantage_point"),
                    func.max(seen.access_network).label("access_network"),
                    func.max(seen.custodian).label("custodian"),
                )
                .where(ours)
                .group_by(seen.operator_id, seen.assignment_id)
            )
            for row in await connection.execute(lines):
                if (row.operator_id, row.assignment_id) in found:
                    parts = found[row.operator_id, row.assignment_id]
                    parts.line = (row.vantage_point, row.access_network, row.custodian)
            told = select(
                seen.operator_id, seen.assignment_id, seen.qname, seen.observation, seen.asked_at, seen.transport
            )
            for word in await connection.execute(told.where(ours, seen.arm == Arm.WHOAMI)):
                if (word.operator_id, word.assignment_id) in found:
                    said = Said(word.qname, word.observation, word.asked_at, Transport(word.transport))
                    found[word.operator_id, word.assignment_id].whoami = said
            asking = select(extra.operator_id, extra.assignment_id).where(
                extra.operator_id.in_(operators), extra.assignment_id.in_(ids), extra.arm == Arm.WHOAMI
            )
            expected = {(row.operator_id, row.assignment_id) for row in await connection.execute(asking)}
            who = egress_sightings.c
            came = select(egress_sightings).where(who.operator_id.in_(operators), who.assignment_id.in_(ids))
            for row in await connection.execute(came):
                if (row.operator_id, row.assignment_id) in found:
                    found[row.operator_id, row.assignment_id].egress.append(row.address)
        return [
            _session(row, found[row.operator_id, row.assignment_id], (row.operator_id, row.assignment_id) in expected)
            for row in rows
        ]

    async def decide(self, sessions: Sequence[Decided], now: datetime) -> None:
        """Stores what was decided."""
        rows = [
            {
                "operator_id": one.session.operator,
                "assignment_id": one.session.assignment_id,
                "node": one.session.node,
                "decided_at": now,
                "path": one.path,
                "answered_by": one.answered_by,
                "egress": sorted(one.session.egress),
                "foreign_egress": list(one.foreign),
                "enrolled": one.enrolled,
                "handed": one.session.handed,
                "vantage_point": one.session.vantage_point,
                "access_network": one.session.access_network,
                "custodian": one.session.custodian,
            }
            for one in sessions
        ]
        if rows:
            async with self._engine.begin() as connection:
                await connection.execute(postgresql.insert(session_paths).on_conflict_do_nothing(), rows)

    async def counts(self, operator: str, start: datetime, end: datetime) -> dict[str, int]:
        """How many sessions of an operator went which way, decided between two moments."""
        own = session_paths.c
        wanted = (
            select(own.path, func.count().label("total"))
            .where(own.operator_id == operator, own.decided_at >= start, own.decided_at < end)
            .group_by(own.path)
        )
        async with self._engine.connect() as connection:
            return {row.path: row.total for row in await connection.execute(wanted)}


class _Parts:
    def __init__(self) -> None:
        self.line = ("", "", "")
        self.whoami: Said | None = None
        self.egress: list[str] = []


def _session(row: Row[Any], parts: _Parts, expected: bool) -> Session:
    return Session(
        row.operator_id,
        row.assignment_id,
        row.node,
        row.issued_at,
        not row.address,
        *parts.line,
        expected,
        parts.whoami,
        tuple(parts.egress),
    )

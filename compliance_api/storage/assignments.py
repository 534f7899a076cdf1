"""Rounds, assignments and releases in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, exists, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.observation import Arm, Result
from compliance_api.domain.organisation import Endpoint, Transport
from compliance_api.domain.sampling import ListedName, Release
from compliance_api.storage.entering import enter_news, of_release
from compliance_api.storage.tables import assignments, observations, questions, releases, rounds
from compliance_api.usecases.assignment import Assignment, Question, Round
from compliance_api.usecases.observe import Issued
from lachan.tls import Identity


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(row.address, row.port, Transport(row.transport), row.server_name, row.path)


def _question(row: Row[Any]) -> Question:
    return Question(
        row.qname,
        row.qtype,
        Arm(row.arm),
        row.category,
        row.order_reference,
        row.added_serial,
        row.added_at,
        row.dnssec_ok,
    )


async def _questions(connection: AsyncConnection, keys: Sequence[tuple[str, bytes]]) -> dict[bytes, list[Question]]:
    """The questions of rounds, each named by its operator and id."""
    found: dict[bytes, list[Question]] = {}
    operators, ids = {key[0] for key in keys}, {key[1] for key in keys}
    rows = await connection.execute(
        select(questions)
        .where(questions.c.operator_id.in_(operators), questions.c.round_id.in_(ids))
        .order_by(questions.c.round_id, questions.c.position)
    )
    for row in rows:
        found.setdefault(row.round_id, []).append(_question(row))
    return found


class Releases:
    """The store that `compliance_api.usecases.sample` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, known: Sequence[Release]) -> None:
        """Stores those not stored yet."""
        if not known:
            return
        async with self._engine.begin() as connection:
            statement = postgresql.insert(releases).on_conflict_do_nothing()
            await connection.execute(statement, [vars(release) for release in known])
            await enter_news(connection, [of_release(release) for release in known])


class Assignments:
    """The store that `compliance_api.usecases.assignment` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def has_round(self, operator: str, node: str, endpoint: Endpoint, number: int) -> bool:
        """Whether that round was drawn already."""
        wanted = select(
            exists().where(
                rounds.c.operator_id == operator,
                rounds.c.node == node,
                rounds.c.address == endpoint.address,
                rounds.c.port == endpoint.port,
                rounds.c.transport == endpoint.transport,
                rounds.c.number == number,
            )
        )
        async with self._engine.connect() as connection:
            return bool((await connection.execute(wanted)).scalar_one())

    async def add_round(self, one: Round) -> None:
        """Stores a round, unless another process has drawn it."""
        values = {
            "operator_id": one.operator,
            "round_id": one.round_id,
            "node": one.node,
            **vars(one.endpoint),
            "number": one.number,
            "seed": one.seed,
            "sample_serial": one.sample_serial,
            "drawn_at": one.drawn_at,
            "expires_at": one.expires_at,
        }
        rows = [
            {
                "operator_id": one.operator,
                "round_id": one.round_id,
                "position": position,
                "qname": question.qname,
                "qtype": question.qtype,
                "arm": question.arm,
                "category": question.category,
                "order_reference": question.order,
                "added_serial": question.added_serial,
                "added_at": question.added_at,
                "dnssec_ok": question.dnssec_ok,
            }
            for position, question in enumerate(one.questions)
        ]
        async with self._engine.begin() as connection:
            statement = postgresql.insert(rounds).values(values).on_conflict_do_nothing()
            if (await connection.execute(statement.returning(rounds.c.round_id))).first() is not None and rows:
                await connection.execute(insert(questions), rows)

    async def to_ask_again(self, operator: str, node: str, since: datetime, limit: int) -> list[ListedName]:
        """Listed names that a node was seen not to block since then."""
        seen = observations.c
        wanted = (
            select(seen.qname, seen.category, seen.order_reference, seen.added_serial, seen.added_at)
            .where(seen.operator_id == operator, seen.asked_at >= since, seen.node == node)
            .where(seen.arm == Arm.LISTED, seen.result == Result.NOT_BLOCKED, seen.added_at.is_not(None))
            .distinct()
            .order_by(seen.qname)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = await connection.execute(wanted)
            return [ListedName(*row) for row in rows]

    async def open_round(self, probe: Identity, operators: Sequence[str], now: datetime) -> Round | None:
        """The oldest round that has not expired and that the probe was not given yet."""
        given = exists().where(
            assignments.c.operator_id == rounds.c.operator_id,
            assignments.c.round_id == rounds.c.round_id,
            assignments.c.probe_organisation == probe.organisation,
            assignments.c.probe == probe.name,
        )
        wanted = (
            select(rounds)
            .where(rounds.c.expires_at > now, rounds.c.operator_id.in_(operators), ~given)
            .order_by(rounds.c.drawn_at, rounds.c.round_id)
            .limit(1)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).first()
            if row is None:
                return None
            asked = await _questions(connection, [(row.operator_id, row.round_id)])
        return Round(
            row.operator_id,
            row.round_id,
            row.node,
            _endpoint(row),
            row.number,
            row.seed,
            row.sample_serial,
            row.drawn_at,
            row.expires_at,
            tuple(asked.get(row.round_id, ())),
        )

    async def add_assignment(self, assignment: Assignment) -> bool:
        """Stores an assignment; False where the probe was given that round at the same moment already."""
        values = {**vars(assignment), "operator_id": assignment.operator, "positions": list(assignment.positions)}
        del values["operator"]
        statement = postgresql.insert(assignments).values(values).on_conflict_do_nothing()
        async with self._engine.begin() as connection:
            stored = await connection.execute(statement.returning(assignments.c.assignment_id))
            return stored.first() is not None

    async def issued(self, probe: Identity, wanted: Sequence[bytes]) -> Mapping[bytes, Issued]:
        """Those of the assignments that were given to this probe."""
        given = assignments.c
        query = (
            select(
                assignments,
                *(rounds.c[name] for name in ("node", "address", "port", "transport", "server_name", "path")),
            )
            .join(rounds, and_(rounds.c.operator_id == given.operator_id, rounds.c.round_id == given.round_id))
            .where(given.assignment_id.in_(wanted))
            .where(given.probe_organisation == probe.organisation, given.probe == probe.name)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
            if not rows:
                return {}
            asked = await _questions(connection, [(row.operator_id, row.round_id) for row in rows])
        return {row.assignment_id: _issued(row, asked[row.round_id]) for row in rows}


def _issued(row: Row[Any], asked: Sequence[Question]) -> Issued:
    assignment = Assignment(
        row.operator_id,
        row.assignment_id,
        row.round_id,
        row.probe_organisation,
        row.probe,
        row.issued_at,
        row.expires_at,
        tuple(row.positions),
    )
    ordered = tuple(asked[position] for position in assignment.positions)
    return Issued(assignment, row.node, _endpoint(row), ordered)

"""Rounds, assignments and releases in PostgreSQL."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, exists, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.drawing.sampling import Release, Unsettled
from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.observations.unreported import Unreported
from compliance_api.domain.parties.organisation import Endpoint, Transport
from compliance_api.storage.ledger.entering import enter_news, of_release
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.probing.measuring import measuring
from compliance_api.storage.probing.unsettled import unsettled
from compliance_api.storage.tables import assignments, draws, extra_questions, observations, questions, releases, rounds
from compliance_api.usecases.probing.assignment import PURPOSE, Assignment, Round, Wanted
from compliance_api.usecases.probing.observe import Issued
from compliance_api.usecases.probing.question import Question
from lachan import canonical
from lachan.ledger.leaf import Kind
from lachan.tls import Identity

# An assignment lasts no longer.
MARGIN = timedelta(days=8)


def endpoint(row: Row[Any]) -> Endpoint:
    """Whom a round asks."""
    return Endpoint(row.address, row.port, Transport(row.transport), row.server_name, row.path)


def _question(row: Row[Any], **more: Any) -> Question:
    return Question(
        row.qname,
        row.qtype,
        Arm(row.arm),
        row.category,
        row.order_reference,
        row.added_serial,
        row.added_at,
        **more,
    )


async def asked_of(connection: AsyncConnection, operator: str, round_id: bytes) -> list[Question]:
    """The questions of one round."""
    return (await _questions(connection, [(operator, round_id)])).get(round_id, [])


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
        found.setdefault(row.round_id, []).append(_question(row, dnssec_ok=row.dnssec_ok, again=row.again))
    return found


class Releases:
    """The store that `compliance_api.usecases.probing.sample` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, known: Sequence[Release], now: datetime) -> None:
        """Stores those not stored yet, as known from now on."""
        if not known:
            return
        async with self._engine.begin() as connection:
            statement = postgresql.insert(releases).on_conflict_do_nothing()
            await connection.execute(statement, [{**vars(release), "learned_at": now} for release in known])
            await enter_news(connection, [of_release(release) for release in known])


class Assignments:
    """The store that `compliance_api.usecases.probing.assignment` asks for."""

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
                "again": question.again,
            }
            for position, question in enumerate(one.questions)
        ]
        async with self._engine.begin() as connection:
            statement = postgresql.insert(rounds).values(values).on_conflict_do_nothing()
            if (await connection.execute(statement.returning(rounds.c.round_id))).first() is not None and rows:
                await connection.execute(insert(questions), rows)

    async def inputs(self, operator: str, number: int) -> bytes | None:
        """What the rounds of that interval are drawn from, where it was kept already."""
        own = and_(draws.c.operator_id == operator, draws.c.purpose == PURPOSE, draws.c.number == number)
        async with self._engine.connect() as connection:
            found = (await connection.execute(select(draws.c.content).where(own))).scalar_one_or_none()
        return zlib.decompress(found) if found is not None else None

    async def keep_inputs(self, operator: str, number: int, day: date, content: bytes) -> bytes:
        """Keeps what they are drawn from, enters its digest into the ledger, and returns what is kept."""
        row = {"operator_id": operator, "purpose": PURPOSE, "number": number, "content": zlib.compress(content)}
        what = {
            "type": "draw",
            "operator": operator,
            "purpose": PURPOSE,
            "number": number,
            "seed_of": day.isoformat(),
            "inputs": hashlib.sha256(content).hexdigest(),
        }
        leaf = NewLeaf(Kind.ASSIGNMENT, canonical.encode(what), f"draw/{operator}/{number}")
        async with self._engine.begin() as connection:
            new = postgresql.insert(draws).values(row).on_conflict_do_nothing().returning(draws.c.number)
            if (await connection.execute(new)).first() is not None:
                await append(connection, [leaf])
                return content
        return await self.inputs(operator, number) or content

    async def asked(self, operator: str, since: datetime, names: Sequence[str]) -> frozenset[str]:
        """Those of the names that rounds drawn since then hold."""
        drawn, held = rounds.c, questions.c
        wanted = (
            select(held.qname)
            .join(rounds, and_(drawn.operator_id == held.operator_id, drawn.round_id == held.round_id))
            .where(drawn.operator_id == operator, drawn.drawn_at >= since)
            .where(held.arm == Arm.LISTED, held.qname.in_(names))
            .distinct()
        )
        async with self._engine.connect() as connection:
            return frozenset((await connection.execute(wanted)).scalars())

    async def dead(self, operator: str, since: datetime, names: Sequence[str]) -> frozenset[str]:
        """Those of the names that were asked since then, and never alive at the references."""
        seen = observations.c
        wanted = (
            select(seen.qname)
            .where(seen.operator_id == operator, seen.asked_at >= since, seen.arm == Arm.NEIGHBOUR)
            .where(seen.qname == func.any(list(names)))
            .group_by(seen.qname)
            .having(~func.bool_or(seen.reference_alive))
        )
        async with self._engine.connect() as connection:
            return frozenset((await connection.execute(wanted)).scalars())

    async def measuring(self, operator: str, nodes: Sequence[str]) -> frozenset[str]:
        """Those of the nodes whose last report tells of queries: resolvers of ours, which hold the list itself."""
        async with self._engine.connect() as connection:
            return await measuring(connection, operator, nodes)

    async def unsettled(self, operator: str, node: str, wanted: Wanted) -> Unsettled:
        """Names that spoke against a node, and that nobody asked again long enough afterwards."""
        async with self._engine.connect() as connection:
            return await unsettled(connection, operator, node, wanted)

    async def open_round(
        self, probe: Identity, operators: Sequence[str], handed: Sequence[str], now: datetime
    ) -> Round | None:
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
            .where(or_(rounds.c.address != "", rounds.c.operator_id.in_(handed)))
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
            endpoint(row),
            row.number,
            row.seed,
            row.sample_serial,
            row.drawn_at,
            row.expires_at,
            tuple(asked.get(row.round_id, ())),
        )

    async def add_assignment(self, assignment: Assignment) -> bool:
        """Stores an assignment and enters it into the ledger; False where the probe was given that round already."""
        values = {**vars(assignment), "operator_id": assignment.operator, "positions": list(assignment.positions)}
        del values["operator"], values["extras"]
        values["questions"] = len(assignment.positions) + len(assignment.extras)
        statement = postgresql.insert(assignments).values(values).on_conflict_do_nothing()
        own = and_(
            assignments.c.operator_id == assignment.operator,
            assignments.c.assignment_id == assignment.assignment_id,
        )
        async with self._engine.begin() as connection:
            stored = await connection.execute(statement.returning(assignments.c.assignment_id))
            if stored.first() is None:
                return False
            if assignment.extras:
                rows = [_extra(assignment, place, one) for place, one in enumerate(assignment.extras)]
                await connection.execute(insert(extra_questions), rows)
            drawn = await asked_of(connection, assignment.operator, assignment.round_id)
            asked = [*(drawn[position] for position in assignment.positions), *assignment.extras]
            index = await append(connection, [_leaf(assignment, asked)])
            await connection.execute(update(assignments).where(own).values(log_index=index))
        return True

    async def unreported(self, start: datetime, end: datetime) -> list[Unreported]:
        """By operator and probe, what was given out and did not come back, of assignments that ended in that time."""
        given, seen = assignments.c, observations.c
        came = (
            select(seen.operator_id, seen.assignment_id, func.count().label("total"))
            .where(seen.asked_at >= start - MARGIN, seen.asked_at < end + MARGIN)
            .group_by(seen.operator_id, seen.assignment_id)
            .subquery()
        )
        asked = func.coalesce(given.questions, func.cardinality(given.positions))
        told = func.coalesce(came.c.total, 0)
        wanted = (
            select(
                given.operator_id,
                given.probe_organisation,
                given.probe,
                func.count().label("assignments"),
                func.count().filter(told == 0).label("silent"),
                func.sum(asked).label("questions"),
                func.sum(func.greatest(asked - told, 0)).label("unreported"),
            )
            .outerjoin(came, and_(came.c.operator_id == given.operator_id, came.c.assignment_id == given.assignment_id))
            .where(given.expires_at >= start, given.expires_at < end)
            .group_by(given.operator_id, given.probe_organisation, given.probe)
            .order_by(given.operator_id, given.probe_organisation, given.probe)
        )
        async with self._engine.connect() as connection:
            return [
                Unreported(
                    row.operator_id,
                    f"{row.probe_organisation}/{row.probe}",
                    row.assignments,
                    row.silent,
                    int(row.questions),
                    int(row.unreported),
                )
                for row in await connection.execute(wanted)
            ]

    async def given(self, operator: str, challenge_id: bytes) -> Mapping[str, int]:
        """By qname, how many questions of a challenge were given out."""
        extra = extra_questions.c
        wanted = (
            select(extra.qname, func.count().label("total"))
            .where(extra.operator_id == operator, extra.challenge_id == challenge_id)
            .group_by(extra.qname)
        )
        async with self._engine.connect() as connection:
            return {row.qname: row.total for row in await connection.execute(wanted)}

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
            extras = await _extras(connection, [(row.operator_id, row.assignment_id) for row in rows])
        return {
            row.assignment_id: _issued(row, asked.get(row.round_id, ()), extras.get(row.assignment_id, ()))
            for row in rows
        }


def _extra(assignment: Assignment, place: int, question: Question) -> dict[str, Any]:
    return {
        "operator_id": assignment.operator,
        "assignment_id": assignment.assignment_id,
        "position": len(assignment.positions) + place,
        "qname": question.qname,
        "qtype": question.qtype,
        "arm": question.arm,
        "category": question.category,
        "order_reference": question.order,
        "added_serial": question.added_serial,
        "added_at": question.added_at,
        "challenge_id": question.challenge or None,
    }


async def _extras(connection: AsyncConnection, keys: Sequence[tuple[str, bytes]]) -> dict[bytes, list[Question]]:
    """What assignments ask beside their rounds, each named by its operator and id."""
    extra = extra_questions.c
    rows = await connection.execute(
        select(extra_questions)
        .where(tuple_(extra.operator_id, extra.assignment_id).in_(keys))
        .order_by(extra.assignment_id, extra.position)
    )
    found: dict[bytes, list[Question]] = {}
    for row in rows:
        one = _question(row, challenge=row.challenge_id or b"")
        found.setdefault(row.assignment_id, []).append(one)
    return found


def questions_digest(asked: Sequence[Question]) -> str:
    """What the ledger knows of questions: SHA-256."""
    told = [[one.qname, one.qtype, one.arm, int(one.dnssec_ok), one.challenge.hex()] for one in asked]
    return hashlib.sha256(canonical.encode({"questions": told})).hexdigest()


def _leaf(assignment: Assignment, asked: Sequence[Question]) -> NewLeaf:
    """What the ledger knows of an assignment before its probe does: names by their digest alone."""
    what = {
        "type": "assignment",
        "assignment": assignment.assignment_id.hex(),
        "operator": assignment.operator,
        "round": assignment.round_id.hex(),
        "probe": f"{assignment.probe_organisation}/{assignment.probe}",
        "issued_at": int(assignment.issued_at.timestamp()),
        "expires_at": int(assignment.expires_at.timestamp()),
        "questions": len(asked),
        "sha256": questions_digest(asked),
    }
    return NewLeaf(Kind.ASSIGNMENT, canonical.encode(what), f"assignment/{assignment.assignment_id.hex()}")


def _issued(row: Row[Any], asked: Sequence[Question], extras: Sequence[Question]) -> Issued:
    assignment = Assignment(
        row.operator_id,
        row.assignment_id,
        row.round_id,
        row.probe_organisation,
        row.probe,
        row.issued_at,
        row.expires_at,
        tuple(row.positions),
        tuple(extras),
    )
    ordered = (*(asked[position] for position in assignment.positions), *extras)
    return Issued(assignment, row.node, endpoint(row), ordered)

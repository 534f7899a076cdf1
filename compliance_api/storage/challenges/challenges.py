"""Challenges in PostgreSQL: what was drawn, what nodes opened, and what probes saw answered.

Holds always: a challenge and its leaf are stored together, and so are an opening and its leaf; an hour of a node has
one challenge, a challenge one answer; what was answered is counted from the observations' signed bytes.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import Row, and_, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.challenges.challenge import HOUR, NO_COMMITMENT, Challenge, Rule, State
from compliance_api.domain.challenges.openness import Hour
from compliance_api.domain.challenges.outcome import Opened
from compliance_api.domain.drawing.sampling import ListedName
from compliance_api.domain.observations.answered import Answered, countable
from compliance_api.domain.observations.observation import Path, Shape
from compliance_api.domain.reports.chain import Relation
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.probing.paths import way_of_session
from compliance_api.storage.tables import (
    challenges,
    draws,
    observations,
    reports,
    revocations,
    session_paths,
)
from compliance_api.usecases.challenges.challenge import PURPOSE, Answer
from lachan import canonical
from lachan.compliance.v1 import challenge_service_pb2, probe_service_pb2, report_pb2
from lachan.ledger.leaf import Kind
from lachan.tls import Role

MAX_BUSY = 5000
DAY_SECONDS = 86_400
HOUR_SECONDS = 3600
STEPPED_MS = 500
"""Steps of a node's clock within a window, from which on its hits may lie in another."""
# As the release before this one told them, whose text stands in older rows.
_NO_COMMITMENT = frozenset({NO_COMMITMENT, "no report of the node commits to the hour"})


def _plain(rule: Rule) -> dict[str, Any]:
    return {
        "qname": rule.qname,
        # JSON has no unsigned words of 64 bits.
        "fingerprint": f"{rule.fingerprint:016x}",
        "times": rule.times,
        "category": rule.category,
        "order": rule.order,
        "added_serial": rule.added_serial,
        "added_at": int(rule.added_at.timestamp()),
    }


def _rule(plain: Mapping[str, Any]) -> Rule:
    return Rule(
        plain["qname"],
        int(plain["fingerprint"], 16),
        plain["times"],
        plain["category"],
        plain["order"],
        plain["added_serial"],
        datetime.fromtimestamp(plain["added_at"], UTC),
    )


def _challenge(row: Row[Any]) -> Challenge:
    return Challenge(
        row.operator_id,
        row.challenge_id,
        row.node,
        row.hour,
        row.drawn_at,
        row.serial,
        tuple(_rule(one) for one in row.rules),
        row.open_from,
        row.deadline,
    )


def _state(row: Row[Any]) -> State:
    """How a challenge ended; the release before this one knows no word for what nobody had committed to."""
    if row.state == State.UNTRUE and row.reason in _NO_COMMITMENT:
        return State.UNCOMMITTED
    return State(row.state)


def _leaf(challenge: Challenge, rules: Sequence[Mapping[str, Any]], drawn_from: bytes) -> NewLeaf:
    what = {
        "type": "challenge",
        "challenge": challenge.challenge_id.hex(),
        "operator": challenge.operator,
        "node": challenge.node,
        "hour": int(challenge.hour.timestamp()),
        "serial": challenge.serial,
        "open_from": int(challenge.open_from.timestamp()),
        "deadline": int(challenge.deadline.timestamp()),
        "rules": hashlib.sha256(canonical.encode({"rules": list(rules)})).hexdigest(),
        "drawn_from": hashlib.sha256(drawn_from).hexdigest(),
    }
    return NewLeaf(Kind.CHALLENGE, canonical.encode(what), f"challenge/{challenge.challenge_id.hex()}")


def _names(names: Sequence[ListedName]) -> bytes:
    rows = [
        [one.qname, f"{one.fingerprint:016x}", one.category, one.order, one.added_serial, int(one.added_at.timestamp())]
        for one in names
    ]
    return canonical.encode({"names": sorted(rows)})


class Challenges:
    """The store that `compliance_api.usecases.challenges.challenge` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def is_drawn(self, operator: str, node: str, hour: datetime) -> bool:
        """Whether the hour's challenge was drawn already."""
        own = and_(challenges.c.operator_id == operator, challenges.c.node == node, challenges.c.hour == hour)
        async with self._engine.connect() as connection:
            return (await connection.execute(select(challenges.c.hour).where(own))).first() is not None

    async def busy(self, operator: str, since: datetime) -> frozenset[str]:
        """Entries that challenges since then found to be asked often by others."""
        wanted = (
            select(func.unnest(challenges.c.busy))
            .where(challenges.c.operator_id == operator, challenges.c.hour >= since, challenges.c.busy.is_not(None))
            .limit(MAX_BUSY)
        )
        async with self._engine.connect() as connection:
            return frozenset((await connection.execute(wanted)).scalars())

    async def add(self, challenge: Challenge, names: Sequence[ListedName]) -> None:
        """Stores a challenge and what it was drawn from, and enters it into the ledger, unless it was drawn already."""
        rules = [_plain(rule) for rule in challenge.rules]
        drawn_from = _names(names)
        row = {
            "operator_id": challenge.operator,
            "challenge_id": challenge.challenge_id,
            "node": challenge.node,
            "hour": challenge.hour,
            "drawn_at": challenge.drawn_at,
            "serial": challenge.serial,
            "rules": rules,
            "open_from": challenge.open_from,
            "deadline": challenge.deadline,
            "log_index": -1,
            "state": State.DRAWN,
            "reason": "",
        }
        number = int(challenge.hour.timestamp())
        kept = {
            "operator_id": challenge.operator,
            "purpose": f"{PURPOSE}/{challenge.node}",
            "number": number,
            "content": zlib.compress(drawn_from),
        }
        async with self._engine.begin() as connection:
            new = postgresql.insert(challenges).values(row).on_conflict_do_nothing()
            if (await connection.execute(new.returning(challenges.c.node))).first() is None:
                return
            await connection.execute(postgresql.insert(draws).values(kept).on_conflict_do_nothing())
            index = await append(connection, [_leaf(challenge, rules, drawn_from)])
            await connection.execute(update(challenges).where(_own(challenge)).values(log_index=index))

    async def challenged(self, operator: str, node: str, hour: datetime) -> Challenge | None:
        """The challenge of that hour; None where there is none."""
        own = and_(challenges.c.operator_id == operator, challenges.c.node == node, challenges.c.hour == hour)
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(challenges).where(own))).first()
        return _challenge(row) if row is not None else None

    async def pending(self, operator: str, node: str, now: datetime, limit: int) -> list[Challenge]:
        """Those that the node is to open now, the nearest deadline first."""
        # Late is better than never, as long as a node can have kept what it committed to.
        wanted = (
            select(challenges)
            .where(challenges.c.operator_id == operator, challenges.c.node == node)
            .where(challenges.c.open_from <= now, challenges.c.hour > now - timedelta(days=8))
            .where(challenges.c.state.in_((State.DRAWN, State.UNANSWERED)))
            .order_by(challenges.c.deadline)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [_challenge(row) for row in await connection.execute(wanted)]

    async def challenge(self, operator: str, node: str, challenge_id: bytes) -> tuple[Challenge, bytes | None] | None:
        """A challenge of that node, with what the node answered."""
        own = and_(challenges.c.operator_id == operator, challenges.c.challenge_id == challenge_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(challenges).where(own, challenges.c.node == node))).first()
        return (_challenge(row), row.opening) if row is not None else None

    async def roots(self, challenge: Challenge) -> set[bytes]:
        """What the node had committed to for the challenged hour by the time it was asked.

        Reports of the next hour tell it. What came later was committed to by who may have known what is asked. Of
        several roots none counts where the node declared in between that its disk was lost.
        """
        kept, hour = reports.c, challenge.hour
        wanted = (
            select(kept.report)
            .where(kept.operator_id == challenge.operator, kept.node == challenge.node)
            .where(kept.relation != Relation.EQUIVOCATION, kept.accepted_at <= challenge.open_from)
            .where(kept.window_start >= hour + HOUR, kept.window_start < hour + 2 * HOUR)
        )
        found, lost = set(), False
        async with self._engine.connect() as connection:
            for data in (await connection.execute(wanted)).scalars():
                told = report_pb2.Report.FromString(data)
                lost |= told.spool_lost
                if told.HasField("rule_commitment") and told.rule_commitment.hour == int(hour.timestamp()):
                    found.add(told.rule_commitment.root)
        return set() if lost and len(found) > 1 else found

    async def answer(self, challenge: Challenge, answer: Answer) -> None:
        """Stores an answer and enters it into the ledger, unless there is one."""
        kept = challenge_service_pb2.SignedOpening(
            opening=answer.opening, signature=answer.signature, key_id=answer.key_id
        )
        leaf = NewLeaf(
            Kind.OPENING,
            kept.SerializeToString(deterministic=True),
            f"challenge/{challenge.challenge_id.hex()}",
        )
        values = {
            "state": State.UNTRUE if answer.state is State.UNCOMMITTED else answer.state,
            "reason": answer.reason,
            "answered_at": answer.answered_at,
            "opening": answer.opening,
            "signature": answer.signature,
            "key_id": answer.key_id,
            "reported": dict(answer.reported),
            "beyond": answer.beyond,
        }
        async with self._engine.begin() as connection:
            own = select(challenges.c.opening).where(_own(challenge)).with_for_update()
            if (await connection.execute(own)).scalar_one() is not None:
                return
            index = await append(connection, [leaf])
            await connection.execute(update(challenges).where(_own(challenge)).values(**values, opening_index=index))

    async def expire(self, now: datetime) -> int:
        """Notes those whose deadline is over as unanswered; how many."""
        late = update(challenges).where(challenges.c.state == State.DRAWN, challenges.c.deadline < now)
        async with self._engine.begin() as connection:
            done = await connection.execute(late.values(state=State.UNANSWERED).returning(challenges.c.challenge_id))
            return len(done.all())

    async def results(
        self, operator: str, start: datetime, end: datetime, explained: Callable[[int], int]
    ) -> list[Opened]:
        """What became of the challenges whose hours lie between; answered queries are counted anew."""
        wanted = (
            select(challenges)
            .where(challenges.c.operator_id == operator, challenges.c.hour >= start, challenges.c.hour < end)
            .order_by(challenges.c.hour, challenges.c.node)
        )
        found = []
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            async with connection.begin():
                for row in (await connection.execute(wanted)).all():
                    one, state = _challenge(row), _state(row)
                    answered = await _answered(connection, one, explained) if state is State.OPENED else {}
                    total = await _total(connection, one) if state is State.OPENED else None
                    found.append(Opened(one, state, row.reported or {}, row.beyond or 0, answered, total))
        return found

    async def hours(self, operator: str, nodes: Sequence[str], start: datetime, end: datetime) -> list[Hour]:
        """How the challenged hours between two moments ended, but those of nodes that were none then."""
        kept, gone = challenges.c, revocations.c
        away = exists().where(
            gone.organisation == kept.operator_id,
            gone.role == Role.NODE,
            gone.name == kept.node,
            gone.fingerprint == b"",
            gone.revoked_at < kept.deadline,
            or_(gone.lifted_at.is_(None), gone.lifted_at > kept.hour),
        )
        wanted = (
            select(kept.challenge_id, kept.node, kept.hour, kept.state, kept.reason, kept.reported)
            .add_columns(func.jsonb_array_length(kept.rules).label("size"))
            .where(kept.operator_id == operator, kept.node.in_(nodes), kept.hour >= start, kept.hour < end, ~away)
            .order_by(kept.hour, kept.node)
        )
        async with self._engine.connect() as connection:
            return [
                Hour(
                    row.challenge_id,
                    row.node,
                    row.hour,
                    _state(row),
                    row.size,
                    sum(one is None for one in (row.reported or {}).values()),
                )
                for row in await connection.execute(wanted)
            ]

    async def loads(self, operator: str, since: datetime) -> dict[str, int]:
        """Queries that the nodes of an operator answer in a day, by what those that measured them reported since."""
        kept = reports.c
        wanted = (
            select(kept.node, func.sum(kept.queries).label("queries"), func.sum(kept.window_seconds).label("seconds"))
            .where(kept.operator_id == operator, kept.window_start >= since, kept.relation != Relation.EQUIVOCATION)
            .where(kept.queries_measured)
            .group_by(kept.node)
        )
        async with self._engine.connect() as connection:
            return {
                row.node: int(row.queries) * DAY_SECONDS // max(int(row.seconds), HOUR_SECONDS)
                for row in await connection.execute(wanted)
            }

    async def note(self, operator: str, busy: Mapping[bytes, Sequence[str]]) -> None:
        """Stores which entries challenges found to be asked often."""
        async with self._engine.begin() as connection:
            for challenge_id, names in busy.items():
                own = and_(challenges.c.operator_id == operator, challenges.c.challenge_id == challenge_id)
                await connection.execute(update(challenges).where(own).values(busy=list(names)))


def _own(challenge: Challenge) -> Any:
    return and_(challenges.c.operator_id == challenge.operator, challenges.c.challenge_id == challenge.challenge_id)


async def _total(connection: AsyncConnection, challenge: Challenge) -> int | None:
    """Hits on listed names that the node reported for the hour; None where a window is missing or counts otherwise.

    Every hit is counted once for its name and once in its window, by one clock. In shadow mode hits are not told as
    blocks; a clock that was set may have put some into windows that were told before.
    """
    kept, hour = reports.c, challenge.hour
    wanted = (
        select(kept.window_start, kept.window_seconds, kept.blocked, kept.enforcing, kept.report)
        .where(kept.operator_id == challenge.operator, kept.node == challenge.node)
        .where(kept.window_start >= hour, kept.window_start < hour + 2 * HOUR, kept.relation != Relation.EQUIVOCATION)
    )
    total, seconds = 0, dict[datetime, int]()
    for row in await connection.execute(wanted):
        if report_pb2.Report.FromString(row.report).clock.stepped_ms >= STEPPED_MS:
            return None
        if row.window_start < hour + HOUR:
            if not row.enforcing:
                return None
            total += row.blocked
            seconds[row.window_start] = row.window_seconds
    return total if sum(seconds.values()) == HOUR_SECONDS else None


async def _answered(
    connection: AsyncConnection, challenge: Challenge, explained: Callable[[int], int]
) -> dict[str, int]:
    """By qname, exchanges that the node answered within the hour, as far as it must have counted them.

    Whatever a probe asked the node for counts, be it for the challenge or not: the node counted it too.
    """
    seen, path = observations.c, session_paths.c
    session = and_(path.operator_id == seen.operator_id, path.assignment_id == seen.assignment_id)
    wanted = (
        select(seen.qname, seen.observation, seen.vantage_point, seen.shape, way_of_session().label("way"))
        .outerjoin(session_paths, session)
        .where(seen.operator_id == challenge.operator, seen.node == challenge.node)
        .where(seen.asked_at >= challenge.hour, seen.asked_at < challenge.hour + HOUR)
        .where(seen.qname.in_([rule.qname for rule in challenge.rules]))
    )
    found: list[Answered] = []
    for row in await connection.execute(wanted):
        try:
            told = probe_service_pb2.Observation.FromString(row.observation)
        except DecodeError:
            continue
        if told.resolver.outcome == probe_service_pb2.OUTCOME_ANSWERED:
            found.append(Answered(row.qname, row.vantage_point, Path(row.way), Shape(row.shape)))
    return countable(found, explained)

"""Challenges in PostgreSQL: what was drawn, what nodes opened, and what probes saw answered.

Holds always: a challenge and its leaf are stored together, and so are an opening and its leaf; an hour of a node has
one challenge, a challenge one answer; what was answered is counted from the observations' signed bytes.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import Row, and_, func, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.answered import Answered, countable
from compliance_api.domain.chain import Relation
from compliance_api.domain.challenge import HOUR, Challenge, ChallengeOutcome, Opened, Rule, State
from compliance_api.domain.observation import Path, Shape
from compliance_api.domain.sampling import ListedName
from compliance_api.domain.statistics.slope import Moments
from compliance_api.storage.ledger import NewLeaf, append
from compliance_api.storage.paths import way_of_session
from compliance_api.storage.tables import (
    challenge_outcomes,
    challenges,
    draws,
    observations,
    reports,
    session_paths,
)
from compliance_api.usecases.challenge import PURPOSE, Answer
from lachan import canonical
from lachan.compliance.v1 import challenge_service_pb2, probe_service_pb2, report_pb2
from lachan.ledger.leaf import Kind

MAX_BUSY = 5000


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


def _leaf(challenge: Challenge, rules: Sequence[Mapping[str, Any]], drawn_from: bytes) -> NewLeaf:
    what = {
        "type": "challenge",
        "challenge": challenge.challenge_id.hex(),
        "operator": challenge.operator,
        "node": challenge.node,
        "hour": int(challenge.hour.timestamp()),
        "serial": challenge.serial,
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
    """The store that `compliance_api.usecases.challenge` asks for."""

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

    async def roots(self, operator: str, node: str, hour: datetime) -> set[bytes]:
        """What the node's stored reports commit to for that hour; reports of the next hour tell it."""
        kept = reports.c
        wanted = (
            select(kept.report)
            .where(kept.operator_id == operator, kept.node == node, kept.relation != Relation.EQUIVOCATION)
            .where(kept.window_start >= hour + HOUR, kept.window_start < hour + 2 * HOUR)
        )
        found = set()
        async with self._engine.connect() as connection:
            for data in (await connection.execute(wanted)).scalars():
                told = report_pb2.Report.FromString(data)
                if told.HasField("rule_commitment") and told.rule_commitment.hour == int(hour.timestamp()):
                    found.add(told.rule_commitment.root)
        return found

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
            "state": answer.state,
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
                    one = _challenge(row)
                    answered = await _answered(connection, one, explained) if row.state == State.OPENED else {}
                    found.append(Opened(one, State(row.state), row.reported or {}, row.beyond or 0, answered))
        return found

    async def outcome(self, operator: str, end: datetime) -> ChallengeOutcome | None:
        """What challenges said over the days up to a moment, as it was last summed up; None where there were none."""
        kept = challenge_outcomes.c
        wanted = select(challenge_outcomes).where(kept.operator_id == operator, kept.ends_at == end)
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).first()
        if row is None:
            return None
        return ChallengeOutcome(
            operator,
            row.starts_at,
            end,
            row.opened,
            row.refused,
            row.untrue,
            row.unanswered,
            row.absent,
            Moments(*(int(one) for one in row.sums)),
            None,
            row.accuses,
            (row.slope_low, row.slope_high) if row.slope_low is not None else None,
        )

    async def save(self, found: ChallengeOutcome, busy: Mapping[bytes, Sequence[str]], now: datetime) -> None:
        """Stores an outcome, and which entries challenges found to be asked often."""
        low, high = found.bounds or (None, None)
        values = {
            "starts_at": found.start,
            "computed_at": now,
            "opened": found.opened,
            "refused": found.refused,
            "untrue": found.untrue,
            "unanswered": found.unanswered,
            "absent": found.absent,
            "sums": [str(one) for one in astuple(found.sums)],
            "slope_low": low,
            "slope_high": high,
            "accuses": found.accuses,
        }
        key = {"operator_id": found.operator, "ends_at": found.end}
        async with self._engine.begin() as connection:
            new = postgresql.insert(challenge_outcomes).values({**key, **values})
            await connection.execute(new.on_conflict_do_update(index_elements=list(key), set_=values))
            for challenge_id, names in busy.items():
                own = and_(challenges.c.operator_id == found.operator, challenges.c.challenge_id == challenge_id)
                await connection.execute(update(challenges).where(own).values(busy=list(names)))


def _own(challenge: Challenge) -> Any:
    return and_(challenges.c.operator_id == challenge.operator, challenges.c.challenge_id == challenge.challenge_id)


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

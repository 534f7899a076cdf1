"""Observations in PostgreSQL: raw bytes as signed, beside them what they say and who asked whom."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.observations.observation import UNLISTED, Arm
from compliance_api.domain.observations.strange import StrangeAddress
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.probing.assignments import Assignments
from compliance_api.storage.tables import assignments, observations
from compliance_api.usecases.probing.observe import Issued, Observed
from compliance_api.usecases.probing.ooni import Seen
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind
from lachan.tls import Identity

MAX_STRANGE = 1000
# In the order of `Seen`.
_EXPORTED = (
    "assignment_id",
    "question",
    "asked_at",
    "operator_id",
    "access_network",
    "endpoint",
    "transport",
    "qname",
    "qtype",
    "category",
    "arm",
    "result",
    "shape",
    "shapes",
    "observation",
)


def _row(one: Observed) -> dict[str, Any]:
    assignment = one.issued.assignment
    question = one.issued.questions[one.index]
    return {
        "operator_id": assignment.operator,
        "assignment_id": assignment.assignment_id,
        "question": one.index,
        "digest": one.digest,
        "asked_at": one.asked_at,
        "received_at": one.received_at,
        "probe_organisation": assignment.probe_organisation,
        "probe": assignment.probe,
        "vantage_point": one.probe.vantage_point,
        "access_network": one.probe.access_network,
        "custodian": one.probe.custodian,
        "node": one.issued.node,
        "endpoint": str(one.endpoint),
        "transport": one.endpoint.transport,
        "family": one.endpoint.family,
        "earliest": one.earliest,
        "latest": one.latest,
        "qname": question.qname,
        "qtype": question.qtype,
        "dnssec_ok": question.dnssec_ok,
        "again": question.again,
        "arm": question.arm,
        "category": question.category,
        "order_reference": question.order,
        "added_serial": question.added_serial,
        "added_at": question.added_at,
        "result": one.seen.result,
        "shape": one.seen.shape,
        "reference_alive": one.seen.reference_alive,
        "shapes": one.shapes,
        "path": one.path,
        "strange": list(one.strange) or None,
        "ended": one.ended or None,
        "observation": one.observation,
        "signature": one.signature,
        "key_id": one.key_id,
    }


def _leaf(one: Observed) -> NewLeaf:
    subject = f"{one.issued.assignment.operator}/{one.issued.node}"
    return NewLeaf(Kind.OBSERVATION, signed(one.observation, one.signature, one.key_id), subject)


class Observations:
    """The store that `compliance_api.usecases.probing.observe` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._assignments = Assignments(engine)

    async def issued(self, probe: Identity, assignments: Sequence[bytes]) -> Mapping[bytes, Issued]:
        """Those of the assignments that were given to this probe."""
        return await self._assignments.issued(probe, assignments)

    async def digests(self, issued: Sequence[Issued]) -> Mapping[tuple[bytes, int], bytes]:
        """The digests of the observations stored for these assignments, by assignment and index."""
        if not issued:
            return {}
        kept = observations.c
        wanted = select(kept.assignment_id, kept.question, kept.digest).where(
            kept.operator_id.in_({one.assignment.operator for one in issued}),
            kept.assignment_id.in_({one.assignment.assignment_id for one in issued}),
        )
        async with self._engine.connect() as connection:
            return {(row.assignment_id, row.question): row.digest for row in await connection.execute(wanted)}

    async def export(self, since: datetime, until: datetime, operator: str | None = None) -> AsyncIterator[Seen]:
        """What was asked between two moments, oldest first, of one operator or of all."""
        kept = observations.c
        wanted = (
            select(*(kept[name] for name in _EXPORTED))
            .where(kept.asked_at >= since, kept.asked_at < until)
            .order_by(kept.asked_at, kept.assignment_id, kept.question)
        )
        if operator is not None:
            wanted = wanted.where(kept.operator_id == operator)
        async with self._engine.connect() as connection:
            async for row in await connection.stream(wanted):
                yield Seen(*row)

    async def strange(self, since: datetime, until: datetime) -> list[StrangeAddress]:
        """The addresses that no reference gave, with how many names they were the answer for between two moments."""
        kept = observations.c
        address = func.unnest(kept.strange).label("address")
        seen = (
            select(kept.operator_id, address, kept.qname, kept.vantage_point, kept.arm)
            .where(kept.asked_at >= since, kept.asked_at < until, kept.strange.is_not(None))
            .subquery()
        )
        listed = seen.c.arm == Arm.LISTED
        names = func.count(seen.c.qname.distinct())
        wanted = (
            select(
                seen.c.operator_id,
                seen.c.address,
                names.filter(listed).label("names"),
                func.count(seen.c.vantage_point.distinct()).filter(listed).label("lines"),
                names.filter(seen.c.arm.in_(UNLISTED)).label("unlisted"),
            )
            .group_by(seen.c.operator_id, seen.c.address)
            .having(names.filter(listed) > 1)
            .order_by(names.filter(listed).desc(), seen.c.operator_id, seen.c.address)
            .limit(MAX_STRANGE)
        )
        async with self._engine.connect() as connection:
            return [
                StrangeAddress(row.operator_id, row.address, row.names, row.lines, row.unlisted)
                for row in await connection.execute(wanted)
            ]

    async def add(self, new: Sequence[Observed]) -> None:
        """Stores those not stored yet, all in one transaction."""
        places = {(one.issued.assignment.operator, one.issued.assignment.assignment_id) for one in new}
        given = tuple_(assignments.c.operator_id, assignments.c.assignment_id).in_(places)
        kept = observations.c
        stored = select(kept.assignment_id, kept.question).where(
            tuple_(kept.operator_id, kept.assignment_id).in_(places)
        )
        async with self._engine.begin() as connection:
            # Whoever hands in the same ones at the same moment waits here: nothing is entered into the ledger twice.
            own = select(assignments.c.assignment_id).where(given).order_by(*assignments.primary_key)
            await connection.execute(own.with_for_update())
            there = {(row.assignment_id, row.question) for row in await connection.execute(stored)}
            fresh = [one for one in new if (one.issued.assignment.assignment_id, one.index) not in there]
            if not fresh:
                return
            first = await append(connection, [_leaf(one) for one in fresh])
            rows = [{**_row(one), "log_index": index} for index, one in enumerate(fresh, first)]
            await connection.execute(insert(observations), rows)

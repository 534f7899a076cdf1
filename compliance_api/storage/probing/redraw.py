"""Draws a day's rounds again, and holds what probes were given against it and against the ledger.

Holds always: it only reads, in one snapshot; each part is compared with what the ledger was told before the part
behind it was: the seed's digest, then what was drawn from, then what each probe was given.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.drawing.draws import derived
from compliance_api.domain.drawing.sampling import Inputs
from compliance_api.ledger import document
from compliance_api.storage.probing.assignments import asked_of, endpoint, questions_digest
from compliance_api.storage.tables import assignments, draws, ledger_leaves, rounds, seeds
from compliance_api.usecases.probing.assignment import PURPOSE
from compliance_api.usecases.probing.plan import Plan, questions
from compliance_api.usecases.probing.question import Question


@dataclass(frozen=True)
class Redrawn:
    """One round, drawn again."""

    node: str
    endpoint: str
    number: int
    questions: int
    assignments: int
    wrong: tuple[str, ...]
    """What does not agree; empty where all of it does."""


@dataclass(frozen=True)
class _Told:
    """A leaf, and what it says."""

    index: int
    says: dict[str, Any]


async def redraw(engine: AsyncEngine, plan: Plan, operator: str, day: date) -> list[Redrawn]:
    """The rounds of one day (UTC), in their order.

    Args:
        engine: The database.
        plan: How rounds are made up, as it was on that day.
        operator: Whose.
        day: Which.
    """
    begins = datetime.combine(day, datetime.min.time(), UTC)
    ends = begins + timedelta(days=1)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        async with connection.begin():
            kept = rounds.c
            first, behind = (int(-(-one.timestamp() // plan.interval)) for one in (begins, ends))
            wanted = select(rounds).where(kept.operator_id == operator, kept.number >= first, kept.number < behind)
            rows = (await connection.execute(wanted.order_by(kept.number, kept.node, kept.round_id))).all()
            own = seeds.c.operator_id == operator, seeds.c.purpose == PURPOSE, seeds.c.day == day
            seed = (await connection.execute(select(seeds).where(*own))).one_or_none()
            return [await _round(connection, plan, one, seed) for one in rows]


async def _leaf(connection: AsyncConnection, *which: Any) -> _Told | None:
    kept = ledger_leaves.c
    found = (
        await connection.execute(
            select(kept.log_index, kept.content).where(*which).order_by(kept.log_index.desc()).limit(1)
        )
    ).one_or_none()
    return _Told(found.log_index, document.read(found.content or b"")) if found is not None else None


async def _round(connection: AsyncConnection, plan: Plan, one: Row[Any], seed: Row[Any] | None) -> Redrawn:
    given = assignments.c
    own = select(assignments).where(given.operator_id == one.operator_id, given.round_id == one.round_id)
    probes = (await connection.execute(own.order_by(given.assignment_id))).all()
    stored = await asked_of(connection, one.operator_id, one.round_id)
    wrong: list[str] = []
    at = ledger_leaves.c.log_index
    committed = await _leaf(connection, at == seed.committed_index) if seed is not None else None
    if seed is None or committed is None:
        wrong.append("its day's seed is not kept, or was never committed to")
    elif committed.says.get("sha256") != hashlib.sha256(seed.seed).hexdigest():
        wrong.append(f"its day's seed is not what leaf {committed.index} committed to")
    elif one.seed != derived(seed.seed, str(one.number)):
        wrong.append("its seed does not follow from the day's")
    drawn = await _leaf(connection, ledger_leaves.c.subject == f"draw/{one.operator_id}/{one.number}")
    wrong += await _drawn(connection, plan, one, stored, drawn)
    for probe in probes:
        leaf = await _leaf(connection, at == probe.log_index) if probe.log_index is not None else None
        wrong += _given(probe, stored, leaf, drawn, committed)
    return Redrawn(one.node, str(endpoint(one)), one.number, len(stored), len(probes), tuple(wrong))


async def _drawn(
    connection: AsyncConnection, plan: Plan, one: Row[Any], stored: Sequence[Question], told: _Told | None
) -> list[str]:
    """Whether the round's questions are those that the inputs and the seed give."""
    kept = draws.c
    own = kept.operator_id == one.operator_id, kept.purpose == PURPOSE, kept.number == one.number
    packed = (await connection.execute(select(kept.content).where(*own))).scalar_one_or_none()
    if packed is None or told is None:
        return ["what it was drawn from is not kept any more: it cannot be drawn again"]
    content = zlib.decompress(packed)
    if told.says.get("inputs") != hashlib.sha256(content).hexdigest():
        return [f"what it was drawn from is not what leaf {told.index} says"]
    inputs = Inputs.decode(content)
    resolver = f"{one.node}/{endpoint(one)}"
    again = questions(plan, inputs, one.seed, resolver, inputs.spared(one.node))
    if [_key(question) for question in again] != [_key(question) for question in stored]:
        return ["drawn again, by this configuration, other questions come"]
    return []


def _given(
    probe: Row[Any], stored: Sequence[Question], leaf: _Told | None, drawn: _Told | None, seed: _Told | None
) -> Iterator[str]:
    """What is wrong with one probe's share."""
    name = f"assignment {probe.assignment_id.hex()}"
    if leaf is None:
        yield f"{name}: is not in the ledger"
        return
    if any(before is not None and before.index > leaf.index for before in (drawn, seed)):
        yield f"{name}: leaf {leaf.index} stands in front of what it was drawn by"
    if probe.questions == len(probe.positions) and leaf.says.get("sha256") != questions_digest(
        [stored[place] for place in probe.positions if place < len(stored)]
    ):
        yield f"{name}: is not what leaf {leaf.index} says"


def _key(one: Question) -> tuple[Any, ...]:
    return one.qname, one.qtype, str(one.arm), one.dnssec_ok, one.again

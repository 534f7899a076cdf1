"""Every table's term on a real PostgreSQL: what is over goes, with what belongs to it, and what is needed stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.law.retention import RetentionSettings
from compliance_api.storage.tables import metadata
from compliance_api.storage.upkeep.holds import Holds
from compliance_api.storage.upkeep.terms import TERMS, Term
from compliance_api.storage.upkeep.upkeep import Upkeep
from tests.support import schemas

NOW = datetime.now(UTC).replace(microsecond=0)
# Longer ago than anything but sums by the hour is kept.
OLD = NOW - timedelta(days=400)
SESSION, ROUND, CHALLENGE, FINDING = b"s" * 16, b"r" * 16, b"c" * 16, b"f" * 16
SPECIAL: dict[str, dict[str, Any]] = {
    "assignments": {"assignment_id": SESSION, "round_id": ROUND, "log_index": 1},
    "challenges": {"challenge_id": CHALLENGE, "node": "edge-1", "log_index": 2, "opening_index": 3},
    "draws": {"purpose": "challenges/edge-1", "number": int(OLD.timestamp())},
    "egress_sightings": {"assignment_id": SESSION},
    "extra_questions": {"assignment_id": SESSION},
    "finding_citations": {"finding_id": FINDING, "kind": "observation", "reference": f"{SESSION.hex()}/1"},
    "finding_steps": {"finding_id": FINDING, "next_unit": None},
    "findings": {"finding_id": FINDING, "closed_at": OLD, "evidence": [], "counts": []},
    "ledger_leaves": {"log_index": 1},
    "line_checks": {"log_index": 7},
    "legal_holds": {"released_at": OLD, "period_start": None, "period_end": None},
    "observations": {"assignment_id": SESSION, "question": 1, "log_index": 4},
    "people": {"organisation": "a", "name": "an"},
    "questions": {"round_id": ROUND},
    "reports": {"log_index": 5},
    "revocations": {"organisation": "a", "role": "person", "name": "an", "fingerprint": b"", "lifted_at": None},
    "rounds": {"round_id": ROUND},
    "session_paths": {"assignment_id": SESSION},
    "unverified_reports": {"log_index": 6},
}


def row(name: str, **more: Any) -> dict[str, Any]:
    """A row of long ago."""
    made: dict[str, Any] = {}
    for column in metadata.tables[name].columns:
        value = schemas.value(column.type, 1)
        made[column.name] = "a" if column.name == "operator_id" else value
        if isinstance(value, datetime):
            made[column.name] = OLD
        elif column.type.python_type is type(OLD.date()):
            made[column.name] = OLD.date()
    return {**made, **SPECIAL.get(name, {}), **more}


async def add(engine: AsyncEngine, name: str, **more: Any) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(metadata.tables[name]), [row(name, **more)])


async def counts(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        return {
            name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for name, table in metadata.tables.items()
        }


async def fill(engine: AsyncEngine) -> None:
    """A row of long ago in every table, where it is not the only one that there may be."""
    for name in metadata.tables:
        if name not in {"log_position", "membership", "upkeep_marks"}:
            await add(engine, name)
    for number in (2, 3):
        await add(engine, "ledger_leaves", log_index=number)
    await add(engine, "draws", purpose="rounds", number=1)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE log_position SET next_index = 50"))
        # Sums are made already: else the report of long ago could not go.
        await connection.execute(text("INSERT INTO upkeep_marks (name, log_index) VALUES ('rolled_up', 100)"))


def left(found: dict[str, int]) -> set[str]:
    return {name for name, count in found.items() if count}


async def erased(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as connection:
        wanted = "SELECT log_index FROM ledger_leaves WHERE salt IS NULL AND content IS NULL ORDER BY 1"
        return list((await connection.execute(text(wanted))).scalars())


async def test_each_table_loses_what_is_over_and_nothing_else(engine: AsyncEngine) -> None:
    await fill(engine)
    job = Upkeep(engine, RetentionSettings())
    await job.run(NOW)
    for_ever = {name for name, term in TERMS.items() if term in {Term.CURRENT, Term.EVER}}
    assert left(await counts(engine)) == for_ever | {"hourly_rollups"}
    # Of the round's assignment, and of the challenge and what the node opened.
    assert await erased(engine) == [1, 2, 3]
    before = await counts(engine)
    assert (await job.run(NOW)).rows_deleted == 0
    assert await counts(engine) == before
    await job.run(OLD + timedelta(days=800))
    assert left(await counts(engine)) == for_ever


async def test_what_a_finding_or_a_hold_needs_stays_with_all_that_belongs_to_it(engine: AsyncEngine) -> None:
    session = {"rounds", "assignments", "questions", "extra_questions", "session_paths", "egress_sightings"}
    needed = session | {"observations", "finding_citations", "challenges", "draws"}
    await fill(engine)
    await add(engine, "finding_citations", finding_id=FINDING, kind="opening", reference=CHALLENGE.hex(), cited_at=OLD)
    holds, job = Holds(engine), Upkeep(engine, RetentionSettings())
    await holds.place("a", "an appeal", "auditor", NOW, finding=FINDING.hex())
    await job.run(NOW)
    found = await counts(engine)
    assert needed <= left(found)
    # What the round and the challenge were drawn from, too.
    assert (found["draws"], await erased(engine)) == (2, [])
    assert not left(found) & {"unverified_reports", "enrolment_tokens", "enrolments", "people", "seeds", "reports"}

    (held,) = [one for one in await holds.all() if one.released_at is None]
    await holds.release(held.hold_id, "the appeal was upheld", "judge", NOW)
    for when in (OLD - timedelta(hours=1), NOW):
        period = (when, when + timedelta(hours=2))
        await holds.place("a", "a court asked", "auditor", NOW, period=period)
    await job.run(NOW)
    assert {*session, "challenges", "observations"} <= left(await counts(engine))
    for one in await holds.all():
        if one.released_at is None:
            await holds.release(one.hold_id, "the case is closed", "judge", NOW)
    # Observations first, and then what they were asked under.
    await job.run(NOW)
    assert not left(await counts(engine)) & needed
    assert await erased(engine) == [1, 2, 3]


async def test_a_round_stays_as_long_as_anything_that_was_seen_in_it(engine: AsyncEngine) -> None:
    """Observations go by whole weeks: what they were asked under is there until the last of them."""
    await fill(engine)
    await add(engine, "observations", question=2, asked_at=NOW, received_at=NOW, log_index=9)
    job = Upkeep(engine, RetentionSettings())
    await job.run(NOW)
    found = await counts(engine)
    kept = ("observations", "rounds", "assignments", "questions", "extra_questions", "session_paths")
    assert [found[name] for name in kept] == [1] * 6
    assert await erased(engine) == [2, 3]

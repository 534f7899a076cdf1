"""A verdict on a period, recomputed as of when it was reached: whatever came to be known since changes no byte."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.drawing.sampling import Release
from compliance_api.domain.law.law import LawBook
from compliance_api.domain.reports.chain import Relation
from compliance_api.storage.console.measured import measured
from compliance_api.storage.findings.cases import Cases
from compliance_api.storage.judging.laws import Laws
from compliance_api.storage.judging.periods import Periods
from compliance_api.storage.judging.tallies import Tallies
from compliance_api.storage.probing.assignments import Releases
from compliance_api.storage.tables import chain_heads, copied_counters, observations, reports, session_paths
from compliance_api.usecases.judging.count import DayCounter, Place
from compliance_api.usecases.judging.periods import PeriodJudge
from compliance_api.wiring.judging import recompute
from tests.support.cases import NOW, START, control, law, watched
from tests.support.claims import enrol
from tests.support.rows import claimed, seen

PLACE = Place("a", "hcm", ("edge-1",))
TEXT = law(day={"length": "1h", "closes_after": "30m", "recounted_within": "1d"})
DAY = TEXT.day.of(START)
CLOSED = NOW + timedelta(minutes=30)
LATER = CLOSED + timedelta(minutes=10)
MINUTE = timedelta(minutes=1)


async def beginning(engine: AsyncEngine) -> None:
    """An hour in which everything is as it should be, with the window of minute 30 not told of."""
    await enrol(engine, [("a", "edge-1")], START - timedelta(days=9))
    await Laws(engine).learn(LawBook(laws=(TEXT,)), START - timedelta(days=9))
    published = [Release(number, b"d" * 32, START - timedelta(days=1), 9, urgent=False) for number in (1, 2)]
    await Releases(engine).save(published, START - timedelta(days=1))
    sightings = [*watched(f"n{number}.example" for number in range(12))]
    sightings += [control(number, minute, eye=eye) for number in range(4) for eye in (1, 2) for minute in (10, 25)]
    async with engine.begin() as connection:
        await connection.execute(update(chain_heads).values(first_window=START - timedelta(days=8)))
        await connection.execute(
            insert(observations), [seen(number, one, one.asked_at + MINUTE) for number, one in enumerate(sightings)]
        )
        rows = [claimed(minute, START + (minute + 2) * MINUTE) for minute in range(60) if minute != 30]
        await connection.execute(insert(reports), rows)


async def what_came_later(engine: AsyncEngine) -> None:
    """One of each thing that a verdict rests on."""
    await Releases(engine).save([Release(3, b"d" * 32, START - timedelta(hours=2), 9, urgent=True)], LATER)
    late = watched(["late.example"], blocked=False)
    way = {
        "operator_id": "a", "assignment_id": f"{'1-10':>16}".encode(), "node": "edge-1", "decided_at": LATER,
        "path": "elsewhere", "answered_by": "", "egress": ["192.0.2.9"], "foreign_egress": ["192.0.2.9"],
        "handed": True, "vantage_point": "vantage-1", "access_network": "net-1", "custodian": "custodian-1",
    }  # fmt: skip
    copy = {
        "operator_id": "b", "node": "edge-1", "other_operator": "a", "other_node": "edge-1", "starts_at": START,
        "lag": 1, "windows": 200, "dispersion": 1, "noise": 1, "found_at": LATER,
    }  # fmt: skip
    async with engine.begin() as connection:
        rows = [seen(100 + number, one, LATER) for number, one in enumerate(late)]
        await connection.execute(insert(observations), rows)
        await connection.execute(insert(session_paths), [way])
        await connection.execute(insert(copied_counters), [copy])
        await connection.execute(insert(reports), [claimed(30, LATER, relation=Relation.GAP)])


async def test_what_came_to_be_known_later_changes_no_byte_of_what_was_said(engine: AsyncEngine) -> None:
    await beginning(engine)
    laws = await Laws(engine).history()
    counter, periods = DayCounter(Tallies(engine)), Periods(engine)
    judge = PeriodJudge(counter, Cases(engine), periods)

    async def close(now: datetime) -> bytes:
        counted = await counter.count(PLACE, laws, now)
        assert await judge.close(PLACE, laws, counted, now) == 1
        document = await periods.newest("a", "hcm", DAY.name)
        assert document is not None
        return document

    first = await close(CLOSED)
    await what_came_later(engine)
    assert (await recompute(engine, PLACE, DAY.name, CLOSED)).document == first
    second = await close(LATER)
    kinds = [{one["kind"] for one in json.loads(told)["findings"]} for told in (first, second)]
    assert "missing_reports" in kinds[0]
    assert {"broken_chain", "stale_list", "counter_mismatch"} <= kinds[1] - kinds[0]
    assert (await recompute(engine, PLACE, DAY.name, LATER)).document == second
    assert (await recompute(engine, PLACE, DAY.name, None)).document == second
    async with engine.connect() as connection:
        shown = await measured(connection, "a", "hcm")
    assert shown is not None
    # The newest one, as the console shows it.
    assert (shown.period, shown.version, shown.reached_at) == (DAY.name, 2, LATER)
    assert {one.name: (one.hits, one.asked) for one in shown.rates}["under_blocking"][1] > 0
    assert (shown.claims.windows, shown.claims.copied, shown.claims.slope) == (60, 1, None)
    assert [(one.serial, one.wanted > 0) for one in shown.blocking] == [(1, True)]
    assert all(one.first_wanted is not None and one.first_wanted.at_most is not None for one in shown.blocking)
    assert (await recompute(engine, PLACE, DAY.name, CLOSED)).document == first

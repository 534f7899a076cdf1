"""What the authority itself could not hear is held against nobody, and what it hears late changes what it said."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.law import LawBook
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Registry,
)
from compliance_api.storage.judging.periods import Periods
from compliance_api.storage.tables import chain_heads, log_position, observations, reports
from compliance_api.usecases.judging.count import Place
from compliance_api.wiring.judging import Judging, recompute
from tests.support.cases import NOW, START, law, watched
from tests.support.claims import enrol
from tests.support.rows import claimed, seen

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
HCM = frozenset({"hcm"})
NAME = Label("a", "a")
REGISTRY = Registry(
    (Jurisdiction("hcm", NAME),),
    (Organisation("a", OrganisationKind.OPERATOR, NAME, HCM, (Node("edge-1", b"", (), HCM),)),),
)
PLACE = Place("a", "hcm", ("edge-1",))


async def _known(engine: AsyncEngine, book: LawBook, since: datetime) -> None:
    await enrol(engine, [("a", "edge-1")], since - timedelta(days=9))
    async with engine.begin() as connection:
        await connection.execute(update(chain_heads).values(first_window=since - timedelta(days=8)))
    await Judging(engine, REGISTRY, book).prepare(since - timedelta(days=9))


async def _report(engine: AsyncEngine, minutes: range, received: datetime | None = None) -> None:
    """Windows of a minute from START on, told of a second after their end, or later."""
    async with engine.begin() as connection:
        begins = {minute: START + minute * MINUTE for minute in minutes}
        rows = [
            claimed(2000 + minute, received or at + MINUTE + SECOND, window_start=at) for minute, at in begins.items()
        ]
        await connection.execute(insert(reports), rows)
        await connection.execute(update(log_position).values(next_index=max(row["log_index"] for row in rows) + 1))


async def _accused(engine: AsyncEngine, book: LawBook, at: datetime, interval: float = 60.0) -> set[FindingKind]:
    (verdict,) = await Judging(engine, REGISTRY, book, interval).evaluate(at)
    return {one.kind for one in verdict.findings if one.accuses}


async def test_a_service_that_was_away_accuses_nobody_of_what_it_could_not_hear(engine: AsyncEngine) -> None:
    book = LawBook(laws=(law(),))
    await _known(engine, book, START)
    await _report(engine, range(60))
    assert await _accused(engine, book, NOW) == set()
    back = NOW + 2 * HOUR
    assert await _accused(engine, book, back) == set()
    # Another process, which never saw the one before, knows it as well; and so does who computes it again.
    assert await _accused(engine, book, back + 2 * MINUTE) == set()
    told = json.loads((await recompute(engine, PLACE, "2025-11", back)).document)
    assert told["no_reports_taken"] == [{"since": NOW.isoformat(), "until": back.isoformat()}]
    # Whoever has not told by an hour after it is back is silent for reasons of its own.
    assert await _accused(engine, book, back + 66 * MINUTE, 3600) == {FindingKind.MISSING_REPORTS}


async def test_a_day_is_judged_anew_with_what_a_node_could_only_send_later(engine: AsyncEngine) -> None:
    """The node was cut off from the authority over midnight, and served its clients all along."""
    day = LegalDay.of(START)
    book = LawBook(laws=(law(day={"length": "24h", "closes_after": "6h", "recounted_within": "8d"}),))
    await _known(engine, book, day.start)
    first = (day.start - START) // MINUTE
    cut = first + 1440 - 60
    await _report(engine, range(first, cut))
    async with engine.begin() as connection:
        rows = [
            seen(number, one, one.asked_at + MINUTE)
            for number, one in enumerate(watched(f"n{number}.example" for number in range(12)))
        ]
        await connection.execute(insert(observations), rows)

    async def said() -> set[str]:
        document = await Periods(engine).newest("a", "hcm", day.name)
        assert document is not None
        return {one["kind"] for one in json.loads(document)["findings"]}

    closed = day.end + 6 * HOUR + MINUTE
    await Judging(engine, REGISTRY, book).evaluate(closed)
    assert "missing_reports" in await said()
    before = (await recompute(engine, PLACE, day.name, closed)).document
    await _report(engine, range(cut, first + 1440), closed + HOUR)
    await Judging(engine, REGISTRY, book).evaluate(closed + 2 * HOUR)
    assert "missing_reports" not in await said()
    assert (await recompute(engine, PLACE, day.name, closed)).document == before

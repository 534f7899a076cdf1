"""The stores on a real PostgreSQL: the schema, exactly-once under contention, and what days are counted from."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection, Index, PrimaryKeyConstraint, UniqueConstraint, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.law.law import LawBook
from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.observations.strange import StrangeAddress
from compliance_api.domain.parties.organisation import (
    Endpoint,
    Transport,
)
from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.verdicts.course import Course, follow
from compliance_api.domain.verdicts.tally import DayEvidence, count, judged
from compliance_api.storage.findings.cases import Cases
from compliance_api.storage.judging.laws import Laws
from compliance_api.storage.judging.tallies import Tallies
from compliance_api.storage.migrate import is_current, migrate
from compliance_api.storage.probing.assignments import Assignments
from compliance_api.storage.probing.observations import Observations
from compliance_api.storage.reports.reports import Reports
from compliance_api.storage.tables import chain_heads, metadata, observations, reports, session_paths
from compliance_api.usecases.judging.count import Counted, Place
from compliance_api.usecases.probing.assignment import Round
from compliance_api.usecases.reports.claim import Claim
from compliance_api.usecases.reports.grouping import Call, Groups
from lachan import postgres
from tests.support.cases import NOW, law, sighting
from tests.support.claims import T0, chain, claim, enrol
from tests.support.days import known

# Small, and the same for every operator: reference tables.
MEMBERSHIP = {
    "certificates",
    "enrolment_tokens",
    "enrolments",
    "jurisdictions",
    "membership",
    "organisations",
    "parties",
    "people",
    "revocations",
    "shares",
}


@pytest.fixture
async def engine(engine: AsyncEngine) -> AsyncEngine:
    await enrol(engine, [("a", "edge-1"), ("b", "edge-1")], T0)
    return engine


def taking(engine: AsyncEngine, now: datetime = NOW) -> Groups:
    """What a process takes reports with."""
    return Groups(Reports(engine), lambda: now)


async def test_the_migrations_lead_to_the_tables(engine: AsyncEngine) -> None:
    def named(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or not re.search(r"_(default|from\d{8}|until\d{8})$", name or "")

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"include_name": named})
        return list(compare_metadata(context, metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    assert await is_current(engine)


async def test_processes_that_start_together_migrate_once(url: URL) -> None:
    engines = [postgres.engine(url, 2, "test") for _ in range(4)]
    try:
        await asyncio.gather(*(migrate(one) for one in engines))
        async with engines[0].connect() as connection:
            assert (await connection.execute(text("SELECT next_index FROM log_position"))).scalar_one() == 0
    finally:
        for one in engines:
            await one.dispose()


async def test_operator_leads_the_key_of_what_an_operator_says_or_is_seen_doing() -> None:
    for table in metadata.tables.values():
        keys: list[UniqueConstraint | PrimaryKeyConstraint | Index] = [table.primary_key]
        keys += [one for one in table.constraints if isinstance(one, UniqueConstraint)]
        keys += [one for one in table.indexes if one.unique]
        # The ledger is one order over all operators.
        if table.name not in {
            "closures",
            # Of a school's line, whoever its operator is.
            "line_checks",
            "listings",
            "log_position",
            "releases",
            "removals",
            "upkeep_marks",
            "law_versions",
            "shape_versions",
            *MEMBERSHIP,
        } and not table.name.startswith("ledger_"):
            assert {next(iter(key.columns)).name for key in keys} == {"operator_id"}, table.name


async def test_the_same_claims_from_two_processes_are_stored_once(engine: AsyncEngine) -> None:
    claims = chain(40)
    stores = [taking(engine) for _ in range(8)]
    batches = [claims[at : at + 8] for at in range(0, 40, 8)]
    for batch in batches:
        answers = await asyncio.gather(*(store.add(Call("a", "edge-1", batch)) for store in stores))
        assert len({tuple(one.index for one in answer) for answer in answers}) == 1
        assert sum(not one.again for answer in answers for one in answer) == 8
        assert {one.relation for answer in answers for one in answer} <= {Relation.BEGINS, Relation.EXTENDS}
    async with engine.connect() as connection:
        indices = (await connection.execute(select(reports.c.log_index).order_by(reports.c.log_index))).scalars().all()
        head = (await connection.execute(select(chain_heads).where(chain_heads.c.operator_id == "a"))).one()
    assert list(indices) == list(range(40))
    assert (head.sequence, head.digest, head.first_window) == (40, claims[-1].link.digest, claims[0].link.window_start)


async def test_many_nodes_share_one_log_without_holes(engine: AsyncEngine) -> None:
    nodes = [("a", f"n{number}") for number in range(6)]
    store = taking(engine)
    answers = await asyncio.gather(*(store.add(Call(*node, chain(1))) for node in nodes))
    assert sorted(one.index for answer in answers for one in answer) == list(range(6))


async def test_two_reports_under_one_number_are_both_kept(engine: AsyncEngine) -> None:
    store = taking(engine)
    first, second, third = claim(1), claim(1, salt=b"x"), claim(1, salt=b"y")
    logged = await store.add(Call("a", "edge-1", [first, second]))
    logged += await store.add(Call("a", "edge-1", [third, second, first]))
    assert [one.relation for one in logged] == [
        Relation.BEGINS,
        Relation.EQUIVOCATION,
        Relation.EQUIVOCATION,
        Relation.EQUIVOCATION,
        Relation.BEGINS,
    ]
    assert [one.again for one in logged] == [False, False, False, True, True]
    case = await Cases(engine).case("a", "hcm", ["edge-1"], law(period="365d"), T0 + timedelta(days=1), Course())
    assert [one.rival for one in case.reports] == ["", first.link.digest.hex(), first.link.digest.hex()]


async def test_a_late_report_of_three_boots_ago_moves_no_head(engine: AsyncEngine) -> None:
    """Each report by a process of its own, so that what is known of earlier boots is what was stored."""
    boots: list[Claim] = []
    for boot in range(1, 5):
        before = boots[-1].link if boots else None
        epoch, after = bytes([boot]) * 16, before.boot_epoch if before else b""
        one = claim(1, before.digest if before else b"", epoch=epoch, after=after)
        boots.append(replace(one, link=replace(one.link, window_start=T0 + timedelta(hours=boot))))
    late = claim(2, boots[0].link.digest, epoch=boots[0].link.boot_epoch)
    on = claim(2, boots[3].link.digest, epoch=boots[3].link.boot_epoch, after=boots[2].link.boot_epoch)
    on = replace(on, link=replace(on.link, window_start=T0 + timedelta(hours=5)))
    told = [(await taking(engine).add(Call("a", "edge-1", [one])))[0].relation for one in (*boots, late, on)]
    assert told == [Relation.BEGINS, *[Relation.EXTENDS] * 3, Relation.LATE, Relation.EXTENDS]


async def test_what_was_not_signed_never_takes_a_number(engine: AsyncEngine) -> None:
    store = taking(engine)
    forged = claim(1, flaw="the signature does not hold")
    (logged,) = await store.add(Call("a", "edge-1", [forged]))
    (again,) = await taking(engine, NOW + timedelta(seconds=5)).add(Call("a", "edge-1", [forged]))
    assert (again.index, again.accepted_at, again.again) == (logged.index, logged.accepted_at, True)
    (real,) = await store.add(Call("a", "edge-1", [replace(forged, flaw="")]))
    assert (real.relation, real.index) == (Relation.BEGINS, 1)
    case = await Cases(engine).case("a", "hcm", ["edge-1"], law(period="366d"), NOW + timedelta(hours=1), Course())
    assert [one.reason for one in case.unverified] == ["the signature does not hold"]


async def test_a_round_drawn_by_two_processes_is_one_round(engine: AsyncEngine) -> None:
    store = Assignments(engine)
    endpoint = Endpoint("192.0.2.1", 53, Transport.UDP)
    end = NOW + timedelta(minutes=1)
    drawn = [Round("a", bytes([n]) * 16, "edge-1", endpoint, 7, b"seed", 1, NOW, end, ()) for n in range(5)]
    assert not await store.has_round("a", "edge-1", endpoint, 7)
    await asyncio.gather(*(store.add_round(one) for one in drawn))
    assert await store.has_round("a", "edge-1", endpoint, 7)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM rounds"))).scalar_one() == 1


async def test_counted_days_are_kept_in_versions_and_followed_as_they_were(engine: AsyncEngine) -> None:
    store, place, laws = Tallies(engine), Place("a", "hcm", ("edge-1",)), known(law())
    text = law()
    day = text.day.of(NOW).after(-3)
    sightings = [
        sighting(f"n{number}.example", 0, eye=eye, blocked=number > 3, asked_at=day.start + timedelta(seconds=eye))
        for number in range(12)
        for eye in (1, 2)
    ]
    made = count(DayEvidence(day, sightings), [], text)
    counts = [Counted(judged(day, version, NOW, text, made), made, 1) for version in (1, 1, 2)]
    for one in counts:
        await store.add(place, one)
    stored = await store.counted(place, T0, NOW, laws)
    assert stored == [counts[0].judged, counts[2].judged]
    assert await store.counted(place, T0, NOW, laws, known_at=NOW - timedelta(seconds=1)) == []
    assert follow(stored) == follow([counts[0].judged, counts[2].judged])
    assert await store.newest(place, 60) == {day.number: (2, 24)}
    assert (await store.first_seen(place), await store.seen(place, [day], 60, NOW)) == (None, {})


async def test_the_law_is_learnt_once_and_every_change_of_it_is_ledgered(engine: AsyncEngine) -> None:
    laws = Laws(engine)
    first = LawBook(laws=(law(),))
    learnt = await asyncio.gather(*(laws.learn(first, NOW) for _ in range(3)))
    assert sorted(len(one) for one in learnt) == [0, 0, 1]
    changed = LawBook(laws=(law(period="2h", effective_from=T0 - timedelta(days=400)),))
    (new,) = await laws.learn(changed, NOW + timedelta(days=1))
    assert (new.version, new.backdated) == (2, True)
    (_, gone) = await laws.learn(LawBook(laws=(law(id="law-2"),)), NOW + timedelta(days=2))
    assert (gone.name, gone.version) == ("law-1", 3)
    history = await laws.history()
    assert [(one.name, one.version) for one in history.versions] == [
        ("law-1", 1), ("law-1", 2), ("law-1", 3), ("law-2", 1),
    ]  # fmt: skip
    assert history.in_force("hcm", NOW, NOW)[1] == law()
    async with engine.connect() as connection:
        leaves = await connection.execute(
            text("SELECT subject FROM ledger_leaves WHERE kind = 'law' ORDER BY log_index")
        )
        assert [row.subject for row in leaves] == ["law/law-1", "law/law-1", "law/law-2", "law/law-1"]


async def test_a_session_whose_way_becomes_known_has_its_day_counted_again(engine: AsyncEngine) -> None:
    store, place, day = Tallies(engine), Place("a", "hcm", ("edge-1",)), law().day.of(NOW).after(-3)
    asked = {"operator_id": "a", "question": 0, "asked_at": day.start, "received_at": NOW, "node": "edge-1"}
    words = "probe_organisation probe vantage_point access_network custodian endpoint qname order_reference"
    texts = dict.fromkeys(words.split(), "x")
    rest = {
        "qtype": 1, "arm": Arm.CONTROL, "category": 0, "added_serial": 0, "result": "blocked",
        "reference_alive": True, "digest": b"d", "observation": b"o", "signature": b"s", "key_id": b"k",
    }  # fmt: skip
    way = {
        "operator_id": "a", "node": "edge-1", "decided_at": NOW, "answered_by": "", "handed": True,
        "vantage_point": "v", "access_network": "n", "custodian": "c",
    }  # fmt: skip
    async with engine.begin() as connection:
        for number in (1, 2, 3):
            key = {"assignment_id": bytes([number]) * 16}
            await connection.execute(insert(observations).values({**asked, **texts, **rest, **key, "shape": "nodata"}))
    assert await store.seen(place, [day], 60, NOW) == {day.number: 3}
    async with engine.begin() as connection:
        for number, path, foreign in (
            (1, "elsewhere", ["192.0.2.9"]),
            (2, "unknown", ["192.0.2.9"]),
            (3, "verified", []),
        ):
            values = {
                "assignment_id": bytes([number]) * 16,
                "path": path,
                "egress": ["192.0.2.9"],
                "foreign_egress": foreign,
            }
            await connection.execute(insert(session_paths).values({**way, **values}))
    assert await store.seen(place, [day], 60, NOW) == {day.number: 6}
    # As an earlier release decided: of the second it cannot be told whom it met, for its operator enrolled no address.
    lines = await store.met(place, day.start, day.end, NOW)
    assert [(one.resolver, one.enrolled, one.handed) for one in lines] == [
        ("192.0.2.9", False, True),
        ("192.0.2.9", None, True),
        ("192.0.2.9", True, True),
    ]
    assert [one.reference for one in lines] == [f"{bytes([number]).hex() * 16}/0" for number in (1, 2, 3)]
    told = await store.evidence(place, day.start, day.end, NOW)
    assert [one.path for one in told] == ["elsewhere", "unknown", "verified"]


async def test_addresses_that_no_reference_gave_are_counted_by_names_and_lines(engine: AsyncEngine) -> None:
    words = "probe_organisation probe access_network custodian endpoint order_reference"
    texts = dict.fromkeys(words.split(), "x")
    rest = {
        "operator_id": "a", "question": 0, "asked_at": NOW, "received_at": NOW, "node": "edge-1", "qtype": 1,
        "category": 0, "added_serial": 0, "result": "not_blocked", "shape": "answer", "reference_alive": True,
        "digest": b"d", "observation": b"o", "signature": b"s", "key_id": b"k",
    }  # fmt: skip
    page, other = "203.0.113.80", "203.0.113.81"
    rows = [
        (f"bad{number}.example", Arm.LISTED, [page] if number < 8 else [page, other]) for number in range(10)
    ]  # fmt: skip
    rows += [("control.example", Arm.CONTROL, [other]), ("bad0.example", Arm.LISTED, None)]
    async with engine.begin() as connection:
        for number, (qname, arm, addresses) in enumerate(rows):
            own = {"assignment_id": bytes([number]) * 16, "qname": qname, "arm": arm, "strange": addresses}
            line = {"vantage_point": f"v{number % 3}"}
            await connection.execute(insert(observations).values({**texts, **rest, **own, **line}))
    store = Observations(engine)
    assert await store.strange(NOW, NOW + timedelta(seconds=1)) == [
        StrangeAddress("a", page, 10, 3, 0),
        StrangeAddress("a", other, 2, 2, 1),
    ]
    assert await store.strange(NOW - timedelta(days=1), NOW) == []

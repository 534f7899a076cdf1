"""What the console reads of a real PostgreSQL: verdicts, findings as they come and go, and the rows behind them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.drawing.sampling import Release
from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.findings.procedure import Procedure
from compliance_api.domain.parties.organisation import (
    Endpoint,
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Registry,
    Transport,
)
from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import follow
from compliance_api.domain.verdicts.verdict import Outcome, judge
from compliance_api.storage.console.detail import lifted
from compliance_api.storage.console.overview import OverviewStore, rolled_up
from compliance_api.storage.findings.cases import Cases
from compliance_api.storage.findings.casework import Casework
from compliance_api.storage.findings.listing import MAX_LISTED
from compliance_api.storage.probing.assignments import Releases
from compliance_api.storage.reports.reports import Reports
from compliance_api.storage.tables import finding_steps, findings, verdict_changes
from compliance_api.usecases.reports.grouping import Call, Groups
from lachan.compliance.v1 import report_pb2
from tests.support.cases import NOW, counted, course, honest, report
from tests.support.claims import T0, chain, enrol


@pytest.fixture
async def engine(engine: AsyncEngine) -> AsyncEngine:
    await enrol(engine, [("a", "edge-1"), ("b", "edge-1")], T0)
    return engine


def later(case: Case, minutes: int) -> Case:
    return replace(case, now=NOW + timedelta(minutes=minutes))


async def test_a_finding_lives_from_the_first_to_the_last_evaluation_that_finds_it(engine: AsyncEngine) -> None:
    registry = Registry(
        (Jurisdiction("hcm", Label("HCM", "HCM")),),
        (
            Organisation(
                "a",
                OrganisationKind.OPERATOR,
                Label("Nhà mạng A", "Operator A"),
                frozenset({"hcm"}),
                (Node("edge-1", b"", (), frozenset({"hcm"})),),
            ),
        ),
    )
    store, reader = Cases(engine), OverviewStore(engine, registry)
    assert (await reader.overview()).operators == ()
    assert await reader.operator_detail("a", "hcm") is None
    broken = honest(
        reports=[report(minute, relation=Relation.GAP if minute == 5 else Relation.EXTENDS) for minute in range(60)]
    )
    await store.save(judge(broken), Procedure())
    await store.save(judge(later(broken, 1)), Procedure())
    # Late and out of turn: another process's older evaluation changes nothing.
    await store.save(judge(honest()), Procedure())
    (shown,) = (await reader.verdicts()).operators
    (front,) = (await reader.overview()).operators
    assert front == replace(shown, findings=tuple(replace(one, evidence=()) for one in shown.findings))
    await reader.check()
    assert await reader.names() == {"a": Label("Nhà mạng A", "Operator A")}
    (place,) = await reader.places("a")
    assert (place.jurisdiction, place.display_name.en) == ("hcm", "Operator A")
    assert await reader.places("b") == await reader.places("") == ()
    assert (shown.verdict, shown.since, shown.display_name.en) == (Outcome.NOT_COMPLIANT, NOW, "Operator A")
    (found,) = [one for one in shown.findings if one.kind is FindingKind.BROKEN_CHAIN]
    assert (found.counts, found.last_seen) == ({"breaks": 1}, NOW + timedelta(minutes=1))
    assert found.evidence[0].detail == "gap"
    assert shown.coverage.listed_asked == 12
    assert await rolled_up(engine, ["a", "z"]) == {
        "a": (Outcome.NOT_COMPLIANT, ["broken_chain"]),
        "z": (Outcome.NOT_ENOUGH_EVIDENCE, []),
    }

    await store.save(judge(later(honest(), 2)), Procedure())
    detail = await reader.operator_detail("a", "hcm")
    assert detail is not None
    assert (detail.overview.verdict, detail.overview.findings) == (Outcome.COMPLIANT, ())
    assert detail.overview.since == NOW + timedelta(minutes=2)
    assert [change.verdict for change in detail.history] == [Outcome.COMPLIANT, Outcome.NOT_COMPLIANT]
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(verdict_changes))).scalar_one() == 2
        closed = (await connection.execute(text("SELECT closed_at FROM findings"))).scalar_one()
    assert closed == NOW + timedelta(minutes=2)


async def test_a_finding_stays_open_over_new_year_until_a_good_day(engine: AsyncEngine) -> None:
    accused = honest(course=course(Family.FILTERING))
    after = follow([], accused.course.legacy)
    for minute, case in enumerate((accused, honest(course=after), honest(course=follow([counted(1)])))):
        verdict = judge(later(case, minute))
        await Cases(engine).save(verdict, Procedure())
        async with engine.connect() as connection:
            closed = (
                await connection.execute(text("SELECT closed_at FROM findings WHERE kind = 'under_blocking'"))
            ).all()
        expected = [
            (Outcome.NOT_COMPLIANT, None),
            (Outcome.NOT_ENOUGH_EVIDENCE, None),
            (Outcome.COMPLIANT, NOW + timedelta(minutes=2)),
        ]
        assert [(verdict.outcome, *row) for row in closed] == [expected[minute]]


async def test_the_console_shows_a_nodes_newest_report_and_release(engine: AsyncEngine) -> None:
    await Groups(Reports(engine), lambda: NOW).add(Call("a", "edge-1", chain(3)))
    await Releases(engine).save([Release(4, b"d" * 32, T0, 1000, False), Release(5, b"e" * 32, NOW, 2000, True)], NOW)
    await Releases(engine).save([Release(5, b"x" * 32, T0, 1, False)], NOW)
    await Cases(engine).save(judge(honest()), Procedure())
    endpoint = Endpoint("2001:db8::1", 53, Transport.TCP)
    nodes = tuple(Node(name, b"", (endpoint,), frozenset({"hcm"})) for name in ("edge-1", "edge-2"))
    owner = Organisation("a", OrganisationKind.OPERATOR, Label("A", "A"), frozenset({"hcm"}), nodes)
    reader = OverviewStore(engine, Registry((Jurisdiction("hcm", Label("H", "H")),), (owner,)))
    overview = await reader.overview()
    assert (overview.list_serial, overview.list_entries, overview.list_published_at) == (5, 2000, NOW)
    detail = await reader.operator_detail("a", "hcm")
    assert detail is not None
    assert [one.sequence for one in detail.nodes] == [3, None]
    assert detail.nodes[0].endpoints == ("tcp://[2001:db8::1]:53",)
    assert [one.log_index for one in detail.reports] == [2, 1, 0]
    assert await reader.operator_detail("a", "mars") is None
    assert await reader.operator_detail("b", "hcm") is None


async def test_what_is_late_is_listed_first_however_old_it_is(engine: AsyncEngine) -> None:
    """More findings than a list shows, the oldest of which has waited for years."""

    def found(number: int, opened: datetime, kind: FindingKind = FindingKind.STALE_LIST) -> dict[str, object]:
        return {
            "operator_id": "a", "finding_id": number.to_bytes(16, "big"), "jurisdiction": "hcm", "kind": kind,
            "node": "", "since": opened, "opened_at": opened, "last_seen": opened, "closed_at": opened,
            "counts": [["windows", 1]], "evidence": [], "law": "law-1", "citation_vi": "", "citation_en": "",
        }  # fmt: skip

    def step(number: int, position: int, turn: str | None, due: datetime | None) -> dict[str, object]:
        return {
            "operator_id": "a", "finding_id": number.to_bytes(16, "big"), "position": position, "state": "notified",
            "at": NOW, "unit": "u", "person": "p", "note": "", "order_number": "", "order_authority": "",
            "next_unit": turn, "due_at": due, "log_index": 0,
        }  # fmt: skip

    desk = Casework(engine)
    empty = await desk.listing(NOW)
    assert (empty.cases, empty.total, empty.late) == ((), 0, 0)
    waited, waits, done = MAX_LISTED + 1, MAX_LISTED + 2, MAX_LISTED + 3
    rows = [found(number, NOW - timedelta(minutes=number)) for number in range(MAX_LISTED)]
    rows += [found(number, NOW - timedelta(days=1000 + number)) for number in (waited, waits, done)]
    rows.append(found(done + 1, NOW, FindingKind.LOW_COVERAGE))
    async with engine.begin() as connection:
        await connection.execute(insert(findings), rows)
        steps = [
            step(waited, 0, "operator", NOW + timedelta(days=1)),
            step(waited, 1, "authority", NOW - timedelta(days=1)),
        ]
        # What was late once and was done since is nobody's turn any more.
        steps += [step(waits, 0, "operator", NOW), step(done, 0, "operator", T0), step(done, 1, None, None)]
        await connection.execute(insert(finding_steps), steps)
    listed = await desk.listing(NOW)
    assert (len(listed.cases), listed.total, listed.late) == (MAX_LISTED, MAX_LISTED + 3, 1)
    first, second, newest = (one.identifier for one in listed.cases[:3])
    assert [int(one, 16) for one in (first, second, newest)] == [waited, waits, 0]
    assert [(one.position, one.next_unit) for one in listed.cases[0].steps] == [(1, "authority")]
    assert [one.overdue(NOW) for one in listed.cases[:2]] == [True, False]
    assert (listed.cases[2].steps, listed.cases[2].counts) == ((), {"windows": 1})


def test_what_an_operator_let_pass_is_read_from_its_report() -> None:
    told = report_pb2.Report(
        overrides=[report_pb2.Override(fingerprint=0xDEADBEEF, reason=6, created_at=60, ends_at=120)],
        suspensions=[report_pb2.Suspension(serial=7, reason=99, created_at=0, ends_at=60)],
    )
    suspended, overridden = lifted("edge-1", told.SerializeToString())
    assert (suspended.serial, suspended.reason, suspended.ends_at.timestamp()) == (7, "other", 60)
    assert (overridden.serial, overridden.fingerprint, overridden.reason) == (None, "00000000deadbeef", "court_order")
    assert lifted("edge-1", b"\xff") == []

"""Sums, retention and holds on a real PostgreSQL: killed at every step, done twice, and what must be kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from compliance_api.cli import app
from compliance_api.domain.law.retention import RetentionSettings
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Registry,
)
from compliance_api.domain.reports.chain import Link
from compliance_api.domain.reports.rollup import day_of
from compliance_api.errors import ComplianceError
from compliance_api.storage.migrate import migrate
from compliance_api.storage.reports.activity import ActivityStore
from compliance_api.storage.reports.reports import Reports
from compliance_api.storage.upkeep.holds import Holds
from compliance_api.storage.upkeep.partitions import REPORTS
from compliance_api.storage.upkeep.upkeep import Upkeep
from compliance_api.usecases.reports.claim import Claim
from compliance_api.usecases.reports.grouping import Call
from lachan import postgres
from lachan.compliance.v1 import report_pb2 as pb
from lachan.ledger.leaf import Kind, Opening
from tests.support.claims import enrol
from tests.support.compliance import Authority

ROOT = Path(__file__).parents[2]
EPOCH = b"e" * 16
NOW = datetime.now(UTC).replace(microsecond=0)
# On the grid of hours, so that windows of ten minutes make whole hours; all within one week of the table.
HOUR = (REPORTS.start(NOW) - timedelta(days=3)).replace(minute=0)
LATER = NOW + timedelta(days=120)
SETTINGS = RetentionSettings()


@pytest.fixture
async def engine(engine: AsyncEngine) -> AsyncEngine:
    await enrol(engine, [("a", "edge-1"), ("a", "edge-2"), ("b", "edge-1")], NOW)
    return engine


def claim(
    number: int, node: str = "a/edge-1", *, start: datetime | None = None, salt: int = 0, previous: bytes = b""
) -> Claim:
    begins = start or HOUR + timedelta(minutes=10 * (number - 1))
    message = pb.Report(
        node=node,
        sequence=number,
        window_start=int(begins.timestamp()),
        queries=[pb.QueryCount(transport=pb.TRANSPORT_UDP, profile="default", count=100 + salt)],
        blocked=[
            pb.BlockCount(category=pb.CATEGORY_GAMBLING, action=pb.ACTION_NXDOMAIN, count=number),
            pb.BlockCount(category=pb.CATEGORY_CSAM, action=pb.ACTION_NXDOMAIN, count=2),
            pb.BlockCount(category=pb.CATEGORY_CSAM, action=pb.ACTION_SHADOW, count=50),
        ],
        drops=[pb.DropCount(reason=pb.DROP_REASON_ACL, count=3)],
        upstream_failures=4,
    ).SerializeToString()
    digest = hashlib.sha256(message).digest()
    link = Link(EPOCH, b"", number, digest, previous, False, begins, 600)
    return Claim(link, "", 7, NOW, 100 + salt, True, number + 2, True, message, b"s", b"k" * 32)


async def take(engine: AsyncEngine, operator: str, node: str, claims: list[Claim], now: datetime) -> None:
    (stored,) = await Reports(engine).write([Call(operator, node, claims)], now)
    assert stored is not None


async def fill(engine: AsyncEngine, count: int = 12) -> dict[tuple[str, str], list[Claim]]:
    """Two hours of three nodes."""
    told = {}
    for operator, node in (("a", "edge-1"), ("a", "edge-2"), ("b", "edge-1")):
        claims: list[Claim] = []
        for number in range(1, count + 1):
            claims.append(claim(number, f"{operator}/{node}", previous=claims[-1].link.digest if claims else b""))
        await take(engine, operator, node, claims, NOW)
        told[operator, node] = claims
    return told


async def ask(engine: AsyncEngine, question: str, **values: Any) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(question), values)]


async def everything(engine: AsyncEngine) -> dict[str, list[tuple[Any, ...]]]:
    """What is stored, but for the bytes."""
    return {
        "reports": await ask(engine, "SELECT operator_id, node, sequence, log_index FROM reports ORDER BY log_index"),
        "hours": await ask(engine, "SELECT * FROM hourly_rollups ORDER BY operator_id, node, hour"),
        "days": await ask(engine, "SELECT * FROM daily_rollups ORDER BY operator_id, node, day"),
        "leaves": await ask(engine, "SELECT log_index, commitment, salt IS NULL FROM ledger_leaves ORDER BY log_index"),
        "marks": await ask(engine, "SELECT * FROM upkeep_marks ORDER BY name"),
        "tables": await ask(
            engine, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '_(from|until)[0-9]+$' ORDER BY 1"
        ),
    }


async def cite(
    engine: AsyncEngine, operator: str, reference: str, *, kind: str = "report", closed: datetime | None = None
) -> str:
    """A finding on a report, or what else; returns its id."""
    finding = os.urandom(16)
    evidence = [{"kind": kind, "reference": reference, "at": NOW.isoformat(), "node": "", "probe": "", "detail": ""}]
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO findings (operator_id, finding_id, jurisdiction, kind, node, since, opened_at, last_seen,"
                " closed_at, counts, evidence, law, citation_vi, citation_en) VALUES (:operator, :id, 'hcm', :kind, '',"
                " :now, :now, :now, :closed, '[]', :evidence, 'law', '', '')"
            ),
            {
                "operator": operator,
                "id": finding,
                "kind": f"kind-{finding.hex()}",
                "now": NOW,
                "closed": closed,
                "evidence": json.dumps(evidence),
            },
        )
    return finding.hex()


async def close(engine: AsyncEngine, finding: str, *, next_unit: str | None) -> None:
    """Not found any more; and whose turn it is since."""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE findings SET closed_at = now()"))
        await connection.execute(
            text(
                "INSERT INTO finding_steps (operator_id, finding_id, position, state, at, unit, person, note,"
                " order_number, order_authority, next_unit, log_index) SELECT 'a', :finding, count(*), 'notified',"
                " now(), 'unit', '', '', '', '', :next_unit, 0 FROM finding_steps"
            ),
            {"finding": bytes.fromhex(finding), "next_unit": next_unit},
        )


async def test_reports_are_summed_by_the_hour_and_the_legal_day_however_often(engine: AsyncEngine) -> None:
    told = await fill(engine)
    rival = claim(3, salt=1)
    await take(engine, "a", "edge-1", [rival], NOW)
    job = Upkeep(engine, SETTINGS)
    first = await job.run(NOW)
    assert (first.ran, first.reports_summed, first.spans_dropped, first.rows_deleted) == (True, 37, [], 0)
    (row,) = await ask(
        engine,
        "SELECT windows, seconds, queries, blocked_gambling, blocked_csam, drops, upstream_failures, list_serial"
        " FROM hourly_rollups WHERE operator_id = 'a' AND node = 'edge-1' AND hour = :hour",
        hour=HOUR,
    )
    # The second report under number 3 is a finding, not a count; what only shadow mode counted was not blocked.
    assert row == (6, 3600, 600, 1 + 2 + 3 + 4 + 5 + 6, 12, 18, 24, 7)
    days = await ask(engine, "SELECT day, node, windows, blocked_gambling FROM daily_rollups WHERE operator_id = 'a'")
    assert sorted(days) == [(day_of(HOUR), "edge-1", 12, 78), (day_of(HOUR), "edge-2", 12, 78)]

    place = Jurisdiction("hcm", Label("H", "H"))
    nodes = tuple(Node(name, b"", (), frozenset({"hcm"})) for name in ("edge-1", "edge-2"))
    owner = Organisation("a", OrganisationKind.OPERATOR, Label("A", "A"), frozenset({"hcm"}), nodes)
    reader = ActivityStore(engine, Registry((place,), (owner,)))
    shown = await reader.activity("a", "hcm", HOUR + timedelta(hours=2))
    assert shown is not None
    assert [(one.at, one.nodes, one.windows, one.queries) for one in shown.hours] == [
        (HOUR + timedelta(hours=1), 2, 12, 1200),
        (HOUR, 2, 12, 1200),
    ]
    assert [(one.at, one.blocked) for one in shown.days] == [(day_of(HOUR), 2 * (78 + 24))]
    assert await reader.activity("a", "mars", NOW) is None
    assert await reader.activity("z", "hcm", NOW) is None

    before = await everything(engine)
    assert (await job.run(NOW)).reports_summed == 0
    assert await everything(engine) == before
    late = claim(13, start=HOUR - timedelta(minutes=10), previous=told["b", "edge-1"][-1].link.digest)
    await take(engine, "b", "edge-1", [late], NOW)
    await job.run(NOW)
    hours = await ask(engine, "SELECT hour, windows FROM hourly_rollups WHERE operator_id = 'b' ORDER BY hour")
    assert hours == [(HOUR - timedelta(hours=1), 1), (HOUR, 6), (HOUR + timedelta(hours=1), 6)]


async def test_what_is_due_goes_and_what_is_cited_or_held_stays_until_it_is_neither(engine: AsyncEngine) -> None:
    told = await fill(engine)
    cited, unread = told["a", "edge-1"][4], told["a", "edge-1"][5]
    finding = await cite(engine, "a", cited.link.digest.hex())
    closed = await cite(engine, "a", unread.link.digest.hex(), closed=NOW)
    holds = Holds(engine)
    period = HOUR + timedelta(minutes=60), HOUR + timedelta(minutes=80)
    with pytest.raises(ComplianceError, match="has no finding"):
        await holds.place("b", "a court asked", "auditor", NOW, finding=finding)
    held = await holds.place("b", "a court asked", "auditor", NOW, period=period)
    also = await holds.place("a", "an appeal", "auditor", NOW, finding=closed)
    job = Upkeep(engine, SETTINGS)
    await job.run(NOW)
    sums = (await everything(engine))["hours"], (await everything(engine))["days"]

    done = await job.run(LATER)
    assert any(name.startswith("reports_from") for name in done.spans_dropped)
    assert done.rows_kept == 4
    left = await ask(engine, "SELECT operator_id, sequence FROM reports ORDER BY operator_id, sequence")
    assert left == [("a", 5), ("a", 6), ("b", 7), ("b", 8)]
    # The commitments stay; what they were made of can only be shown of what was kept.
    leaves = await ask(engine, "SELECT kind, salt IS NULL, count(*) FROM ledger_leaves GROUP BY 1, 2 ORDER BY 1, 2")
    assert leaves == [("hold", False, 2), ("report", False, 4), ("report", True, 32)]
    assert ((await everything(engine))["hours"], (await everything(engine))["days"]) == sums
    before = await everything(engine)
    assert (await job.run(LATER)).spans_dropped == []
    assert await everything(engine) == before

    # A window that is told after all when its week is gone: kept for its own time, and the sums stay as they were.
    late = claim(13, previous=told["b", "edge-1"][-1].link.digest)
    await take(engine, "b", "edge-1", [late], LATER)
    await job.run(LATER)
    assert (await everything(engine))["hours"] == sums[0]
    assert len((await everything(engine))["reports"]) == 5

    await holds.release(held.hold_id, "the case is closed", "auditor", LATER)
    await holds.release(also.hold_id, "the appeal was upheld", "judge", LATER)
    with pytest.raises(ComplianceError, match="no hold"):
        await holds.release(held.hold_id, "again", "auditor", LATER)
    await close(engine, finding, next_unit="operator")
    assert (await job.run(LATER)).rows_deleted == 3
    # Not found any more, but its operator may still answer; then it is nobody's turn.
    await close(engine, finding, next_unit=None)
    assert (await job.run(LATER)).rows_deleted == 1
    assert await ask(engine, "SELECT operator_id, sequence FROM reports") == [("b", 13)]
    # Who wanted what kept, and who ended that, stays.
    history = await holds.all()
    assert [(one.placed_by, one.released_by, one.release_reason) for one in history] == [
        ("auditor", "auditor", "the case is closed"),
        ("auditor", "judge", "the appeal was upheld"),
    ]
    for row in await ask(
        engine, "SELECT salt, kind, entered_at, content, commitment FROM ledger_leaves WHERE kind = 'hold'"
    ):
        Opening(row[0], Kind(row[1]), row[2], row[3]).check(row[4])


async def test_small_tables_are_swept_row_by_row_but_for_what_is_held(engine: AsyncEngine) -> None:
    flawed = replace(claim(1, "b/edge-1"), flaw="the signature does not hold")
    await take(engine, "b", "edge-1", [flawed, replace(claim(2, "b/edge-1"), flaw="nor does this")], NOW)
    async with engine.begin() as connection:
        for operator, at in (("a", NOW), ("b", NOW), ("a", LATER)):
            await connection.execute(
                text(
                    "INSERT INTO egress_sightings (operator_id, assignment_id, address, seen_at)"
                    " VALUES (:operator, :assignment, '192.0.2.1', :at)"
                ),
                {"operator": operator, "assignment": os.urandom(16), "at": at},
            )
    await Holds(engine).place("b", "a court asked", "auditor", NOW, period=(NOW, NOW + timedelta(seconds=1)))
    job = Upkeep(engine, SETTINGS)
    assert (await job.run(LATER)).rows_deleted == 1
    seen = await ask(engine, "SELECT operator_id, seen_at FROM egress_sightings ORDER BY operator_id")
    assert seen == [("a", LATER), ("b", NOW)]
    (hold,) = await Holds(engine).all()
    await Holds(engine).release(hold.hold_id, "the case is closed", "auditor", LATER)
    assert (await job.run(LATER)).rows_deleted == 3
    assert await ask(engine, "SELECT count(*) FROM unverified_reports") == [(0,)]
    salts = "SELECT kind, count(*) FROM ledger_leaves WHERE salt IS NULL GROUP BY 1"
    assert await ask(engine, salts) == [("unverified_report", 2)]


async def test_sums_of_hours_go_after_their_own_time_and_days_never(engine: AsyncEngine) -> None:
    await fill(engine)
    job = Upkeep(engine, SETTINGS)
    await job.run(NOW)
    await Holds(engine).place("b", "a court asked", "auditor", NOW, period=(HOUR, HOUR + timedelta(hours=1)))
    days = (await everything(engine))["days"]
    for year in range(1, 4):
        await job.run(NOW + timedelta(days=365 * year))
    hours = await ask(engine, "SELECT operator_id, hour FROM hourly_rollups")
    assert hours == [("b", HOUR)]
    assert (await everything(engine))["days"] == days


async def test_whoever_stops_at_any_step_ends_where_the_others_do(databases: postgres.Server) -> None:
    """The job is broken off before each of its transactions in turn and started anew."""

    class StoppedError(Exception):
        pass

    async def run(stop_at: int | None) -> tuple[int, dict[str, list[tuple[Any, ...]]]]:
        made = postgres.engine(databases.database("stopped"), 5, "test")
        count = 0
        try:
            async with made.begin() as connection:
                await connection.execute(text("DROP SCHEMA public CASCADE"))
                await connection.execute(text("CREATE SCHEMA public"))
            await migrate(made)
            await enrol(made, [("a", "edge-1"), ("a", "edge-2"), ("b", "edge-1")], NOW)
            told = await fill(made, 8)
            await cite(made, "a", told["a", "edge-1"][2].link.digest.hex())
            # A clock that is wrong by ten weeks: its rows have no place until its week is made.
            await take(made, "a", "edge-1", [claim(9, start=HOUR - timedelta(days=70))], NOW)

            def begun(_: object) -> None:
                nonlocal count
                count += 1
                if count == stop_at:
                    raise StoppedError

            job = Upkeep(made, SETTINGS)
            event.listen(made.sync_engine, "begin", begun)
            try:
                await job.run(LATER)
            except StoppedError:
                assert stop_at is not None
            event.remove(made.sync_engine, "begin", begun)
            # Twice: sums that one run made of what was late find their place in the next.
            for _ in range(2):
                assert (await job.run(LATER)).ran
            found = await everything(made)
            # Commitments are salted at random.
            found["leaves"] = [(row[0], row[2]) for row in found["leaves"]]
            return count, found
        finally:
            await made.dispose()

    steps, wanted = await run(None)
    assert [row[:3] for row in wanted["reports"]] == [("a", "edge-1", 3)]
    for stop_at in range(2, steps, steps // 4):
        assert (await run(stop_at))[1] == wanted, stop_at


KILLED = """
import asyncio, sys
from datetime import datetime
from sqlalchemy import make_url
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Registry,
)
from compliance_api.domain.law.retention import RetentionSettings
from compliance_api.storage.upkeep.upkeep import Upkeep
from lachan import postgres
async def run():
    await Upkeep(postgres.engine(make_url(sys.argv[1]), 2, "killed"), RetentionSettings()).run(
        datetime.fromisoformat(sys.argv[2]))
asyncio.run(run())
"""


async def test_a_killed_job_lets_the_next_one_go_on(engine: AsyncEngine, url: URL) -> None:
    await fill(engine)
    job = Upkeep(engine, SETTINGS)
    await job.run(NOW)
    async with engine.connect() as connection, connection.begin():
        # A reader who takes long: the week cannot be taken out, and the job is surely in the midst of it.
        await connection.execute(text("SELECT count(*) FROM reports"))
        command = [sys.executable, "-c", KILLED, url.render_as_string(hide_password=False), LATER.isoformat()]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'killed' AND wait_event_type = 'Lock'"
        deadline = time.monotonic() + 60
        while (await ask(engine, waits))[0][0] == 0:
            assert process.returncode is None
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        assert not (await job.run(LATER)).ran
        process.send_signal(signal.SIGKILL)
        await process.wait()
    while not (done := await job.run(LATER)).ran:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert any(name.startswith("reports_from") for name in done.spans_dropped)
    assert (await everything(engine))["reports"] == []
    assert len((await everything(engine))["days"]) == 3


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_the_verbs_hold_and_maintain(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    config = ["--config", str(authority.configure(1))]
    run("migrate", *config)
    period = ["--from", "2026-01-01T00:00:00+07:00", "--until", "2026-02-01T00:00:00+07:00"]
    made = run("hold", "place", *config, "--operator", "a", "--reason", "toà án", "--by", "auditor", *period).strip()
    run("hold", "release", *config, made, "--reason", "closed", "--by", "judge")
    (shown,) = json.loads(run("hold", "list", "--json", *config))
    assert (shown["hold_id"], shown["placed_by"], shown["released_by"]) == (made, "auditor", "judge")
    assert made[:12] in run("hold", "list", *config)
    assert json.loads(run("maintain", "--json", *config))["ran"]
    assert "reports summed" in run("maintain", *config)
    for wrong in (period[:2], ["--finding", "zz"], [*period, "--finding", "00"], ["--from", "2026-01-01", *period[2:]]):
        words = ["hold", "place", *config, "--operator", "a", "--reason", "r", "--by", "b", *wrong]
        assert isinstance(CliRunner().invoke(app, words).exception, ComplianceError)

"""A node that takes the list as a zone is challenged as any other: real Knot, BIND and its log, to the proof."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.challenges.challenge import State
from compliance_api.domain.observations.observation import Path as Way
from compliance_api.domain.reports.chain import Relation
from compliance_api.storage.challenges.challenges import Challenges
from compliance_api.storage.probing.assignments import Assignments
from compliance_api.storage.tables import challenges, questions, reports
from lachan import postgres
from lachan.compliance.v1 import report_pb2 as pb
from tests.support.challenging import HOUR_AT, NAMES, ZONE, challenged, handed_in, opened, reported, scene, stored
from tests.support.nameserver import nameserver
from tests.support.rpz_desk import list_by_knot, world
from tests.support.rpz_network import ADDRESS, bind, free_port, stopped
from tests.support.rpz_node import RpzNode, samples


@pytest.mark.debian("knotd", "knotc", "named")
async def test_counts_from_binds_log_are_committed_to_opened_and_verified(
    databases: postgres.Server, tmp_path: Path
) -> None:
    port = free_port()
    published = HOUR_AT - timedelta(days=9)
    # In force like the others, and no zone of this origin has room for it.
    long = ".".join(["a" * 60] * 4)[:235] + ".example"
    async with (
        nameserver(world) as upstream,
        list_by_knot(tmp_path, port, rules=[f"||{name}^" for name in (*NAMES, long)]) as (desk, knot),
        samples(tmp_path / "samples", desk.lists.release, published) as lists,
    ):
        with desk.lists.serve() as server:
            primary = f'{ADDRESS} port {knot.port} key "isp-a-1"'
            named = bind(tmp_path, port, desk.key_file, primary, upstream.port)
            node = RpzNode(tmp_path / "node", "a", named, desk, server, HOUR_AT)
            async with scene(databases, tmp_path, {}, {"a": node}, lists, own_name="") as made:
                # What the authority asks of its own zone comes to its own name server, from the resolver itself.
                forward = f"forwarders {{ {ADDRESS} port {made.nonce_port}; }};"
                with (named.folder / "named.conf").open("a") as file:
                    file.write(f'zone "{ZONE}" {{ type forward; forward only; {forward} }};\n')
                with stopped(named):
                    named.start("named", "-f", "-n", "1", "-c", str(named.folder / "named.conf"))
                    await named.until_says({NAMES[-1]: "NXDOMAIN", "control.example": "answered"})
                    await node.begin()
                    await handed_in(made, "a", node.told())
                    await challenged(made)
                    assert {one.path for one in await made.paths.decide(made.clock())} == {Way.VERIFIED}
                await reported(made)
                told = [pb.Report.FromString(one.report) for one in node.told()]
                assert await opened(made) == {"a": 1}
                (found,) = await made.summary.evaluate(made.clock())
                (hour,) = await Challenges(made.engine).results("a", HOUR_AT, HOUR_AT + timedelta(hours=1), lambda _: 0)
                async with made.engine.connect() as connection:
                    (row,) = (await connection.execute(select(challenges))).all()
                    given = set((await connection.execute(select(questions.c.qname))).scalars())
                assert await Assignments(made.engine).measuring("a", ["edge-1"]) == frozenset()
                pool = await made.names.pool(made.laws.laws[0], made.clock())
    (asked,) = [one for one in pool.names if one.unfit]
    assert asked.qname == long
    assert long not in {rule["qname"] for rule in row.rules} | given
    assert (row.state, row.reason) == (State.OPENED, "")
    assert found.slope is not None
    assert float(found.slope.beta) == pytest.approx(1, abs=0.1)
    assert (found.accuses, found.closed, found.absent, found.sums.n) == (False, 0, 0, 30)
    # What it committed to is told by hours, and nothing by name.
    assert [report.rule_commitment.hour for report in told if report.HasField("rule_commitment")] == [
        int(HOUR_AT.timestamp())
    ]
    assert all(report.HasField("hit_log") and not report.queries for report in told)
    # The counts by name and those by window are of one log: what was opened is within what was reported.
    assert hour.total == sum(cell.count for report in told for cell in report.blocked)
    assert 0 < hour.counted <= hour.total
    assert not hour.beyond


async def test_a_node_is_ours_by_what_its_newest_report_measures(engine: AsyncEngine) -> None:
    def row(node: str, number: int, *, measured: bool, relation: Relation = Relation.EXTENDS) -> dict[str, Any]:
        made = stored("a", node, HOUR_AT + timedelta(minutes=5 * number), number, 10)
        return made | {"queries_measured": measured, "relation": relation}

    rows = [
        row("ours", 1, measured=False),
        row("ours", 2, measured=True),
        row("zone", 3, measured=True),
        row("zone", 4, measured=False),
        # Who contradicts itself is believed by what it said first.
        row("zone", 5, measured=True, relation=Relation.EQUIVOCATION),
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(reports), rows)
    assert await Assignments(engine).measuring("a", ["ours", "zone", "silent"]) == {"ours"}
    assert await Assignments(engine).measuring("b", ["ours"]) == frozenset()

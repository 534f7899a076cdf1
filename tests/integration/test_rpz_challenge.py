"""A node that takes the list as a zone is challenged as any other: real Knot, BIND and its log, to the proof."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from compliance_api.domain.challenges.challenge import State
from compliance_api.domain.observations.observation import Path as Way
from compliance_api.storage.challenges.challenges import Challenges
from compliance_api.storage.tables import challenges
from lachan import postgres
from lachan.compliance.v1 import report_pb2 as pb
from tests.support.challenging import HOUR_AT, NAMES, ZONE, challenged, handed_in, opened, reported, scene
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
    async with (
        nameserver(world) as upstream,
        list_by_knot(tmp_path, port, rules=[f"||{name}^" for name in NAMES]) as (desk, knot),
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

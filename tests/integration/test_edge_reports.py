"""A real edge tells every window exactly once, whatever dies meanwhile."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from deploy.demo.upstream import upstream
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import REPORT, SigningKey
from lachan.tls import Role
from tests.support.authority import Authority
from tests.support.blocklist import built, entry
from tests.support.edge import Edge, running, until

WINDOWS = 60


def waiting(edge: Edge) -> int:
    status = edge.status()
    return status["reports"]["waiting"] if status else 0


def blocked(reports: list[pb.Report]) -> int:
    return sum(count.count for report in reports for count in report.blocked)


@pytest.mark.timeout(180)
async def test_sixty_windows_with_the_service_down_and_the_supervisor_killed_arrive_once_each(tmp_path: Path) -> None:
    (tmp_path / "rules.snapshot").write_bytes(built(entry("bad.example"), serial=3))
    authority = Authority(tmp_path / "authority")
    await authority.start()
    await authority.stop()
    files = authority.papers.issue("a", Role.NODE, "edge-1")
    uplink = {
        "target": authority.target,
        "tls": {"ca": str(files.ca), "certificate": str(files.certificate), "key": str(files.key)},
        "authority_key": str(authority.key_file),
        "backoff_first": "100ms",
        "backoff_max": "500ms",
    }
    asked = 0
    async with (
        upstream() as clean,
        running(
            tmp_path,
            [clean],
            blocklist={"snapshot": "rules.snapshot"},
            report={"window": "1s", "uplink": uplink},
        ) as edge,
    ):
        # The service is down. Every few seconds the supervisor dies, sometimes for several windows.
        for round_number in range(6):
            for _ in range(5):
                await edge.ask("www.bad.example")
                asked += 1
            edge.kill()
            for _ in range(5):
                await edge.ask("bad.example", "AAAA")
                asked += 1
            then = time.time() + 1 + round_number
            await until(lambda then=then: time.time() > then, "windows pass without a supervisor")
            await edge.start()
        await until(lambda: waiting(edge) >= WINDOWS, "sixty windows wait", 90)
        await authority.start()
        await authority.until(lambda: len(authority.reports) >= WINDOWS, 30)
        await until(lambda: blocked(authority.parsed()) == asked, "every block is told")
    reports = authority.parsed()
    # Once each, none left out, one chain.
    starts = [report.window_start for report in reports]
    assert starts == list(range(starts[0], starts[0] + len(starts)))
    assert [report.sequence for report in reports] == list(range(1, len(reports) + 1))
    assert len({report.boot_epoch for report in reports}) == 1
    digests = [hashlib.sha256(report.report).digest() for report in authority.reports]
    assert [report.previous_digest for report in reports] == [b"", *digests[:-1]]
    assert sum(report.windows_lost for report in reports) == 0
    assert blocked(reports) == asked
    assert {report.list.serial for report in reports} == {3}
    public = SigningKey.load(tmp_path / "state" / "node.key").public
    for report in authority.reports:
        public.verify(REPORT, report.report, report.signature)
    assert authority.callers == {"lachan://a/node/edge-1"}
    await authority.stop()

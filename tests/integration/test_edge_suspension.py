"""A release suspended on a real edge: in every worker, over restarts, told to the authority, and over by itself."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from blocklist_sync.central.serving import announcing
from blocklist_sync.central.serving.metrics import Metrics
from blocklist_sync.central.serving.settings import PushSettings
from deploy.demo.upstream import upstream
from lachan.compliance.v1 import report_pb2 as pb
from lachan.spool import Spool
from tests.support.edge import Edge, running, until
from tests.support.list_authority import ListAuthority
from tests.support.papers import Papers


def serials(edge: Edge) -> set[int]:
    """Of every worker, by its own word."""
    status = edge.status()
    return {worker["rules"]["serial"] for worker in status["workers"]} if status else set()


def heard(edge: Edge) -> bool:
    """Whether announcements are."""
    status = edge.status()
    return bool(status and status["sync"]["streaming"])


async def blocked(edge: Edge) -> tuple[bool, bool]:
    """Whether the bad name is, and the one listed by mistake."""
    bad, bank = [(await edge.ask(name)).rcode for name in ("bad.example", "bank.example")]
    return bad == 3, bank == 3


def reports(folder: Path) -> list[pb.Report]:
    spool = Spool(folder / "state" / "reports.spool")
    try:
        return [
            pb.Report.FromString(pb.SignedReport.FromString(item.payload).report)
            for item in spool.batch(1000, 10_000_000)
        ]
    finally:
        spool.close()


async def test_a_release_is_suspended_in_every_worker_and_told(tmp_path: Path) -> None:
    authority = await asyncio.to_thread(ListAuthority, tmp_path / "authority")
    await asyncio.to_thread(authority.publish, "bad.example")
    words = ("suspend-release", "--reason", "a bank is listed", "--hours", "1")
    papers = Papers(tmp_path / "papers")
    own, both = papers.of("lachan://a/node/edge-1"), tmp_path / "both.pem"
    both.write_bytes(own.ca.read_bytes() + authority.ca_path.read_bytes())
    announcements = await announcing.start(
        PushSettings(listen="127.0.0.1:0", tls=papers.of("lachan://so-test/service/blocklist")),
        authority.repository,
        Metrics(),
    )
    with authority.serve() as server:
        # Everything but the first release is heard of.
        sync = authority.settings(
            server,
            ca=both,
            tls={"certificate": own.certificate, "key": own.key},
            poll_interval="1h",
            push={
                "target": f"localhost:{announcements.port}",
                "poll_interval": "1h",
                "spread": "0s",
                "backoff_first": "100ms",
            },
        ).model_dump(mode="json")
        settings: dict[str, Any] = {"blocklist": {"sync": sync}, "report": {"window": "1s"}, "workers": 2}
        async with upstream() as clean, running(tmp_path, [clean], **settings) as edge:
            await until(lambda: serials(edge) == {1}, "the first list is in force")
            await until(lambda: heard(edge), "releases are announced")
            done = await edge.command(*words)
            assert done.returncode == 1
            assert "no release before it is on this disk" in done.stderr
            await asyncio.to_thread(authority.publish, "bad.example", "bank.example")
            await until(lambda: serials(edge) == {2}, "the second list is in force")
            assert await blocked(edge) == (True, True)

            done = await edge.command(*words)
            assert done.returncode == 0, done.stderr
            assert "in force: serial 1" in done.stdout
            # The command ends once every worker has it.
            assert await blocked(edge) == (True, False)
            await until(lambda: serials(edge) == {1}, "status says so")
            status = edge.status()
            assert status is not None
            assert [one["serial"] for one in status["suspended"]["live"]] == [2]
            began = time.time()
            await until(lambda: time.time() > began + 2, "a window passes")

            # The supervisor dies; so do the workers. It stays suspended, while rounds go on.
            edge.kill()
            await edge.stop()
            await edge.start()
            assert serials(edge) == {1}
            told = await edge.command("explain", "bank.example", "--json")
            assert json.loads(told.stdout)["serial"] == 1
            shown = await edge.command("status")
            assert "serial 2 until" in shown.stdout

            await until(lambda: heard(edge), "releases are announced again")
            await asyncio.to_thread(authority.publish, "bad.example", "other.example")
            await until(lambda: serials(edge) == {3}, "a later release is in force")
            done = await edge.command(*words, "--serial", "3")
            assert done.returncode == 0, done.stderr
            assert await blocked(edge) == (True, False)
            assert (await edge.command("resume-release")).returncode == 0
            await until(lambda: serials(edge) == {3}, "the newest is in force again")
    await announcements.stop()
    found = [one for report in await asyncio.to_thread(reports, tmp_path) for one in report.suspensions]
    assert {(one.serial, one.reason) for one in found} >= {(2, pb.OVERRIDE_REASON_TECHNICAL_FAULT)}
    assert all(len(one.records_digest) == 32 and one.ends_at - one.created_at <= 3600 for one in found)
    # In the report of that window the list is the one that was enforced.
    assert {report.list.serial for report in reports(tmp_path) if report.suspensions} >= {1}

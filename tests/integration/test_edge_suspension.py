"""A release suspended on a real edge: in every worker, over restarts, told to the authority, and over by itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from blocklist_sync.central.serving import announcing
from blocklist_sync.central.serving.metrics import Metrics
from blocklist_sync.central.serving.settings import PushSettings
from deploy.demo.upstream import upstream
from lachan.compliance.v1 import report_pb2 as pb
from lachan.spool import Spool
from lachan.tls import Role
from tests.support.authority import Authority
from tests.support.edge import Edge, nothing_written, running, until
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


def told_of(found: Sequence[pb.Report], serial: int) -> bool:
    """Whether the latest report says that a release is suspended, and the one before it enforced."""
    return bool(found) and [one.serial for one in found[-1].suspensions] == [serial] and found[-1].list.serial == 1


@pytest.mark.timeout(300)
async def test_a_suspension_ends_by_itself_though_the_supervisor_was_killed_meanwhile(tmp_path: Path) -> None:
    lists = await asyncio.to_thread(ListAuthority, tmp_path / "lists")
    await asyncio.to_thread(lists.publish, "bad.example")
    authority = Authority(tmp_path / "authority")
    await authority.start()
    files = authority.papers.issue("a", Role.NODE, "edge-1")
    uplink = {
        "target": authority.target,
        "tls": {"ca": str(files.ca), "certificate": str(files.certificate), "key": str(files.key)},
        "authority_key": str(authority.key_file),
        "backoff_first": "100ms",
    }
    kept = tmp_path / "state" / "blocklist" / "suspensions.json"
    with lists.serve() as server:
        sync = lists.settings(server, poll_interval=0.2).model_dump(mode="json")
        settings: dict[str, Any] = {"blocklist": {"sync": sync}, "report": {"window": "1s", "uplink": uplink}}
        async with upstream() as clean, running(tmp_path, [clean], workers=2, **settings) as edge:
            await until(lambda: serials(edge) == {1}, "the first list is in force")
            await asyncio.to_thread(lists.publish, "bad.example", "bank.example")
            await until(lambda: serials(edge) == {2}, "the second list is in force")
            # Shorter than may be asked for; a machine that takes longer to start gets a longer one.
            for seconds in (4, 20, 80):
                assert await blocked(edge) == (True, True)
                done = await edge.command("suspend-release", "--reason", "a bank is listed", "--hours", "1")
                assert done.returncode == 0, done.stderr
                assert await blocked(edge) == (True, False)
                await authority.until(lambda: told_of(authority.parsed(), 2), 90)
                workers = edge.workers()
                edge.kill()
                assert await blocked(edge) == (True, False)
                document = json.loads(kept.read_text())
                ends_at = document["kept"][-1]["ends_at"] = int(time.time()) + seconds
                kept.write_text(json.dumps(document))
                await edge.start()
                found = await blocked(edge)
                if time.time() < ends_at:
                    break
                await until(lambda: serials(edge) == {2}, "the newest is in force again")
            assert found == (True, False)
            assert edge.process is not None
            supervisor = edge.process.pid
            # Nor does it last because the moment of its end was a bad one.
            with nothing_written([supervisor]):
                await until(lambda: time.time() > ends_at + 1, "it ends while nothing can be written")
            await until(lambda: serials(edge) == {2}, "the newest is in force again")
            assert await blocked(edge) == (True, True)
            assert (edge.process.pid, edge.process.poll(), edge.workers()) == (supervisor, None, workers)
            shown = edge.status()
            assert shown is not None
            assert shown["suspended"]["live"] == []
            await authority.until(lambda: authority.parsed()[-1].list.serial == 2, 90)
    await authority.stop()

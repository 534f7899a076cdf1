"""The edge's own files while the disk takes nothing, and its promises while nobody supervises."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from blocklist_sync.edge.agent import Agent
from deploy.demo.upstream import upstream
from lachan.message import NOERROR, NXDOMAIN
from tests.support.blocklist import built, entry
from tests.support.edge import Edge, ended, nothing_written, running, until
from tests.support.list_authority import ListAuthority
from tests.support.load import ask_all, rcode

LISTED = "bad.example"


@pytest.fixture
def common(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rules.snapshot").write_bytes(built(entry(LISTED)))
    return {"blocklist": {"snapshot": "rules.snapshot"}, "workers": 2, "report": {"window": "1s"}}


def codes(edge: Edge, below: str = LISTED) -> set[int]:
    """What names below one are told, the listed one if none is named, from many ports: every worker is asked."""
    told: set[int] = set()

    def judge(_: str, answer: bytes) -> str:
        told.add(rcode(answer))
        return ""

    for number in range(16):
        tally = ask_all(edge.port, [f"n{number}.{below}"], judge, 1)
        assert tally.lost == []
    return told


def kept(seconds: float) -> dict[str, Any]:
    """An override as it stands on the disk, which ends after so many seconds."""
    now = int(time.time())
    override = {"name": LISTED, "scope": "subtree", "code": "other", "reason": "a test of it"}
    return {"form": 1, "kept": [override | {"created_at": now, "ends_at": now + int(seconds)}]}


@pytest.mark.timeout(240)
async def test_an_override_ends_in_its_time_though_the_supervisor_is_dead(
    tmp_path: Path, common: dict[str, Any]
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    async with upstream() as clean:
        # A machine that takes longer to start gets a longer one.
        for seconds in (5, 20, 80):
            overrides = kept(seconds)
            (state / "overrides.json").write_text(json.dumps(overrides))
            async with running(tmp_path, [clean], **common) as edge:
                ends_at = overrides["kept"][0]["ends_at"]
                told = await asyncio.to_thread(codes, edge)
                workers = edge.workers()
                edge.kill()
                if time.time() >= ends_at:
                    continue
                assert told == {NOERROR}
                # Nobody is there to say so: each worker knows it.
                while (told := await asyncio.to_thread(codes, edge)) != {NXDOMAIN}:
                    assert time.time() < ends_at + 60
                assert time.time() >= ends_at
                assert edge.workers() == workers
                return
    pytest.fail("the edge did not start within the longest override")


def sequence(edge: Edge) -> int:
    status = edge.status()
    return int(status["reports"]["waiting"]) if status else 0


async def test_a_disk_that_takes_nothing_costs_what_should_stand_on_it(tmp_path: Path, common: dict[str, Any]) -> None:
    add = ("add", LISTED, "--reason", "a hospital's", "--hours", "1", "--scope", "subtree")
    async with upstream() as clean, running(tmp_path, [clean], **common) as edge:
        assert edge.process is not None
        pids = [edge.process.pid, *edge.workers()]
        await until(lambda: sequence(edge) > 0, "a window was told")
        with nothing_written(pids):
            # An override that the disk does not hold is in force nowhere.
            refused = await edge.command("override", *add)
            assert refused.returncode == 1
            assert "overrides.json" in refused.stderr
            assert await asyncio.to_thread(codes, edge) == {NXDOMAIN}
            # Windows close and cannot be told; nobody ends over that, nor over a log that takes no lines.
            before = sequence(edge)
            closed = time.time() + 3
            await until(lambda: time.time() > closed, "windows close")
            assert sequence(edge) == before
            assert not any(map(ended, pids))
            assert await asyncio.to_thread(codes, edge) == {NXDOMAIN}
        await until(lambda: sequence(edge) > before + 2, "what could not be told is told")
        assert (await edge.command("override", *add)).returncode == 0
        assert await asyncio.to_thread(codes, edge) == {NOERROR}
        # On the disk as well: the next supervisor knows of it.
        assert json.loads((tmp_path / "state" / "overrides.json").read_text())["kept"][0]["name"] == LISTED
        assert edge.workers() == pids[1:]


async def test_a_list_on_the_disk_of_which_no_worker_was_told_is_in_force_after_the_next_start(tmp_path: Path) -> None:
    authority = await asyncio.to_thread(ListAuthority, tmp_path / "authority")
    await asyncio.to_thread(authority.publish, LISTED)
    with authority.serve() as server:
        sync = authority.settings(server, poll_interval=0.2)
        settings = {"blocklist": {"sync": sync.model_dump(mode="json")}, "workers": 2}
        async with upstream() as clean, running(tmp_path, [clean], **settings) as edge:
            await until(lambda: (edge.status() or {"list": {"serial": 0}})["list"]["serial"] == 1, "the first list")
            workers = edge.workers()
            edge.kill()
            # As where it was killed between the rename that puts a release in force and the word to its workers.
            await asyncio.to_thread(authority.publish, LISTED, "new.example")
            taken = await Agent(sync, tmp_path / "state").check()
            assert taken is not None
            assert taken.serial == 2
            for name, expected in ((LISTED, NXDOMAIN), ("new.example", NOERROR)):
                assert await asyncio.to_thread(codes, edge, name) == {expected}
            # Nor is a repository needed for it.
            server.faults = {"": lambda handler: handler.send_error(503) or True}
            await edge.start()
            for name in (LISTED, "new.example"):
                assert await asyncio.to_thread(codes, edge, name) == {NXDOMAIN}
            assert edge.workers() == workers

"""The edge's own files while the disk takes nothing, and its promises while nobody supervises."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.upstream import upstream
from lachan.message import NOERROR, NXDOMAIN
from tests.support.blocklist import built, entry
from tests.support.edge import Edge, ended, nothing_written, running, until
from tests.support.load import ask_all, rcode

LISTED = "bad.example"
ROUND = [f"n{number}.{LISTED}" for number in range(16)]


@pytest.fixture
def common(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rules.snapshot").write_bytes(built(entry(LISTED)))
    return {"blocklist": {"snapshot": "rules.snapshot"}, "workers": 2, "report": {"window": "1s"}}


def codes(edge: Edge) -> set[int]:
    """What names below the listed one are told, asked from many ports, so that every worker is asked."""
    told: set[int] = set()

    def judge(_: str, answer: bytes) -> str:
        told.add(rcode(answer))
        return ""

    for name in ROUND:
        tally = ask_all(edge.port, [name], judge, 1)
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

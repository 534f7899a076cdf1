"""Workers and supervisor killed and stopped: who takes over, and that clients do not notice.

With SO_REUSEPORT each client's queries go to one socket, and so to one worker: a test that asks from many ports asks
every worker, and one that is not served shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lachan.message import NOERROR
from tests.support.blocklist import built, entry
from tests.support.edge import Edge, ended, running, until
from tests.support.load import Load, packet, rcode

CLIENTS = 24
NEVER = {"stalled": "60s"}


@pytest.fixture
def common(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rules.snapshot").write_bytes(built(entry("bad.example")))
    limits = {"enabled": False, "misses_per_client": 4096, "misses_per_domain": 4096}
    return {"blocklist": {"snapshot": "rules.snapshot"}, "rate_limit": limits}


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process under SIGSTOP, which goes on afterwards if it still can."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def everybody_answered(edge: Edge, kind: socket.SocketKind, label: str) -> None:
    """Asks once from many ports: each gets its answer."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_INET, kind)) for _ in range(CLIENTS)]
        for number, client in enumerate(clients):
            client.settimeout(10)
            client.connect(("127.0.0.1", edge.port))
            query = packet(number, f"{label}{number}.example")
            client.send(query if kind == socket.SOCK_DGRAM else len(query).to_bytes(2, "big") + query)
        for number, client in enumerate(clients):
            answer = client.recv(4096)
            if kind == socket.SOCK_STREAM:
                answer = answer[2:]
            assert int.from_bytes(answer[:2], "big") == number
            assert rcode(answer) == NOERROR


def row(edge: Edge, number: int) -> dict[str, Any]:
    """What the status says of a worker."""
    rows: list[dict[str, Any]] = (edge.status() or {"workers": []})["workers"]
    return next((one for one in rows if one["worker"] == number and not one["leaving"]), {})


def judge(name: str, answer: bytes) -> str:
    return "" if rcode(answer) == (3 if name.endswith("bad.example") else 0) else f"response code {rcode(answer)}"


def names(label: str) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"{label}{number}.bad.example"
        yield f"{label}{number}.example"


async def test_a_sibling_drains_for_a_worker_that_stands_still_until_it_goes_on(
    tmp_path: Path, clean: int, common: dict[str, Any]
) -> None:
    async with running(tmp_path, [clean], workers=3, processes=NEVER, **common) as edge:
        pids = {number: row(edge, number)["pid"] for number in range(3)}
        with stopped(pids[0]):
            await asyncio.to_thread(everybody_answered, edge, socket.SOCK_DGRAM, "udp")
            await asyncio.to_thread(everybody_answered, edge, socket.SOCK_STREAM, "tcp")
            # One of the others does it, and the status says which.
            assert await until(lambda: row(edge, 1).get("drains_for") == [0], "the next one drains")
            assert row(edge, 2)["drains_for"] == []
            await until(lambda: row(edge, 0).get("answers") is False, "the status says that it stands still")
            assert row(edge, 0)["pid"] == pids[0]
            # Both of them still: the third drains for both.
            with stopped(pids[1]):
                await asyncio.to_thread(everybody_answered, edge, socket.SOCK_DGRAM, "alone")
                await until(lambda: row(edge, 2).get("drains_for") == [0, 1], "the last one drains for all")
        await until(lambda: not any(row(edge, n).get("drains_for", [0]) for n in range(3)), "all is given back")
        await asyncio.to_thread(everybody_answered, edge, socket.SOCK_DGRAM, "after")
        assert {number: row(edge, number)["pid"] for number in range(3)} == pids


async def test_a_worker_that_stands_still_for_too_long_is_replaced(
    tmp_path: Path, clean: int, common: dict[str, Any]
) -> None:
    async with running(tmp_path, [clean], processes={"stalled": "500ms"}, **common) as edge:
        [pid] = edge.workers()
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: edge.workers() not in ([], [pid]), "another one serves")
        assert ended(pid)
        assert "stands still; ending it" in edge.log
        await asyncio.to_thread(everybody_answered, edge, socket.SOCK_DGRAM, "replaced")
        await until(lambda: (edge.status() or {}).get("restarts") == 1, "the replacement is told")


async def test_with_the_supervisor_stopped_or_dead_a_dead_workers_clients_are_answered(
    tmp_path: Path, clean: int, common: dict[str, Any]
) -> None:
    async with running(tmp_path, [clean], workers=2, processes=NEVER, **common) as edge:
        assert edge.process is not None
        with Load(edge.port, names("stopped"), judge, 16) as under:
            with stopped(edge.process.pid):
                count = under.tally.answered
                await until(lambda: under.tally.answered > count + 500, "workers go on alone")
            tally = await asyncio.to_thread(under.stop)
        assert (tally.lost, tally.wrong) == ([], [])
        first, second = edge.workers()
        edge.kill()
        os.kill(first, signal.SIGKILL)
        await asyncio.to_thread(everybody_answered, edge, socket.SOCK_DGRAM, "orphaned")
        await asyncio.to_thread(everybody_answered, edge, socket.SOCK_STREAM, "connected")
        # The next supervisor keeps the one and replaces the other; one that merely stands still it cannot keep.
        await edge.start()
        pids = edge.workers()
        assert len(pids) == 2
        assert second in pids
        edge.kill()
        os.kill(pids[0], signal.SIGSTOP)
        await edge.start()
        assert ended(pids[0])
        assert len(edge.workers()) == 2
        assert pids[1] in edge.workers()
        await asyncio.to_thread(everybody_answered, edge, socket.SOCK_DGRAM, "adopted")

"""A start that goes wrong: workers without rules answer nobody, and end with whoever should have told them."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from resolver.seats import sitting
from tests.support.blocklist import built, entry
from tests.support.edge import COMMAND, DEADLINE_SECONDS, Edge, ended, until
from tests.support.load import packet

WORKERS = 2


@pytest.fixture
def edge(tmp_path: Path) -> Edge:
    return Edge(tmp_path, [1], workers=WORKERS, blocklist={"snapshot": "rules.snapshot"})


@pytest.fixture
def asker(edge: Edge) -> Iterator[socket.socket]:
    """A client that is heard only where its socket is: what answers come wait there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", edge.port))
        sock.setblocking(False)
        yield sock


def begin(edge: Edge) -> subprocess.Popen[bytes]:
    edge.config.write_text(yaml.safe_dump(edge.settings))
    with (edge.folder / "edge.log").open("ab") as log:
        edge.process = subprocess.Popen([*COMMAND, "serve", "--config", str(edge.config)], stdout=log, stderr=log)
    return edge.process


def seated(edge: Edge) -> list[int]:
    """Workers that have loaded, serving or not."""
    return [pid for seat in range(WORKERS) if (pid := sitting(edge.runtime, seat)) is not None]


async def all_seated(edge: Edge) -> list[int]:
    loaded: list[int] = await until(
        lambda: pids if len(pids := seated(edge)) == WORKERS else None, "every worker has loaded"
    )
    return loaded


async def test_nobody_is_answered_before_there_are_rules(edge: Edge, asker: socket.socket) -> None:
    # The list never comes: whoever opens it waits for somebody who writes.
    os.mkfifo(edge.folder / "rules.snapshot")
    supervisor = begin(edge)
    try:
        pids = await all_seated(edge)
        for number in range(20):
            asker.send(packet(number, "www.bad.example"))
        assert edge.workers() == []
        # Nobody will tell them any more.
        edge.kill()
        await until(lambda: all(map(ended, pids)), "workers without rules have ended")
    finally:
        supervisor.kill()
        supervisor.wait()
    with pytest.raises((BlockingIOError, ConnectionRefusedError)):
        asker.recv(4096)


async def test_a_list_that_is_not_intact_ends_the_start(edge: Edge) -> None:
    snapshot = bytearray(built(entry("bad.example")))
    snapshot[-1] ^= 1
    (edge.folder / "rules.snapshot").write_bytes(snapshot)
    supervisor = begin(edge)
    assert await asyncio.to_thread(supervisor.wait, DEADLINE_SECONDS) == 1
    assert "rules.snapshot: the snapshot's digest does not hold" in edge.log
    await until(lambda: seated(edge) == [], "no worker is left")

"""A configuration changed while an edge is asked: no query is lost, and a bad one changes nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.support.blocklist import built, entry
from tests.support.edge import Edge, running, until
from tests.support.list_authority import ListAuthority
from tests.support.load import Load, packet, rcode

LIMITS = {"enabled": False, "misses_per_client": 4096, "misses_per_domain": 4096}
LINGER = {"linger": "300ms"}


@pytest.fixture
def snapshot(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "rules.snapshot").write_bytes(built(entry("bad.example")))
    return {"snapshot": "rules.snapshot"}


def judge(name: str, answer: bytes) -> str:
    return "" if rcode(answer) == (3 if name.endswith("bad.example") else 0) else f"response code {rcode(answer)}"


def names(label: str) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"{label}{number}.bad.example"
        yield f"{label}{number // 2}.example"


class Connections(threading.Thread):
    """Asks over TCP until told to stop, each query on a connection of its own: what is not answered is lost."""

    def __init__(self, port: int) -> None:
        super().__init__(name="connections", daemon=True)
        self._port = port
        self._ending = threading.Event()
        self.answered = 0
        self.lost: list[str] = []

    def run(self) -> None:
        for number, name in enumerate(names("tcp")):
            if self._ending.is_set():
                return
            query = packet(number & 0xFFFF, name)
            try:
                with socket.create_connection(("127.0.0.1", self._port), 10) as client:
                    client.sendall(len(query).to_bytes(2, "big") + query)
                    answer = client.recv(4096)[2:]
            except OSError as error:
                self.lost.append(f"{name}: {error}")
                continue
            if not answer or judge(name, answer):
                self.lost.append(f"{name}: {answer.hex()}")
            self.answered += 1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join(15)
        assert not self.is_alive()


def write(edge: Edge, **changes: Any) -> None:
    edge.config.write_text(yaml.safe_dump(edge.settings | changes))


async def test_a_reload_and_a_new_list_under_load_lose_no_query(tmp_path: Path, clean: int) -> None:
    authority = await asyncio.to_thread(ListAuthority, tmp_path / "authority")
    await asyncio.to_thread(authority.publish, "bad.example")
    with authority.serve() as server:
        sync = authority.settings(server, poll_interval=0.2).model_dump(mode="json")
        common = {"blocklist": {"sync": sync}, "rate_limit": LIMITS, "processes": LINGER}
        async with running(tmp_path, [clean], workers=2, **common) as edge:
            await until(lambda: (edge.status() or {})["list"]["serial"] == 1, "the first list is in force")
            before = set(edge.workers())
            with Load(edge.port, names("udp"), judge, 16) as under, Connections(edge.port) as streams:
                write(edge, cache={"size": "4MB", "ttl_max": "10s"})
                publishing = asyncio.to_thread(authority.publish, "bad.example", "new.example")
                result, _ = await asyncio.gather(edge.command("reload"), publishing)
                assert (result.returncode, result.stdout) == (0, "reloaded\n"), result.stderr
                # All of them are others, under the new settings.
                after = set(edge.workers())
                assert len(after) == 2
                assert not before & after
                assert (await edge.ask("fresh.example")).answers[0].ttl == 10
                await until(lambda: (edge.status() or {})["list"]["serial"] == 2, "the new list is in force")
                tally = await asyncio.to_thread(under.stop)
            assert (tally.lost, tally.wrong, streams.lost) == ([], [], [])
            assert min(tally.answered, streams.answered) > 20
            assert (edge.status() or {})["restarts"] == 0


async def test_a_connection_is_served_on_by_the_worker_that_has_it(
    tmp_path: Path, clean: int, snapshot: dict[str, str]
) -> None:
    async with running(tmp_path, [clean], blocklist=snapshot, processes={"linger": "30s"}) as edge:
        [before] = edge.workers()
        with socket.create_connection(("127.0.0.1", edge.port), 10) as client:

            def asked(ident: int) -> bool:
                query = packet(ident, f"n{ident}.example")
                client.sendall(len(query).to_bytes(2, "big") + query)
                return client.recv(4096)[2:4] == query[:2]

            assert await asyncio.to_thread(asked, 1)
            assert edge.process is not None
            edge.process.send_signal(signal.SIGHUP)
            await until(lambda: len(set(edge.workers())) == 2, "both serve")
            assert await asyncio.to_thread(asked, 2)
        await until(lambda: edge.workers() not in ([], [before]) and len(edge.workers()) == 1, "the first one ends")


async def test_what_is_wrong_is_told_and_nothing_changes(tmp_path: Path, clean: int, snapshot: dict[str, str]) -> None:
    async with running(tmp_path, [clean], blocklist=snapshot, processes=LINGER) as edge:
        before = edge.workers()
        write(edge, access={"allow": ["300.0.0.0/8"]}, what=1)
        bad = await edge.command("reload")
        assert bad.returncode == 1
        assert all(place in bad.stderr for place in ("access.allow.0", "what"))
        assert edge.process is not None
        edge.process.send_signal(signal.SIGHUP)
        await until(lambda: "not reloaded" in edge.log, "the log tells it")
        # Good in itself, but not for an edge that runs.
        write(edge, workers=2, cache={"size": "8MB"}, access={"others": "drop"})
        fixed = await edge.command("reload")
        assert fixed.returncode == 1
        assert all(f"{place}: cannot change while the edge runs" in fixed.stderr for place in ("workers", "cache.size"))
        # Good for all that can be known before a worker starts under it.
        write(edge, upstreams=[{"address": "127.0.0.1", "port": clean}], cookies={"secret_file": "nowhere.txt"})
        late = await edge.command("reload")
        assert late.returncode == 1
        assert "stays in force" in late.stderr
        assert edge.workers() == before
        assert (await edge.ask("still.example")).answers
        # And put right, it is taken.
        write(edge, access={"allow": ["192.0.2.0/24"]})
        assert (await edge.command("reload")).returncode == 0
        assert (await edge.ask("refused.example")).rcode == 5
        os.kill(edge.workers()[0], signal.SIGKILL)
        await until(lambda: (edge.status() or {})["restarts"] == 1, "a dead one is replaced")
        await until(edge.workers, "it serves")
        # Under the settings that are in force now.
        assert (await edge.ask("refused.example")).rcode == 5

"""A real edge over loopback: what it answers, and what it survives."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from blocklist_sync.artifact.categories import Category
from lachan.message import NOERROR, NXDOMAIN, SERVFAIL
from tests.support.blocklist import OFFER, built, entry
from tests.support.edge import COMMAND, Edge, ended, free_port, running, until

ENTRIES = (
    entry("bad.example"),
    entry("worse.example", Category.CSAM),
    entry("school-only.example", order=OFFER),
    entry("holed.example"),
    entry("fine.holed.example", exception=True),
)


@pytest.fixture
def snapshot(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "rules.snapshot").write_bytes(built(*ENTRIES, serial=7))
    return {"snapshot": "rules.snapshot"}


@pytest.fixture
async def edge(tmp_path: Path, clean: int, snapshot: dict[str, str]) -> AsyncIterator[Edge]:
    async with running(tmp_path, [clean], blocklist=snapshot) as one:
        yield one


def command(edge: Edge, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words, "--config", str(edge.config)], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_listed_and_clean_names_are_answered_alike_on_every_transport(edge: Edge, tcp: bool) -> None:
    for qtype in ("A", "AAAA", "HTTPS", "MX", "TXT"):
        answer = await edge.ask("www.bad.example", qtype, tcp=tcp)
        assert (answer.rcode, [error.code for error in answer.errors]) == (NXDOMAIN, [16])
        assert [(record.name, record.ttl) for record in answer.authority] == [("bad.example", 10)]
    holed = await edge.ask("holed.example", tcp=tcp)
    assert (holed.rcode, holed.answers, holed.authority[0].name) == (NOERROR, (), "holed.example")
    for name in ("clean.example", "fine.holed.example", "school-only.example"):
        answer = await edge.ask(name, tcp=tcp)
        assert answer.rcode == NOERROR
        assert answer.answers[0].address
        assert not answer.errors


async def test_an_answer_that_does_not_fit_comes_over_tcp(edge: Edge) -> None:
    assert (await edge.ask("big.example", "TXT")).tc
    whole = await edge.ask("big.example", "TXT", tcp=True)
    assert not whole.tc
    assert sum(len(record.rdata) for record in whole.answers) > 1232


async def test_a_second_ask_is_answered_from_the_cache_with_less_time_to_live(edge: Edge) -> None:
    first = await edge.ask("kept.example")
    later = await until(
        lambda: (m := asyncio.run(edge.ask("KEPT.example"))).answers[0].ttl < first.answers[0].ttl and m, "it ages"
    )
    assert later.answers[0].address == first.answers[0].address
    assert later.question is not None
    assert later.question.qname == "KEPT.example"


async def test_a_flushed_name_is_asked_for_anew(edge: Edge) -> None:
    await edge.ask("kept.example")
    await until(lambda: asyncio.run(edge.ask("kept.example")).answers[0].ttl < 300, "it ages")
    result = await asyncio.to_thread(command, edge, "flush", "example", "--subtree")
    assert (result.returncode, result.stdout) == (0, "1 answers forgotten\n")
    wrong = await asyncio.to_thread(command, edge, "flush", "a..b")
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (1, False)


@pytest.mark.debian("dig")
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
async def test_dig_is_content(edge: Edge, transport: str) -> None:
    words = ["dig", transport, "+tries=1", "+time=3", "@127.0.0.1", "-p", str(edge.port)]
    listed = await asyncio.to_thread(subprocess.check_output, [*words, "under.bad.example", "HTTPS"], text=True)
    assert "status: NXDOMAIN" in listed
    assert "EDE: 16 (Censored)" in listed
    clean = await asyncio.to_thread(subprocess.check_output, [*words, "clean.example"], text=True)
    assert "status: NOERROR" in clean
    assert "WARNING" not in listed + clean


async def test_queries_are_answered_while_the_supervisor_is_dead_and_the_next_one_adopts_the_workers(
    edge: Edge,
) -> None:
    before = edge.workers()
    edge.kill()
    assert (await edge.ask("bad.example")).rcode == NXDOMAIN
    assert (await edge.ask("orphaned.example")).rcode == NOERROR
    await edge.start()
    assert edge.workers() == before
    assert (await edge.ask("bad.example")).rcode == NXDOMAIN


async def test_a_supervisor_with_other_settings_replaces_the_workers_on_the_same_sockets(edge: Edge) -> None:
    before = edge.workers()
    edge.kill()
    edge.settings["workers"] = 2
    await edge.start()
    assert len(edge.workers()) == 2
    assert not set(before) & set(edge.workers())
    for number in range(20):
        assert (await edge.ask(f"n{number}.example", tries=1)).rcode == NOERROR


async def test_a_dead_worker_is_replaced(edge: Edge) -> None:
    [pid] = edge.workers()
    os.kill(pid, signal.SIGKILL)
    await until(lambda: edge.workers() not in ([], [pid]), "another worker serves")
    assert (await edge.ask("bad.example")).rcode == NXDOMAIN
    await until(lambda: (edge.status() or {}).get("restarts") == 1, "the replacement is told")


async def test_ending_the_supervisor_ends_everything(edge: Edge) -> None:
    pids = edge.workers()
    assert edge.process is not None
    edge.process.terminate()
    assert await asyncio.to_thread(edge.process.wait, 15) == 0
    assert all(ended(pid) for pid in pids)
    assert not list(edge.runtime.glob("*.sock"))


async def test_an_unreachable_upstream_is_passed_over(tmp_path: Path, clean: int, snapshot: dict[str, str]) -> None:
    forwarding = {"sockets": 4, "first_try": "100ms"}
    async with running(tmp_path, [free_port(), clean], blocklist=snapshot, forwarding=forwarding) as edge:
        assert (await edge.ask("elsewhere.example")).rcode == NOERROR


async def test_no_upstream_at_all_is_servfail_and_the_list_still_holds(
    tmp_path: Path, snapshot: dict[str, str]
) -> None:
    forwarding = {"sockets": 4, "first_try": "50ms"}
    async with running(tmp_path, [free_port()], blocklist=snapshot, forwarding=forwarding) as edge:
        answer = await edge.ask("nowhere.example")
        assert (answer.rcode, [error.code for error in answer.errors]) == (SERVFAIL, [22])
        assert (await edge.ask("bad.example")).rcode == NXDOMAIN


async def test_a_profile_follows_the_network(tmp_path: Path, clean: int, snapshot: dict[str, str]) -> None:
    profiles = [{"name": "school", "networks": ["127.0.0.0/8"]}]
    async with running(tmp_path, [clean], blocklist=snapshot, profiles=profiles) as edge:
        answer = await edge.ask("school-only.example")
        assert (answer.rcode, [error.code for error in answer.errors]) == (NXDOMAIN, [17])


async def test_a_second_supervisor_and_a_busy_port_are_refused_in_a_sentence(edge: Edge, tmp_path: Path) -> None:
    again = await asyncio.to_thread(command, edge, "serve")
    assert again.returncode == 1
    assert "another supervisor runs there" in again.stderr
    other = tmp_path / "other"
    other.mkdir()
    rival = Edge(other, [1], blocklist={"snapshot": "../rules.snapshot"})
    rival.settings["listen"] = edge.settings["listen"]
    rival.config.write_text(json.dumps(rival.settings))
    busy = await asyncio.to_thread(command, rival, "serve")
    assert busy.returncode == 1
    assert f"127.0.0.1 port {edge.port}/udp" in busy.stderr
    assert "Traceback" not in busy.stderr


async def test_the_commands_tell_what_is(edge: Edge) -> None:
    def run(*words: str) -> str:
        result = command(edge, *words)
        assert result.returncode == 0, result.stderr
        return result.stdout

    status = json.loads(await asyncio.to_thread(run, "status", "--json"))
    assert (status["list"]["serial"], status["list"]["entries"]) == (7, len(ENTRIES))
    explained = json.loads(await asyncio.to_thread(run, "explain", "deep.bad.example", "--json"))
    assert explained["profiles"]["default"] == {
        "action": "nxdomain", "owner": "bad.example", "category": "gambling", "order": "12/QĐ",
        "decided_by": "list", "own_name": None, "periods": [],
    }  # fmt: skip
    asked = json.loads(await asyncio.to_thread(run, "query", "bad.example", "AAAA", "--json"))
    assert (asked["rcode"], asked["errors"]) == ("NXDOMAIN", ["16 Censored"])
    assert "good" in await asyncio.to_thread(run, "validate")
    assert "BEGIN PUBLIC KEY" in await asyncio.to_thread(run, "enroll")


async def test_every_error_of_a_configuration_is_told_at_once(edge: Edge) -> None:
    edge.config.write_text("organisation: UPPER\nnode: a\nlisten: []\nupstreams: [{address: nowhere}]\nwhat: 1\n")
    result = await asyncio.to_thread(command, edge, "validate")
    assert result.returncode == 1
    for place in (":1: organisation", ":3: listen", "upstreams.0.address", ":5: what"):
        assert place in result.stderr


async def test_the_first_filtered_answer_comes_soon_after_the_start(
    tmp_path: Path, clean: int, snapshot: dict[str, str]
) -> None:
    # Not a measurement: a bound that only a start which waits for something would break.
    began = time.monotonic()
    async with running(tmp_path, [clean], blocklist=snapshot) as edge:
        assert (await edge.ask("bad.example")).rcode == NXDOMAIN
    assert time.monotonic() - began < 45


async def test_the_metrics_endpoint_counts_what_was_asked(tmp_path: Path, clean: int, snapshot: dict[str, str]) -> None:
    port = free_port()
    async with running(tmp_path, [clean], blocklist=snapshot, metrics={"address": "127.0.0.1", "port": port}) as edge:
        for _ in range(3):
            await edge.ask("bad.example")
        await edge.ask("clean.example", tcp=True)
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            health = await client.get(f"http://127.0.0.1:{port}/health")
    lines = set(text.splitlines())
    assert 'lachan_resolver_blocked_total{action="nxdomain",category="gambling"} 3.0' in lines
    assert 'lachan_resolver_queries_total{profile="default",rcode="NOERROR",transport="tcp"} 1.0' in lines
    assert "lachan_blocklist_serial 7.0" in lines
    assert "lachan_resolver_workers 1.0" in lines
    assert "bad.example" not in text
    assert health.status_code == 200

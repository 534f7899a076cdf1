"""An edge between several repositories, caches and resolvers: what fails is left for the next, what was cut goes on."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import ipaddress
import os
import random
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocklist_sync.edge.agent import Agent, ClientCertificate, Failure
from blocklist_sync.edge.pace import Ending, Pace
from blocklist_sync.edge.push import Announcement
from blocklist_sync.edge.settings import SyncSettings
from lachan.message import A, Record, encode, parse
from tests.support.edge import free_port
from tests.support.list_authority import Handler, ListAuthority, Server, silence
from tests.support.nameserver import nameserver
from tests.support.origin import origin
from tests.support.papers import Papers
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
ENTRIES = [f"n{number}.example" for number in range(4000)]


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("bad.example")
    return authority


def url(server: Server, host: str = "127.0.0.1") -> str:
    return f"https://{host}:{server.server_address[1]}"


def bad_first(authority: ListAuthority, good: Server, bad: str, folder: Path) -> Agent:
    """An edge that took the release before from the good one, and asks the bad one next."""
    agent = Agent(authority.settings(good, mirrors=(bad,), idle_timeout=2), folder)
    agent._client.mirrors._turn = 0
    return agent


@pytest.mark.parametrize("kind", ["older", "tampered", "truncated", "slow", "unreachable", "expired"])
async def test_a_bad_mirror_is_left_for_the_next_and_counted(
    authority: ListAuthority, tmp_path: Path, kind: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(authority.repository, copy)
    authority.publish("bad.example", "new.example")
    with authority.serve(copy) as bad, authority.serve() as good:
        address = url(bad) if kind != "unreachable" else f"https://127.0.0.1:{free_port()}"
        if kind == "older":
            # It has been overtaken already.
            await Agent(authority.settings(good), tmp_path / "edge").check()
            authority.publish("bad.example", "newer.example")
        elif kind == "expired":
            shutil.rmtree(copy)
            shutil.copytree(authority.repository, copy)
            authority.publish(now=int(time.time()) - 3 * 86_400)
            shutil.copy(authority.repository / "metadata" / "timestamp.json", copy / "metadata" / "timestamp.json")
            authority.publish()
        else:
            shutil.copytree(authority.repository, copy, dirs_exist_ok=True)
            records = copy / authority.records.relative_to(authority.repository)
            good_bytes = records.read_bytes()
            records.write_bytes(bytes(len(good_bytes)) if kind == "tampered" else good_bytes[:-1])
            bad.faults = {"timestamp": silence} if kind == "slow" else {}
        agent = bad_first(authority, good, address, tmp_path / "edge")
        taken = await agent.check()
        assert taken is not None, [mirror.document() for mirror in agent._client.mirrors.all]
        assert taken.serial == authority.release.history()[-1].serial
        mirrors = {mirror.url: mirror for mirror in agent._client.mirrors.all}
        assert mirrors[address].failures == {kind: 1}
        assert not mirrors[url(good)].failures
        # What one mirror does is no verdict on a release; and it is left alone for now.
        assert sum(agent.refused.values()) == sum(agent.failed.values()) == 0
        assert agent._client.mirrors.order(time.monotonic())[0].url == url(good)


async def test_a_mirror_that_lags_is_passed_over_once_a_release_was_announced(
    authority: ListAuthority, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(authority.repository, old)
    with authority.serve(old) as lagging, authority.serve() as good:
        agent = bad_first(authority, good, url(lagging), tmp_path / "edge")
        assert await agent.check() is not None
        authority.publish("bad.example", "new.example")
        agent._client.mirrors._turn = 0
        assert await agent.check() is None
        agent._client.mirrors._turn = 0
        agent._announced = Announcement(2, bytes(32), urgent=False)
        taken = await agent.check()
        assert taken is not None
        assert taken.serial == 2
        # It is behind, and no more than that.
        assert not any(mirror.failures for mirror in agent._client.mirrors.all)


class Cutting:
    """Serves records by half, and then what it is asked for."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.asked: list[str | None] = []
        self.whole = False

    def __call__(self, handler: Handler) -> bool:
        data = Path(handler.translate_path(handler.path)).read_bytes()
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        handler.send_response(206 if asked else 200)
        if asked:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - start))
        handler.send_header("ETag", '"strong"')
        handler.end_headers()
        end = len(data) if self.whole else min(len(data), start + self._at)
        with contextlib.suppress(OSError):
            handler.wfile.write(data[start:end])
        return True


async def test_a_download_that_was_cut_goes_on_where_it_ended(authority: ListAuthority, tmp_path: Path) -> None:
    authority.publish(*ENTRIES)
    size = authority.records.stat().st_size
    with authority.serve() as first, authority.serve() as second:
        cutting = Cutting(20_000)
        first.faults = {"records.bin": cutting}
        agent = Agent(authority.settings(first), tmp_path / "edge")
        assert await agent.check() is None
        assert agent.failed[Failure.UNREACHABLE] == 1
        # After a restart too, and from another repository of the same files.
        elsewhere = Cutting(20_000)
        second.faults = {"records.bin": elsewhere}
        agent = Agent(authority.settings(second), tmp_path / "edge")
        assert await agent.check() is None
        cutting.whole = True
        agent = Agent(authority.settings(first), tmp_path / "edge")
        taken = await agent.check()
        assert taken is not None
        assert taken.serial == 2
        assert (cutting.asked, elsewhere.asked) == ([None, "bytes=40000-"], ["bytes=20000-"])
        assert size > 40_000

        # A part that is damaged costs one download from the beginning, and no verdict.
        authority.publish(*ENTRIES, "new.example")
        cutting.whole, cutting.asked = False, []
        agent = Agent(authority.settings(first), tmp_path / "other")
        assert await agent.check() is None
        [part] = (tmp_path / "other").rglob("*.part")
        part.write_bytes(bytes(20_000))
        cutting.whole = True
        taken = await agent.check()
        assert taken is not None
        assert taken.serial == 3
        assert cutting.asked == [None, "bytes=20000-", None]
        assert sum(agent.refused.values()) == 0
        assert not list((tmp_path / "other").rglob("*.part"))


async def test_what_one_mirror_cut_off_the_next_goes_on_with_in_the_same_round(
    authority: ListAuthority, tmp_path: Path
) -> None:
    authority.publish(*ENTRIES)
    with authority.serve() as bad, authority.serve() as good:
        cutting, going_on = Cutting(20_000), Cutting(0)
        going_on.whole = True
        bad.faults, good.faults = {"records.bin": cutting}, {"records.bin": going_on}
        agent = bad_first(authority, good, url(bad), tmp_path / "edge")
        taken = await agent.check()
        assert taken is not None
        assert (cutting.asked, going_on.asked) == ([None], ["bytes=20000-"])
        assert sum(agent.failed.values()) == 0


class Longest(random.Random):
    """Draws the longest wait there may be."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


class Told(Pace):
    """A pace that notes how rounds ended, and waits for none."""

    def __init__(self, settings: SyncSettings) -> None:
        super().__init__(settings, Longest())
        self.endings: list[Ending] = []
        self.waits: list[float] = []

    def after(self, ending: Ending, *, streaming: bool, behind: bool) -> float:
        self.endings.append(ending)
        self.waits.append(super().after(ending, streaming=streaming, behind=behind))
        return 0.0


def waits(pace: Told, endings: list[Ending]) -> list[float]:
    """Those of the first rounds that ended in this way one after another."""
    found = list(zip(pace.endings, pace.waits, strict=True))
    for at in range(len(found)):
        if pace.endings[at : at + len(endings)] == endings and pace.endings[at - 1] is not endings[0]:
            return [wait for _, wait in found[at : at + len(endings)]]
    raise AssertionError(pace.endings)


async def test_rounds_that_fail_are_further_and_further_apart_by_how_they_failed(
    authority: ListAuthority, tmp_path: Path
) -> None:
    with authority.serve() as server:
        settings = authority.settings(server, idle_timeout=1, poll_interval="1h", backoff_max="1m")
        agent = Agent(settings, tmp_path / "edge")
        pace = agent._pace = Told(settings)

        async def taken(_: object) -> None:
            """Nobody has to be told."""

        running = asyncio.create_task(agent.run(taken))
        try:
            await until(lambda: pace.endings[-1:] == [Ending.WELL])
            server.faults = {"timestamp": lambda handler: handler.send_error(500) or True}
            await until(lambda: pace.endings[-9:] == [Ending.UNREACHABLE] * 9)
            server.faults = {"timestamp": silence}
            await until(lambda: pace.endings[-1] is Ending.SLOW)
            authority.publish("new.example", now=int(time.time()) - 3 * 86_400)
            server.faults = {}
            await until(lambda: pace.endings[-1] is Ending.REFUSED)
            # The span doubles from a second to its bound, and begins anew with another trouble.
            cut, slow, refused = ([Ending.UNREACHABLE] * 9, [Ending.SLOW], [Ending.REFUSED])
            assert waits(pace, cut) == [1, 2, 4, 8, 16, 32, 60, 60, 60]
            assert (waits(pace, slow), waits(pace, refused)) == ([10], [30])
            authority.publish()
            await until(lambda: pace.endings[-1] is Ending.WELL)
            assert pace.waits[-1] == pytest.approx(1.1 * 3600)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_the_host_is_found_without_the_machines_own_resolver(authority: ListAuthority, tmp_path: Path) -> None:
    def answer(packet: bytes) -> list[bytes]:
        asked = parse(packet)
        question = asked.question
        assert question is not None
        found = ()
        if (question.qname, question.qtype) == ("list.example", A):
            found = (Record("list.example", A, 1, 60, ipaddress.ip_address("127.0.0.1").packed, ""),)
        reply = asked.__class__(**(vars(asked) | {"is_response": True, "answers": found, "edns": None}))
        return [encode(reply)]

    with authority.serve() as server:
        async with nameserver(answer) as resolver:
            hosts = {"resolvers": [f"127.0.0.1:{free_port()}", f"127.0.0.1:{resolver.port}"], "timeout": "5s"}
            settings = authority.settings(server, repository=url(server, "list.example"), hosts=hosts)
            agent = Agent(settings, tmp_path / "edge")
            assert await agent.check() is not None, agent.failed
            assert resolver.queries
        # Nobody can be asked any more: after a restart the edge knows where it was.
        quick = {"resolvers": [f"127.0.0.1:{free_port()}"], "timeout": "200ms"}
        restarted = Agent(
            settings.model_copy(update={"hosts": settings.hosts.model_validate(quick)}), tmp_path / "edge"
        )
        authority.publish("new.example")
        assert await restarted.check() is not None, restarted.failed
        # Without the file, the settings may say it; the certificate must be good for the name.
        told = {"addresses": {"list.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]}}
        for host, unreachable in (("list.example", 0), ("other.example", 1)):
            agent = Agent(authority.settings(server, repository=url(server, host), hosts=told), tmp_path / host)
            await agent.check()
            assert agent.failed[Failure.UNREACHABLE] == unreachable
            assert (agent.current() is None) == bool(unreachable)


@contextlib.contextmanager
def cache(folder: Path, upstream: int, papers: Papers) -> Iterator[tuple[int, Path]]:
    """An nginx with the example's configuration; its port, and its log of what it did."""
    own = papers.of("lachan://isp-a/node/cache")
    port = free_port()
    text = (ROOT / "deploy" / "nginx" / "list-cache.conf").read_text()
    for written, meant in (
        ("/var/cache/nginx/lachan-list", str(folder / "cache")),
        ("listen 8443", f"listen 127.0.0.1:{port}"),
        ("proxy_pass https://list.authority.example:443", f"proxy_pass https://127.0.0.1:{upstream}"),
        ("proxy_ssl_name list.authority.example", "proxy_ssl_name localhost"),
        ("/etc/lachan/tls/list-cache", str(own.ca.parent)),
        ("access_log off", f"access_log {folder}/access.log did"),
    ):
        assert written in text, written
        text = text.replace(written, meant)
    (folder / "cache.conf").write_text(text)
    (folder / "nginx.conf").write_text(
        ("user root; " if os.geteuid() == 0 else "")
        + f"daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; events {{}}\n"
        f"http {{ log_format did '$request_uri $status $upstream_cache_status';\n"
        + "".join(
            f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + f"include {folder}/cache.conf; }}\n"
    )
    process = subprocess.Popen(["nginx", "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        context = ssl.create_default_context(cafile=own.ca)
        context.load_cert_chain(own.certificate, own.key)
        deadline = time.monotonic() + 30
        while not (folder / "pid").exists():
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield port, folder / "access.log"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.debian("nginx")
async def test_a_cache_serves_what_never_changes_and_asks_for_the_rest(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish(*ENTRIES)
    papers = Papers(tmp_path / "papers")
    own = papers.of("lachan://isp-a/node/n1")
    folder = tmp_path / "nginx"
    folder.mkdir()
    with origin(authority.repository, papers) as upstream, cache(folder, upstream, papers) as (port, log):
        settings: dict[str, Any] = {
            "repository": f"https://localhost:{port}",
            "ca": own.ca,
            "tls": ClientCertificate(certificate=own.certificate, key=own.key),
        }

        def agent(name: str, **changes: Any) -> Agent:
            return Agent(authority.settings(None, **(settings | changes)), tmp_path / name)

        agents = [agent(f"edge-{number}") for number in range(4)]
        for serial in (1, 2):
            for one in agents:
                taken = await one.check()
                assert taken is not None, (one.failed, one.refused, (folder / "error.log").read_text())
                assert taken.serial == serial
            authority.publish(*ENTRIES, f"new-{serial}.example")
        did = [line.split() for line in log.read_text().splitlines()]
        for name in ("records.bin", ".delta"):
            assert [what for path, _, what in did if path.endswith(name)] == ["MISS", "HIT", "HIT", "HIT"]
        assert {what for path, _, what in did if "timestamp" in path} <= {"MISS", "EXPIRED", "REVALIDATED"}
        assert {(status, what) for path, status, what in did if "2.root" in path} == {("404", "MISS")}
        stranger = agent("stranger", tls=None)
        assert await stranger.check() is None
        assert stranger.failed[Failure.UNREACHABLE] == 1


async def test_a_cache_on_this_machine_may_be_asked_in_clear(authority: ListAuthority, tmp_path: Path) -> None:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(authority.repository))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as plain:
        thread = threading.Thread(target=plain.serve_forever, args=(0.02,))
        thread.start()
        try:
            settings = authority.settings(None, repository=f"http://127.0.0.1:{plain.server_address[1]}")
            assert await Agent(settings, tmp_path / "edge").check() is not None
        finally:
            plain.shutdown()
            thread.join()

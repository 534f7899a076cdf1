"""The pages of a real edge: shown over HTTP and HTTPS, and shown on whatever dies."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from lachan.message import NXDOMAIN
from resolver.control import ControlError, call
from tests.support.blocklist import built, entry
from tests.support.edge import COMMAND, Edge, ended, free_port, running, until
from tests.support.structure import Structure
from tests.support.tls import Authority

NAME = "check.isp.example"


@dataclass
class Pages:
    """An edge with pages, and a browser's way to them."""

    edge: Edge
    http: int
    https: int
    metrics: int
    authority: Authority

    def get(self, host: str, path: str = "/", *, encrypted: bool = False) -> httpx.Response:
        scheme, port = ("https", self.https) if encrypted else ("http", self.http)
        trust: ssl.SSLContext | bool = self.authority.client("http/1.1") if encrypted else True
        with httpx.Client(verify=trust, trust_env=False, timeout=10) as client:
            return client.get(
                f"{scheme}://127.0.0.1:{port}{path}", headers={"Host": host}, extensions={"sni_hostname": host}
            )

    def pid(self) -> int | None:
        try:
            return int(call(self.edge.runtime / "pages.sock", {"command": "status"})[0]["pid"])
        except ControlError:
            return None


def configured(authority: Authority, http: int, https: int) -> dict[str, Any]:
    """What an edge with pages is told."""
    tls = {"certificate": str(authority.files.certificate), "key": str(authority.files.key)}
    return {
        "blocklist": {"snapshot": "rules.snapshot"},
        "pages": {
            "operator": "Nhà mạng Mẫu",
            "operator_url": "https://isp.example/",
            "appeal": "https://isp.example/appeal",
            "name": NAME,
            "listen": [
                {"address": "127.0.0.1", "port": http},
                {"address": "127.0.0.1", "port": https, "tls": tls},
            ],
        },
    }


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Pages]:
    (tmp_path / "rules.snapshot").write_bytes(built(entry("bad.example"), serial=7))
    authority = Authority(tmp_path)
    authority.issue(NAME, f"*.{NAME}")
    http, https, metrics = free_port(), free_port(), free_port()
    settings = configured(authority, http, https) | {"metrics": {"address": "127.0.0.1", "port": metrics}}
    async with running(tmp_path, [free_port()], **settings) as edge:
        made = Pages(edge, http, https, metrics, authority)
        await until(made.pid, "the pages are up")
        yield made


async def test_a_browser_is_shown_why_and_whether_its_network_is_protected(place: Pages) -> None:
    blocked = await asyncio.to_thread(place.get, "www.bad.example", "/any/path?x=1")
    page = Structure.of(blocked.text)
    assert (blocked.status_code, page.problems()) == (451, [])
    assert blocked.headers["link"] == '<https://isp.example/>; rel="blocked-by"'
    assert page.text.startswith("111 ")
    assert "www.bad.example" in page.text
    assert "12/QĐ" in page.text
    assert (await asyncio.to_thread(place.get, "clean.example")).status_code == 404

    for encrypted in (False, True):
        check = await asyncio.to_thread(place.get, NAME, encrypted=encrypted)
        page = Structure.of(check.text)
        assert (check.status_code, page.problems()) == (200, [])
        assert "số 7" in page.text
        mark = httpx.URL(page.fetched[-1])
        assert (mark.scheme, mark.port) == (("https", place.https) if encrypted else ("http", place.http))
        # Who asks this resolver finds it, under whatever fresh name.
        found = await place.edge.ask(mark.host)
        assert [(record.rdata, record.ttl) for record in found.answers] == [(b"\x7f\0\0\1", 0)]
        picture = await asyncio.to_thread(place.get, mark.host, mark.path, encrypted=encrypted)
        assert picture.headers["content-type"].startswith("image/svg+xml")
        assert "Mạng này được bảo vệ" in picture.text

    async def told() -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{place.metrics}/metrics")).text

    lines = {
        'lachan_pages_shown_total{category="gambling",page="block"} 1.0',
        'lachan_pages_shown_total{category="none",page="mark"} 2.0',
        "lachan_pages_up 1.0",
    }
    text = await until(lambda: (seen := asyncio.run(told())) and lines <= set(seen.splitlines()) and seen, "counted")
    # An emergency override: the page that browsers still open claims nothing any more, and the school is told.
    message = {"command": "override-add", "name": "bad.example", "scope": "subtree", "code": "other", "hours": 1}
    call(place.edge.runtime / "supervisor.sock", message | {"reason": "a hospital's"})
    await until(lambda: place.get("www.bad.example").status_code == 404, "nothing is said to be blocked")
    assert "Ngoại lệ khẩn cấp" in (await asyncio.to_thread(place.get, NAME)).text
    # Who asked for what stands nowhere.
    assert "bad.example" not in place.edge.log + text
    assert not any("127.0.0.1" in one for one in place.edge.log.splitlines() if "component=pages" in one)


async def test_pages_come_and_go_and_come_back_without_a_query_lost(place: Pages) -> None:
    edge = place.edge
    workers, first = edge.workers(), place.pid()
    assert first is not None

    # The process dies: another takes its place on the same sockets.
    os.kill(first, signal.SIGKILL)
    second = await until(lambda: (pid := place.pid()) != first and pid, "another process serves")
    assert (await asyncio.to_thread(place.get, "bad.example")).status_code == 451

    # Other settings: another process shows them, and the one before has ended by itself.
    edge.settings["pages"]["operator"] = "Nhà mạng Khác"
    edge.config.write_text(yaml.safe_dump(edge.settings))
    assert edge.process is not None
    edge.process.send_signal(signal.SIGHUP)
    await until(lambda: "Nhà mạng Khác" in place.get("bad.example").text, "the pages have other settings")
    assert ended(second)
    second = await until(place.pid, "it is up")
    workers = edge.workers()

    # The supervisor dies: pages are shown on; the next one takes the sockets over and tells what is in force.
    edge.kill()
    assert (await asyncio.to_thread(place.get, "bad.example")).status_code == 451
    await edge.start()
    third = await until(lambda: (pid := place.pid()) != second and pid, "a process of the next supervisor serves")
    assert await until(lambda: ended(second), "the one before has ended")
    assert (await asyncio.to_thread(place.get, "bad.example")).status_code == 451

    assert edge.workers() == workers
    assert (await edge.ask("bad.example")).rcode == NXDOMAIN
    await edge.stop()
    assert ended(third)
    assert not (edge.runtime / "pages.sock").exists()


async def test_what_cannot_be_served_is_told_before_it_is_started(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue(NAME)
    edge = Edge(tmp_path, [53], **configured(authority, 80, 443))
    edge.config.write_text(yaml.safe_dump(edge.settings))
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "validate", "--config", str(edge.config), stdout=-1, stderr=-1
    )
    _, complaint = await process.communicate()
    assert process.returncode == 1
    assert f"pages.listen.1.tls: the certificate does not speak for *.{NAME}" in complaint.decode()


async def test_a_sinkholed_name_leads_to_the_page_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "rules.snapshot").write_bytes(built(entry("bad.example"), serial=7))
    http = free_port()
    async with running(
        tmp_path,
        [free_port()],
        blocklist={"snapshot": "rules.snapshot"},
        actions={"gambling": "sinkhole"},
        sinkhole={"ipv4": "127.0.0.1", "ipv6": "::1"},
        pages={"operator": "Nhà mạng Mẫu", "listen": [{"address": "127.0.0.1", "port": http}]},
    ) as edge:
        for tcp in (False, True):
            answer = await edge.ask("www.bad.example", tcp=tcp)
            [address] = [record.rdata for record in answer.answers]
            assert (answer.rcode, address, [error.code for error in answer.errors]) == (0, bytes([127, 0, 0, 1]), [16])
        # Where no address can lead to a page, there is nothing: a browser that asks for HTTPS records first asks on.
        for qtype in ("HTTPS", "MX", "TXT"):
            answer = await edge.ask("www.bad.example", qtype)
            assert (answer.rcode, answer.answers) == (0, ())
        await until((edge.runtime / "pages.sock").exists, "the pages are up")
        page = await asyncio.to_thread(
            httpx.get, f"http://127.0.0.1:{http}/", headers={"Host": "www.bad.example"}, trust_env=False, timeout=10
        )
    assert page.status_code == 451
    assert "111" in page.text

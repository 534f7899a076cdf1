"""A real edge and several upstreams: who is asked for what, who is passed over, and what leads back to the edge."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from deploy.demo import upstream as demo
from lachan.message import NOERROR, SERVFAIL
from tests.support.blocklist import built, entry
from tests.support.edge import Edge, free_port, running, until
from tests.support.load import ask_all
from tests.support.nameserver import NameServer, nameserver


@pytest.fixture
def common(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rules.snapshot").write_bytes(built(entry("bad.corp.example")))
    return {"blocklist": {"snapshot": "rules.snapshot"}}


def honest(query: bytes) -> list[bytes]:
    answer = demo.answer(query, datagram=True)
    return [answer] if answer else []


def names(server: NameServer) -> set[str]:
    """Names that it was asked for."""
    found = set()
    for _, query, _ in server.queries:
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
            at += query[at] + 1
        found.add(".".join(labels))
    return found


def health(edge: Edge) -> list[dict[str, Any]]:
    status = edge.status()
    return status["upstreams"] if status else []


def upstream(server: NameServer, **settings: Any) -> dict[str, Any]:
    return {"address": "127.0.0.1", "port": server.port} | settings


@contextlib.asynccontextmanager
async def serving(edge: Edge, settings: dict[str, Any]) -> AsyncIterator[Edge]:
    edge.settings |= settings
    try:
        await edge.start()
        yield edge
    finally:
        await edge.stop()


async def test_domains_are_asked_of_their_group_alone(tmp_path: Path, common: dict[str, Any]) -> None:
    async with nameserver(honest) as world, nameserver(honest) as corp, nameserver(honest) as lab:
        settings = common | {
            "upstreams": [upstream(world), upstream(corp, group="corp"), upstream(lab, group="lab")],
            "forwarding": {
                "sockets": 4,
                "first_try": "100ms",
                "domains": [
                    {"names": ["corp.example", "10.in-addr.arpa"], "group": "corp"},
                    {"names": ["lab.corp.example"], "group": "lab"},
                ],
            },
        }
        async with serving(Edge(tmp_path, []), settings) as edge:
            for name in ("www.ok.example", "corp.example", "a.corp.example", "b.lab.corp.example"):
                assert (await edge.ask(name)).rcode == NOERROR
            # A private zone that somebody answers for is no zone that ends here.
            await edge.ask("1.2.3.10.in-addr.arpa", "PTR")
            # The list stands before all of it.
            assert [error.code for error in (await edge.ask("bad.corp.example")).errors] == [16]
            assert names(world) == {"www.ok.example"}
            assert names(corp) == {"corp.example", "a.corp.example", "1.2.3.10.in-addr.arpa"}
            assert names(lab) == {"b.lab.corp.example"}
            # Where its own upstream is silent, no other one is asked.
            lab.udp = lambda _: []
            assert (await edge.ask("c.lab.corp.example", tries=1)).rcode == SERVFAIL
            assert "c.lab.corp.example" not in names(world) | names(corp)
            await until(lambda: [one["group"] for one in health(edge)] == ["default", "corp", "lab"], "status tells")


@pytest.mark.parametrize("strategy", ["fastest", "parallel_best"])
async def test_every_strategy_answers_while_one_is_silent_and_uses_it_again(
    tmp_path: Path, common: dict[str, Any], strategy: str
) -> None:
    numbers = itertools.count()

    def ask(edge: Edge, count: int) -> None:
        tally = ask_all(edge.port, [f"n{next(numbers)}.example" for _ in range(count)], lambda *_: "")
        assert (tally.lost, tally.wrong, tally.answered) == ([], [], count)

    async with nameserver(honest) as first, nameserver(honest) as second:
        settings = common | {"forwarding": {"sockets": 4, "first_try": "100ms", "strategy": strategy}}
        async with running(tmp_path, [first.port, second.port], **settings) as edge:
            await until(lambda: ask(edge, 20) or (first.queries and second.queries), "both are asked")
            first.udp = lambda _: []
            await until(lambda: ask(edge, 20) or not all(one["up"] for one in health(edge)), "it is down")
            count = len(first.queries)
            first.udp = honest
            await until(lambda: all(one["up"] for one in health(edge)), "it is back")
            await until(lambda: ask(edge, 20) or len(first.queries) > count + 2, "it is asked again")
            assert [one["looped"] for one in health(edge)] == [False, False]


class Relay(asyncio.DatagramProtocol):
    """Asks the edge whatever the edge asks it, and brings the answers back: a resolver that forwards in a circle."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.names: list[bytes] = []
        self._transport: asyncio.DatagramTransport | None = None
        self._asked: dict[bytes, tuple[str, int]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        if addr == self.target:
            source = self._asked.pop(data[:2], None)
            if source is not None:
                self._transport.sendto(data, source)
        else:
            self._asked[data[:2]] = addr
            self.names.append(data[12:])
            self._transport.sendto(data, self.target)


async def test_an_upstream_that_leads_back_is_refused_and_told(tmp_path: Path, common: dict[str, Any]) -> None:
    workers = 2
    port = free_port()
    circle = Relay(("127.0.0.1", port))
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: circle, local_addr=("127.0.0.1", 0))
    back = transport.get_extra_info("sockname")[1]
    async with nameserver(honest) as good:
        settings = common | {
            "workers": workers,
            "listen": [{"address": "127.0.0.1", "port": port}],
            "forwarding": {"sockets": 4, "first_try": "200ms"},
        }
        async with running(tmp_path, [back, good.port], **settings) as edge:
            edge.port = port
            await until(lambda: [one["looped"] for one in health(edge)] == [True, False], "the loop is told")
            await until(lambda: [one["up"] for one in health(edge)] == [0, workers], "by every worker")
            await until(lambda: edge.log.count("sends what it is asked back to us") == workers, "the log tells")
            assert f"udp:127.0.0.1:{back}" in edge.log
            count = len(circle.names)
            for number in range(20):
                assert (await edge.ask(f"n{number}.ok.example", tries=1)).rcode == NOERROR
            # But for the question whether it still leads back.
            assert all(name[1:18].lower() == b"lachan-loop-check" for name in circle.names[count:])
    transport.close()

"""All connections to one upstream, against real servers that behave and that do not."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from resolver.upstream.connection import SILENT_MAX
from resolver.upstream.connections import BACKLOG_MAX, CONNECTIONS_MAX, SPREAD, Connections
from resolver.upstream.question import HEADER_BYTES, Question
from resolver.upstream.stream import StreamUpstreams
from tests.support.framing import framed
from tests.support.packets import question, read, records
from tests.support.streams import LINE, Streams, Trusted, answer, answering, first, http2, once, silent, streams
from tests.support.streams import read as read_message
from tests.support.tls import Authority
from tests.support.wait import until

QUESTION = question("www.ok.example", edns=False, id=0)
PROTOCOLS = ("tcp", "dot", "doh")


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def talking(protocol: str) -> Any:
    return http2() if protocol == "doh" else answering


def tls(trusted: Trusted, protocol: str) -> Any:
    return {"tcp": None, "dot": trusted.serving(), "doh": trusted.serving("h2")}[protocol]


async def ask(asking: StreamUpstreams, count: int = 1) -> list[bytes | None]:
    return await asyncio.gather(*(asking.ask(0, QUESTION, 0) for _ in range(count)))


def status(asking: StreamUpstreams) -> dict[str, Any]:
    [one] = asking.status()
    return one


def asked(told: list[bytes | None], name: str = "www.ok.example") -> Question:
    return Question(question(name, edns=False)[HEADER_BYTES:], 0, told.append, float("inf"))


async def answered_again(asking: StreamUpstreams) -> None:
    async with asyncio.timeout(30):
        # The time between tries is the upstream's own.
        while not any(await ask(asking)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def plain_answer(query: bytes) -> bytes:
    """An empty answer, made without reading much."""
    end = query.index(b"\0", 12) + 5
    return query[:2] + b"\x81\x80\0\1\0\0\0\0\0\0" + query[12:end]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_one_connection_serves_one_question_after_another(trusted: Trusted, protocol: str) -> None:
    async with streams(talking(protocol), tls(trusted, protocol)) as server:
        asking = trusted.asking(protocol, server.port)
        for _ in range(5):
            [message] = await ask(asking)
            assert records(read(message)) == [LINE]
        assert (server.connections, len(server.queries)) == (1, 5)
        sizes = {len(query) for query in server.queries}
        assert sizes == ({len(QUESTION) + 11} if protocol == "tcp" else {128})
        counts = status(asking)
        assert counts["upstream"] == f"{protocol}:127.0.0.1:{server.port}"
        assert (counts["connections"], counts["waiting"], counts["asked"], counts["failures"]) == (1, 0, 5, {})


async def test_the_authority_and_path_of_https_are_those_configured(trusted: Trusted) -> None:
    async with streams(http2(), trusted.serving("h2")) as server:
        await ask(trusted.asking("doh", server.port, path="/of/a/school"))
        await ask(trusted.asking("doh", server.port, server_name=None))
    name, address = server.heads
    assert (name[b":authority"], name[b":path"]) == (f"dns.example:{server.port}".encode(), b"/of/a/school")
    assert (address[b":authority"], address[b":path"]) == (f"127.0.0.1:{server.port}".encode(), b"/dns-query")


async def test_https_falls_back_to_the_older_version_where_there_is_nothing_else(trusted: Trusted) -> None:
    async def talk(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"POST /dns-query HTTP/1.1\r\n")
            server.queries.append(await reader.readexactly(128))
            body = answer(server.queries[-1])
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )

    async with streams(talk, trusted.serving("http/1.1")) as server:
        asking = trusted.asking("doh", server.port)
        assert all(await ask(asking, 40))
        # One question on each at once, and as few as that takes.
        assert 1 < server.connections <= 32


async def test_ten_thousand_questions_go_through_one_connection_and_come_back_in_any_order(trusted: Trusted) -> None:
    async def talk(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: list[bytes] = []
        while True:
            held.append(await read_message(reader))
            # The newest first, as soon as nobody asks more for now.
            if len(held) == window:
                writer.write(framed(*(plain_answer(query) for query in reversed(held))))
                server.queries += held
                held.clear()

    window = SPREAD // 2
    async with streams(talk) as server:
        asking = trusted.asking("tcp", server.port)
        for _ in range(10_016 // window):
            assert all(await ask(asking, window))
        assert (server.connections, len(server.queries)) == (1, 10_016)
    assert status(asking)["moved"] == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_more_connections_are_opened_where_many_wait_but_not_without_end(trusted: Trusted, protocol: str) -> None:
    talk = silent if protocol != "doh" else http2(lambda _: None)
    async with streams(talk, tls(trusted, protocol)) as server:
        asking = trusted.asking(protocol, server.port, timeout=60)
        count = BACKLOG_MAX
        waiting = [asyncio.ensure_future(asking.ask(0, QUESTION, 0)) for _ in range(count)]
        await until(lambda: server.connections == CONNECTIONS_MAX)
        await until(lambda: status(asking)["connections"] == CONNECTIONS_MAX)
        assert status(asking)["waiting"] == count
        asking.close()
        assert await asyncio.gather(*waiting) == [None] * count
        assert status(asking)["waiting"] == 0


async def test_what_finds_no_place_to_wait_is_told_at_once(trusted: Trusted) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        asking = trusted.asking("dot", held.getsockname()[1], timeout=60)
        waiting = [asyncio.ensure_future(asking.ask(0, QUESTION, 0)) for _ in range(BACKLOG_MAX)]
        assert await ask(asking) == [None]
        asking.close()
        assert await asyncio.gather(*waiting) == [None] * BACKLOG_MAX


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_upstream_may_close_at_any_time(trusted: Trusted, protocol: str) -> None:
    async with streams(talking(protocol), tls(trusted, protocol)) as server:
        asking = trusted.asking(protocol, server.port)
        assert all(await ask(asking, 3))
        for _ in range(3):
            server.abort()
            assert all(await ask(asking, 3))
        counts = status(asking)
        assert counts["failures"] == {}
        if protocol != "tcp":
            # Each began where the one before had ended.
            assert (counts["resumed"], server.resumed) == (server.connections - 1, server.connections - 1)


BROKEN = {
    "in the middle of a message": lambda query: framed(answer(query))[:-5],
    "without a word": lambda query: b"",  # noqa: ARG005 # as the others
    "after a length that no message has": lambda query: b"\0\3" + answer(query),
    "after another question's answer": lambda query: framed(bytes([query[0] ^ 1]) + answer(query)[1:]),
    "after nonsense": lambda query: b"HTTP/1.1 400 Bad Request\r\n\r\n",  # noqa: ARG005 # as the others
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_a_question_whose_connection_ends_is_asked_again_once(trusted: Trusted, broken: Any) -> None:
    async with streams(first(once(broken), answering)) as server:
        asking = trusted.asking("tcp", server.port, timeout=60)
        [message] = await ask(asking)
        assert records(read(message)) == [LINE]
        assert (status(asking)["moved"], server.connections) == (1, 2)
        # And once only.
        server.abort()
        server.talk = once(broken)
        assert await ask(asking) == [None]


async def test_an_upstream_that_stalls_is_left_after_a_few_questions(trusted: Trusted) -> None:
    told: list[bytes | None] = []
    async with streams(silent) as server:
        connections = Connections(trusted.upstream("tcp", server.port), random.Random(1))
        ones = [asked(told) for _ in range(SILENT_MAX + 1)]
        for one in ones:
            connections.ask(one)
        await server.heard(len(ones))
        server.talk = answering
        for one in ones[:SILENT_MAX]:
            one.due_at = 0.0
        # What still has time is asked elsewhere.
        await until(lambda: len(told) == len(ones))
        assert [message is None for message in told] == [True] * SILENT_MAX + [False]
        counts = connections.status()
        assert (counts["overdue"], counts["moved"], counts["failures"]) == (SILENT_MAX, 1, {"silent": 1})
        connections.close()


async def test_slow_names_cost_themselves_alone(trusted: Trusted) -> None:
    async def talk(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            query = await read_message(reader)
            server.queries.append(query)
            if b"slow" not in query:
                writer.write(framed(answer(query)))

    told: list[bytes | None] = []
    async with streams(talk) as server:
        connections = Connections(trusted.upstream("tcp", server.port), random.Random(1))
        for number in range(2 * SILENT_MAX):
            slow, quick = asked(told, "slow.ok.example"), asked(told)
            connections.ask(slow)
            connections.ask(quick)
            await until(lambda: len(told) % 2 == 1)
            slow.due_at = 0.0
            await until(lambda: len(told) % 2 == 0)
            assert told[2 * number] is not None
            assert told[2 * number + 1] is None
        assert (server.connections, connections.status()["failures"]) == (1, {})
        connections.close()


async def test_an_upstream_that_is_not_there_is_told_quickly_and_logged_once(
    trusted: Trusted, logged: list[Any]
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        asking = trusted.asking("tcp", port, timeout=60)
        for _ in range(20):
            assert await ask(asking, 2) == [None] * 2
    assert status(asking)["failures"]["unreachable"] >= 2
    async with streams(answering, port=port):
        await answered_again(asking)
        assert all(await ask(asking, 10))
    assert [entry["event"] for entry in logged] == [
        "an upstream does not answer as it should",
        "an upstream answers again",
    ]
    assert logged[0]["upstream"] == f"tcp:127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("names", "expired", "said"),
    [
        (("other.example",), False, "not valid for 'dns.example'"),
        (("dns.example",), True, "certificate has expired"),
    ],
)
async def test_a_certificate_that_is_not_good_is_not_asked_and_logged_once(
    trusted: Trusted, logged: list[Any], names: tuple[str, ...], expired: bool, said: str
) -> None:
    trusted.authority.issue(*names, expired=expired)
    context = trusted.serving()
    async with streams(answering, context) as server:
        asking = trusted.asking("dot", server.port)
        for _ in range(5):
            assert await ask(asking, 2) == [None] * 2
        assert server.queries == []
        assert status(asking)["failures"]["certificate"] >= 2
        [entry] = logged
        assert (entry["log_level"], said in entry["reason"]) == ("error", True)
        # Once the pair is good, so is the upstream.
        trusted.authority.issue()
        context.load_cert_chain(trusted.authority.files.certificate, trusted.authority.files.key)
        await answered_again(asking)


async def test_authorities_that_cannot_be_read_are_told(trusted: Trusted, logged: list[Any]) -> None:
    (trusted.authority.folder / "ca.pem").unlink()
    async with streams(answering, trusted.serving()) as server:
        asking = trusted.asking("dot", server.port)
        assert await ask(asking, 2) == [None] * 2
        assert server.connections == 0
    assert "ca.pem" in logged[0]["reason"]


async def test_a_server_of_another_authority_is_a_stranger(trusted: Trusted) -> None:
    other = Trusted(Authority(trusted.authority.folder))
    other.authority.issue()
    async with streams(answering, other.serving()) as server:
        asking = trusted.asking("dot", server.port)
        assert await ask(asking) == [None]
        assert (server.queries, list(status(asking)["failures"])) == ([], ["certificate"])


async def test_a_resource_that_answers_by_a_status_is_told_once(trusted: Trusted, logged: list[Any]) -> None:
    status_only = http2(lambda _: ([(b":status", b"503")], b""))
    async with streams(status_only, trusted.serving("h2")) as server:
        asking = trusted.asking("doh", server.port)
        assert await ask(asking, 5) == [None] * 5
        assert await ask(asking, 5) == [None] * 5
        assert (status(asking)["failures"], server.connections) == ({"refused": 10}, 1)
    assert [entry["reason"] for entry in logged] == ["HTTP status 503"]


async def test_a_goaway_moves_what_it_leaves_behind(trusted: Trusted) -> None:
    def leave(http: Any) -> None:
        with contextlib.suppress(Exception):
            http.close_connection()

    async with streams(http2(then=leave), trusted.serving("h2")) as server:
        asking = trusted.asking("doh", server.port)
        for _ in range(5):
            assert all(await ask(asking))
        assert server.connections == 5
        assert status(asking)["failures"] == {}

"""What was truncated, asked again over TCP: one question, one answer, or none within the timeout."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import dns.flags
import dns.message
import pytest

from resolver.upstream.settings import Upstream
from resolver.upstream.stream import StreamUpstreams
from tests.support.nameserver import nameserver
from tests.support.packets import question, read, records, reply

QUESTION = question("www.ok.example", edns=False, id=0)
LINES = [f"www.ok.example. 300 IN A 192.0.2.{number}" for number in range(200)]


@contextlib.asynccontextmanager
async def upstreams(*ports: int, seconds: float = 5.0) -> AsyncIterator[StreamUpstreams]:
    asking = StreamUpstreams([Upstream(address="127.0.0.1", port=port) for port in ports], seconds)
    try:
        yield asking
    finally:
        asking.close()


def framed(data: bytes) -> list[bytes]:
    return [len(data).to_bytes(2, "big") + data]


def answered(query: bytes) -> list[bytes]:
    return framed(reply(query, LINES[0]))


async def test_the_whole_answer_comes_back() -> None:
    async with nameserver(
        tcp=lambda query: [(data := reply(query, *LINES)) and len(data).to_bytes(2, "big") + data]
    ) as server:
        async with upstreams(server.port) as asking:
            assert records(read(await asking.ask(0, QUESTION, 0))) == LINES
        [(kind, asked, _)] = server.queries
    assert kind == "tcp"
    assert asked[12:28] == QUESTION[12:28]


@pytest.mark.parametrize("bits", range(4))
async def test_the_question_says_what_the_clients_did(bits: int) -> None:
    async with nameserver(tcp=answered) as server, upstreams(server.port) as asking:
        await asking.ask(0, QUESTION, bits)
        [(_, asked, _)] = server.queries
    message = read(asked)
    cd = dns.flags.CD if bits & 2 else 0
    assert (message.flags, message.edns) == (dns.flags.RD | dns.flags.AD | cd, 0)
    assert message.ednsflags == (dns.flags.DO if bits & 1 else 0)


async def test_ids_are_drawn_anew() -> None:
    async with nameserver(tcp=answered) as server, upstreams(server.port) as asking:
        for _ in range(20):
            await asking.ask(0, QUESTION, 0)
        assert len({asked[:2] for _, asked, _ in server.queries}) > 15


async def test_the_upstream_is_the_one_that_truncated() -> None:
    async with nameserver() as one, nameserver(tcp=answered) as two, upstreams(one.port, two.port) as asking:
        await asking.ask(1, QUESTION, 0)
        assert (len(one.queries), len(two.queries)) == (0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: [],
        lambda _: [b"\0"],
        lambda _: [b"\0\0"],
        lambda _: framed(b"short"),
        lambda query: [framed(reply(query))[0][:-1]],
        lambda query: framed(bytes([query[0] ^ 1]) + reply(query)[1:]),
        framed,
        lambda query: framed(reply(query).replace(b"www", b"wwx")),
        # Types 65 and 97 differ in the bit that tells A from a.
        lambda query: framed(reply(query)[:28] + b"\0\x21\0\1" + reply(query)[32:]),
    ],
)
async def test_what_is_no_answer_to_the_question_is_none(answer: object) -> None:
    assert callable(answer)
    async with nameserver(tcp=answer) as server, upstreams(server.port) as asking:
        assert await asking.ask(0, QUESTION, 0) is None


async def test_nobody_there_is_none() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        async with upstreams(held.getsockname()[1]) as asking:
            assert await asking.ask(0, QUESTION, 0) is None


async def test_silence_ends_with_the_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        async with asyncio.timeout(20), upstreams(silent.getsockname()[1], seconds=0.1) as asking:
            assert await asking.ask(0, QUESTION, 0) is None


async def test_the_case_of_the_upstreams_question_is_its_own() -> None:
    async with (
        nameserver(tcp=lambda query: framed(reply(query, LINES[0]).replace(b"www", b"WwW", 1))) as server,
        upstreams(server.port) as asking,
    ):
        assert await asking.ask(0, QUESTION, 0) is not None


async def test_many_may_be_asked_at_once_though_a_connection_takes_but_one() -> None:
    async with nameserver(tcp=answered) as server, upstreams(server.port, seconds=30) as asking:
        answers = await asyncio.gather(*(asking.ask(0, QUESTION, 0) for _ in range(300)))
        assert all(answers)


async def test_who_no_longer_waits_is_not_told() -> None:
    async with nameserver(tcp=answered) as server, upstreams(server.port) as asking:
        task = asyncio.create_task(asking.ask(0, QUESTION, 0))
        await asyncio.sleep(0)
        task.cancel()
        assert await asking.ask(0, QUESTION, 0) is not None
        assert [one["asked"] for one in asking.status()] == [2]

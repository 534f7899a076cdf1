"""What was truncated, asked again over TCP: one question, one answer, or none within the timeout."""

from __future__ import annotations

import asyncio
import socket

import dns.flags
import dns.message
import pytest

from resolver.upstream.settings import Upstream
from resolver.upstream.stream import StreamUpstreams
from tests.support.nameserver import nameserver
from tests.support.packets import question, read, records, reply

QUESTION = question("www.ok.example", edns=False, id=0)
LINES = [f"www.ok.example. 300 IN A 192.0.2.{number}" for number in range(200)]


def upstreams(*ports: int, timeout: float = 2.0) -> StreamUpstreams:
    return StreamUpstreams(tuple(Upstream(address="127.0.0.1", port=port) for port in ports), timeout)


async def test_the_whole_answer_comes_back() -> None:
    async with nameserver(
        tcp=lambda query: [(data := reply(query, *LINES)) and len(data).to_bytes(2, "big") + data]
    ) as server:
        response = await upstreams(server.port).ask(0, QUESTION, 0)
        assert records(read(response)) == LINES
        [(kind, asked, _)] = server.queries
    assert kind == "tcp"
    assert asked[12:28] == QUESTION[12:28]


@pytest.mark.parametrize("bits", range(4))
async def test_the_question_says_what_the_clients_did(bits: int) -> None:
    async with nameserver() as server:
        await upstreams(server.port).ask(0, QUESTION, bits)
        [(_, asked, _)] = server.queries
    message = read(asked)
    cd = dns.flags.CD if bits & 2 else 0
    assert (message.flags, message.edns) == (dns.flags.RD | dns.flags.AD | cd, 0)
    assert message.ednsflags == (dns.flags.DO if bits & 1 else 0)


async def test_ids_are_drawn_anew() -> None:
    async with nameserver() as server:
        asking = upstreams(server.port)
        for _ in range(20):
            await asking.ask(0, QUESTION, 0)
        assert len({asked[:2] for _, asked, _ in server.queries}) > 15


async def test_the_upstream_is_the_one_that_truncated() -> None:
    async with nameserver() as one, nameserver() as two:
        await upstreams(one.port, two.port).ask(1, QUESTION, 0)
        assert (len(one.queries), len(two.queries)) == (0, 1)


def framed(data: bytes) -> list[bytes]:
    return [len(data).to_bytes(2, "big") + data]


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
        lambda query: framed(reply(query) + b"\0"),
    ],
)
async def test_what_is_no_answer_to_the_question_is_none(answer: object) -> None:
    assert callable(answer)
    async with nameserver(tcp=answer) as server:
        assert await upstreams(server.port).ask(0, QUESTION, 0) is None


async def test_nobody_there_is_none() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert await upstreams(held.getsockname()[1]).ask(0, QUESTION, 0) is None


async def test_silence_ends_with_the_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        async with asyncio.timeout(5):
            assert await upstreams(silent.getsockname()[1], timeout=0.1).ask(0, QUESTION, 0) is None


async def test_the_case_of_the_upstreams_question_is_its_own() -> None:
    async with nameserver(tcp=lambda query: framed(reply(query, LINES[0]).replace(b"www", b"WwW", 1))) as server:
        assert await upstreams(server.port).ask(0, QUESTION, 0) is not None


async def test_many_may_be_asked_at_once() -> None:
    async with nameserver(tcp=lambda query: framed(reply(query, LINES[0]))) as server:
        asking = upstreams(server.port, timeout=10)
        answers = await asyncio.gather(*(asking.ask(0, QUESTION, 0) for _ in range(300)))
    assert all(answers)
    assert len(server.queries) == 300

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from compliance_api.errors import ComplianceError
from compliance_api.ledger import cosigning
from compliance_api.usecases.ledger.sequence import Reply, WitnessError
from compliance_api.witnessing.witnesses import Address, HttpWitnesses, parse

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def asked(answer: Answer, seconds: float = 30.0) -> AsyncIterator[HttpWitnesses]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield HttpWitnesses({"w1": parse(f"http://127.0.0.1:{port}/ledger/")}, seconds)


def saying(data: bytes, heard: list[bytes] | None = None) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(4)
        if heard is not None:
            heard.extend([head, body])
        writer.write(data)
        await writer.drain()

    return answer


async def test_a_witness_is_asked_and_answers() -> None:
    heard: list[bytes] = []
    answer = b"HTTP/1.1 409 Conflict\r\nContent-Type: text/x.tlog.size\r\nContent-Length: 2\r\n\r\n7\n"
    async with asked(saying(answer, heard)) as witnesses:
        assert await witnesses.ask("w1", b"body") == Reply(409, "text/x.tlog.size", b"7\n")
    assert heard[0].startswith(b"POST /ledger/add-checkpoint HTTP/1.1\r\nHost: 127.0.0.1:")
    assert heard[1] == b"body"


async def test_a_reply_without_a_length_ends_with_the_connection() -> None:
    async with asked(saying(b"HTTP/1.0 200 OK\r\n\r\nsignature\n")) as witnesses:
        assert await witnesses.ask("w1", b"body") == Reply(200, "", b"signature\n")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "."),
        (b"SSH-2.0-OpenSSH\r\n", "."),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "peer closed connection"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60_000, "."),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (cosigning.MAX_REPLY_BYTES + 1), "answered more than 65536 bytes"),
    ],
)
async def test_whatever_else_it_says_is_named(data: bytes, reason: str) -> None:
    async with asked(saying(data)) as witnesses:
        with pytest.raises(WitnessError, match=reason):
            await witnesses.ask("w1", b"body")


async def test_one_that_says_nothing_or_drips_is_left_in_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            writer.write(b"H")
            await reader.read(1)

    async with asked(drip, seconds=0.05) as witnesses:
        with pytest.raises(WitnessError, match=r"no answer within 0\.05 s|illegal status line"):
            await witnesses.ask("w1", b"body")


async def test_one_that_is_not_there_is_named() -> None:
    async with asked(saying(b"")) as witnesses:
        pass
    with pytest.raises(WitnessError):
        await witnesses.ask("w1", b"body")
    with pytest.raises(WitnessError, match="the policy has no address of it"):
        await witnesses.ask("w2", b"body")


def test_addresses() -> None:
    assert parse("https://w1.example") == Address("w1.example", 443, True, "/add-checkpoint")
    assert parse("http://[2001:db8::1]:8580/a/") == Address("2001:db8::1", 8580, False, "/a/add-checkpoint")
    assert parse("http://[2001:db8::1]:8580/").authority == "[2001:db8::1]:8580"
    assert parse("https://w1.example:443").authority == "w1.example"


@pytest.mark.parametrize(
    "url",
    ["", "w1.example", "ftp://w1.example", "http://", "http://w1.example:x", "http://w1.example/?a", "http://a b/",
     "http://user@w1.example", "http://w1.example/#x", "http://[::1"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ComplianceError):
        parse(url)

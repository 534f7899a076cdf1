"""One connection: how it opens, when it ends, and what it leaves behind."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from resolver.upstream.connection import Connection
from resolver.upstream.question import HEADER_BYTES, Question
from resolver.upstream.trust import Trust
from tests.support.packets import question
from tests.support.streams import Streams, Trusted, answering, http2, silent, streams
from tests.support.wait import until

MODULE = "resolver.upstream.connection"
SECTION = question("www.ok.example", edns=False)[HEADER_BYTES:]


@dataclass
class Kept:
    """Whoever a connection belongs to, and what it was told."""

    ends: list[tuple[str, str]] = field(default_factory=list)
    back: list[Question] = field(default_factory=list)
    left: list[Question] = field(default_factory=list)
    refusals: int = 0
    successes: int = 0

    def progressed(self, connection: Connection) -> None:
        assert connection.codec is not None

    def succeeded(self) -> None:
        self.successes += 1

    def refused(self, count: int, text: str) -> None:
        assert text
        self.refusals += count

    def returned(self, questions: Sequence[Question]) -> None:
        self.back += questions

    def lost(self, connection: Connection, kind: str, text: str) -> None:
        self.left += connection.waiting
        self.ends.append((kind, text))


def connected(trusted: Trusted, protocol: str, port: int) -> tuple[Connection, Kept]:
    upstream = trusted.upstream(protocol, port)
    channel = None if protocol == "tcp" else Trust(upstream).channel()
    kept = Kept()
    return Connection(upstream, channel, random.Random(1), kept), kept


def asked(told: list[bytes | None]) -> Question:
    return Question(SECTION, 0, told.append, float("inf"))


async def test_there_is_no_room_before_it_is_open(trusted: Trusted) -> None:
    async with streams(answering, trusted.serving()) as server:
        connection, kept = connected(trusted, "dot", server.port)
        assert (connection.room, len(connection), connection.waiting) == (0, 0, ())
        await until(lambda: connection.room > 0)
        told: list[bytes | None] = []
        connection.ask(asked(told))
        await until(lambda: len(told) == 1)
        assert (told[0] is not None, connection.answered, kept.successes, connection.one_at_a_time) == (
            True,
            1,
            1,
            False,
        )
        connection.close()
        assert (connection.room, kept.ends) == (0, [("", "")])


@pytest.mark.parametrize("protocol", ["dot", "doh"])
async def test_what_does_not_open_in_time_is_given_up(
    trusted: Trusted, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.SETUP_SECONDS", 0.05)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        _, kept = connected(trusted, protocol, held.getsockname()[1])
        await until(lambda: bool(kept.ends))
    assert kept.ends == [("timeout", "it takes too long to connect")]


async def test_what_nobody_asks_for_long_says_goodbye(trusted: Trusted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{MODULE}.IDLE_SECONDS", 0.05)
    async with streams(silent, trusted.serving()) as server:
        connection, kept = connected(trusted, "dot", server.port)
        await until(lambda: connection.room > 0 or bool(kept.ends))
        await until(lambda: bool(kept.ends))
        assert kept.ends == [("", "")]
        # The server has heard it.
        await until(lambda: not server.open)


async def test_who_waits_is_not_idle(trusted: Trusted, monkeypatch: pytest.MonkeyPatch) -> None:
    async with streams(silent) as server:
        connection, kept = connected(trusted, "tcp", server.port)
        await until(lambda: connection.room > 0)
        monkeypatch.setattr(f"{MODULE}.IDLE_SECONDS", 0.0)
        connection.ask(asked([]))
        connection._look()
        assert not kept.ends
        connection.close()
    assert len(kept.left) == 1


async def test_an_upstream_that_does_not_read_is_asked_nothing_more(trusted: Trusted) -> None:
    async with streams(answering) as server:
        connection, kept = connected(trusted, "tcp", server.port)
        await until(lambda: connection.room > 0)
        # As the loop tells it above the high-water mark.
        connection.pause_writing()
        assert connection.room == 0
        connection.resume_writing()
        assert connection.room > 0
        connection.close()
        assert kept.left == []


async def test_a_connection_that_cannot_carry_a_question_gives_it_back(
    trusted: Trusted, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with streams(http2(), trusted.serving("h2")) as server:
        connection, kept = connected(trusted, "doh", server.port)
        await until(lambda: connection.room > 0)
        monkeypatch.setattr("resolver.upstream.http2.body", lambda _: bytes(100_000))
        one = asked([])
        connection.ask(one)
        assert kept.back == [one]
        assert [kind for kind, _ in kept.ends] == ["http"]


async def test_a_late_goodbye_of_the_handshake_is_no_surprise(trusted: Trusted) -> None:
    async def leave(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del server, reader
        writer.close()

    async with streams(leave, trusted.serving()) as server:
        connection, kept = connected(trusted, "dot", server.port)
        await until(lambda: bool(kept.ends))
        assert kept.ends == [("closed", "it closes the connection")]
        assert connection.room == 0

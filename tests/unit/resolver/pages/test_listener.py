"""Connections to the pages: one exchange each, so many at once, none for longer than its deadline."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resolver.pages.http import HEAD_BYTES_MAX
from resolver.pages.listener import PageServer
from tests.support.pages import NAME, NONCE, facts, pages
from tests.support.tls import Authority
from tests.support.wait import until

LISTED = b"GET / HTTP/1.1\r\nHost: bad.example\r\n\r\n"


@dataclass
class Place:
    """A server that listens on loopback."""

    server: PageServer
    port: int
    client: ssl.SSLContext | None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = {"server_hostname": NAME} if self.client is not None else {}
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.client, **name)

    async def said(self, *parts: bytes) -> bytes:
        reader, writer = await self.connect()
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(10):
            data = await reader.read()
        writer.close()
        return data

    async def forgotten(self) -> None:
        await until(lambda: not self.server.connections)


@contextlib.asynccontextmanager
async def listening(authority: Authority | None = None, **settings: Any) -> AsyncIterator[Place]:
    listen: dict[str, Any] = {"address": "127.0.0.1"}
    if authority is not None:
        listen["tls"] = authority.files.model_dump()
    made = pages(listen=[listen], **settings)
    server = PageServer(made, facts(access={"allow": ["127.0.0.0/8"]}))
    listener = await asyncio.get_running_loop().create_server(server.factory(made.listen[0]), "127.0.0.1", 0)
    client = authority.client("http/1.1") if authority is not None else None
    try:
        yield Place(server, listener.sockets[0].getsockname()[1], client)
    finally:
        listener.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue(NAME, f"*.{NAME}")
    return made


@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
async def test_a_request_is_answered_and_its_connection_closed(authority: Authority, encrypted: bool) -> None:
    async with listening(authority if encrypted else None) as place:
        assert (await place.said(LISTED)).startswith(b"HTTP/1.1 451 Unavailable For Legal Reasons\r\n")
        # In pieces, with more behind it than is answered.
        data = await place.said(LISTED[:7], LISTED[7:], LISTED)
        assert data.count(b"HTTP/1.1 ") == 1
        assert data.endswith(b"</html>\n")
        await place.forgotten()
        assert not place.server.clients
        assert place.server.router.shown == {("block", "gambling"): 2}


async def test_a_mark_s_address_has_the_scheme_that_the_page_was_opened_by(authority: Authority) -> None:
    ask = f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
    async with listening(authority) as place:
        one, other = await place.said(ask), await place.said(ask)
    marks = [data.partition(b'data="')[2].partition(b'"')[0] for data in (one, other)]
    assert all(mark.startswith(b"https://") and mark.endswith(f".{NAME}/mark.svg".encode()) for mark in marks)
    assert marks[0] != marks[1]


async def test_what_is_no_request_is_told_so_and_counted() -> None:
    async with listening() as place:
        assert (await place.said(b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert (await place.said(b"GET / HTTP/1.1\r\nHost: a.example\r\nX: " + b"a" * HEAD_BYTES_MAX)).startswith(
            b"HTTP/1.1 431 "
        )
        assert place.server.refused == {"malformed": 2}


async def test_who_sends_more_than_is_read_sees_the_page_all_the_same() -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: bad.example\r\nContent-Length: 2000000\r\n\r\n"
    async with listening() as place:
        reader, writer = await place.connect()
        writer.write(head + bytes(2_000_000))
        await writer.drain()
        async with asyncio.timeout(10):
            data = await reader.read()
        assert data.startswith(b"HTTP/1.1 451 ")
        assert data.endswith(b"</html>\n")
        writer.close()
        await place.forgotten()
        assert not place.server.refused


async def test_so_many_at_once_and_so_many_of_one_client() -> None:
    for bounds in ({"connections": 2}, {"connections_per_client": 2}):
        async with listening(**bounds) as place:
            held = [await place.connect() for _ in range(2)]
            reader, writer = await place.connect()
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(10):
                    assert await reader.read() == b""
            writer.close()
            assert place.server.refused == {"busy": 1}
            for _, one in held:
                one.close()
            await place.forgotten()
            assert (await place.said(LISTED)).startswith(b"HTTP/1.1 451 ")


async def test_who_takes_too_long_is_cut_off() -> None:
    async with listening(deadline="5s") as place:
        reader, writer = await place.connect()
        writer.write(LISTED[:-2])
        await writer.drain()
        await until(lambda: bool(place.server.connections))
        now = asyncio.get_running_loop().time()
        place.server.sweep(now + 4)
        assert place.server.connections
        place.server.sweep(now + 6)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(10):
                assert await reader.read() == b""
        writer.close()
        await place.forgotten()
        assert place.server.refused == {"slow": 1}


async def test_who_goes_without_a_request_is_forgotten() -> None:
    async with listening() as place:
        reader, writer = await place.connect()
        writer.write_eof()
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
        await place.forgotten()
        assert not place.server.router.shown


async def test_a_certificate_is_replaced_without_a_restart(authority: Authority) -> None:
    async with listening(authority) as place:
        fresh = authority.issue(NAME, f"*.{NAME}")
        place.server.sweep(asyncio.get_running_loop().time() + 2)
        _, writer = await place.connect()
        assert writer.get_extra_info("ssl_object").getpeercert(binary_form=True) == fresh
        writer.close()
        assert (await place.said(f"GET /mark.svg HTTP/1.1\r\nHost: {NONCE}.{NAME}\r\n\r\n".encode())).startswith(
            b"HTTP/1.1 200 "
        )

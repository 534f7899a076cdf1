"""The console behind its real HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import uvicorn

from compliance_api.usecases.console.overview import Overview, OverviewReader
from compliance_api.web.app import create
from compliance_api.web.settings import ConsoleSettings
from tests.support.overviews import CHEAT, EMPTY, HONEST, NOW, SampleReader, overview


@contextlib.asynccontextmanager
async def serving(reader: OverviewReader) -> AsyncIterator[httpx.AsyncClient]:
    app = create(reader, ConsoleSettings(read_timeout=1), clock=lambda: NOW)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.ensure_future(server.serve([listener]))
        try:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with httpx.AsyncClient(base_url=address, timeout=10) as client:
                yield client
        finally:
            server.should_exit = True
            await task


async def test_verdicts_appear_and_change_while_readers_look_on() -> None:
    reader = SampleReader(EMPTY)
    async with serving(reader) as http:
        assert "Chưa có kết luận" in (await http.get("/")).text
        reader.shown = overview(HONEST, CHEAT)
        pages = await asyncio.gather(*(http.get("/", params={"lang": lang}) for lang in ("vi", "en") * 20))
        assert {page.status_code for page in pages} == {200}
        assert sum("Viễn thông Bắc Hà" in page.text for page in pages) == 20
        assert sum("Bac Ha Telecom" in page.text for page in pages) == 20
        document = (await http.get("/api/v1/verdicts")).json()
        assert {one["organisation"]: one["verdict"] for one in document["operators"]} == {
            "operator-a": "compliant",
            "operator-b": "not_compliant",
        }


async def test_storage_goes_away_and_comes_back() -> None:
    reader = SampleReader()
    async with serving(reader) as http:
        assert (await http.get("/health")).status_code == 200
        reader.failure = ConnectionRefusedError("no database here")
        assert (await http.get("/health")).status_code == 503
        page = await http.get("/", headers={"accept-language": "en"})
        assert page.status_code == 503
        assert "The database does not answer." in page.text
        assert (await http.get("/static/console.css")).status_code == 200
        reader.failure = None
        assert (await http.get("/")).status_code == 200


async def test_a_reader_who_goes_away_disturbs_nobody() -> None:
    class Slow(SampleReader):
        async def overview(self) -> Overview:
            await asyncio.sleep(0.2)
            return await super().overview()

    async with serving(Slow()) as http:
        gone = asyncio.ensure_future(http.get("/"))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert (await http.get("/")).status_code == 200

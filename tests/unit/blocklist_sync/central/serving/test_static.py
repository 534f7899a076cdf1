from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from blocklist_sync.central.serving.static import EACH_TIME, FOR_EVER, NEVER, application, cache_headers

DIGEST = "ab" * 32
TARGET = f"/targets/list/{DIGEST}.records.bin"


@pytest.fixture
async def client(tmp_path: Path) -> Iterator[httpx.AsyncClient]:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "targets" / "list").mkdir(parents=True)
    (tmp_path / "metadata" / "timestamp.json").write_text("{}")
    (tmp_path / "metadata" / "1.list-a.json").write_text("{}")
    (tmp_path / TARGET[1:]).write_bytes(bytes(range(100)))
    transport = httpx.ASGITransport(app=application(tmp_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://list.example") as client:
        yield client


async def test_what_never_changes_may_be_kept_and_the_rest_may_not(client: httpx.AsyncClient) -> None:
    async def control(path: str) -> tuple[int, str]:
        response = await client.get(path)
        return response.status_code, response.headers["Cache-Control"]

    assert await control(TARGET) == (200, FOR_EVER)
    assert await control("/metadata/1.list-a.json") == (200, FOR_EVER)
    assert await control("/metadata/timestamp.json") == (200, EACH_TIME)
    # A cache that kept this would keep edges from the next root.
    assert await control("/metadata/2.root.json") == (404, NEVER)
    assert cache_headers(f"{DIGEST[:32]}.delta")["Cache-Control"] == FOR_EVER
    assert cache_headers(f"{DIGEST[:32]}.bin") == cache_headers(f"{DIGEST}x.delta") == {"Cache-Control": EACH_TIME}
    assert cache_headers("readme.txt") == {"Cache-Control": EACH_TIME}


async def test_a_validator_is_the_digest_and_serves_the_rest_of_a_file(client: httpx.AsyncClient) -> None:
    etag = f'"{DIGEST}"'
    whole = await client.get(TARGET)
    assert whole.headers["ETag"] == etag
    rest = await client.get(TARGET, headers={"Range": "bytes=90-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (206, bytes(range(90, 100)))
    assert rest.headers["Content-Range"] == "bytes 90-99/100"
    other = await client.get(TARGET, headers={"Range": "bytes=90-", "If-Range": '"other"'})
    assert (other.status_code, len(other.content)) == (200, 100)
    again = await client.get(TARGET, headers={"If-None-Match": etag})
    assert (again.status_code, again.headers["Cache-Control"]) == (304, FOR_EVER)
    stamp = await client.get("/metadata/timestamp.json")
    same = await client.get("/metadata/timestamp.json", headers={"If-None-Match": stamp.headers["ETag"]})
    assert same.status_code == 304

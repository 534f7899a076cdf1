from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.public.enquiry import MAX_ASKERS, Enquiries, Limit, application
from blocklist_sync.central.release.candidate import ReleaseFolder
from tests.support.list_authority import ListAuthority
from tests.support.registry import GAMBLING

CSAM = GAMBLING._replace(category=Category.CSAM)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> ListAuthority:
    authority = ListAuthority(tmp_path_factory.mktemp("list"))
    authority.build("bad.example")
    authority.decide(("secret.example", CSAM, True), ("bad.example", CSAM, True))
    authority.build()
    authority.publish()
    return authority


def client(authority: ListAuthority, limit: Limit | None = None, address: str = "192.0.2.1") -> httpx.AsyncClient:
    app = application(authority.release, authority.repository / "public", limit or Limit(100, 1), lambda: 0.0)
    transport = httpx.ASGITransport(app, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="https://list.example")


async def ask(authority: ListAuthority, name: str) -> Any:
    async with client(authority) as asking:
        return (await asking.get("/listed", params={"name": name})).json()


async def test_a_listed_name_is_told_with_its_order(authority: ListAuthority) -> None:
    told = await ask(authority, "BAD.Example.")
    assert (told["name"], told["listed"]) == ("bad.example", True)
    assert [(one["category"], one["order"], one["scope"]) for one in told["entries"]] == [
        ("gambling", "12/QĐ", "subtree")
    ]
    # Exactly this name: of what is below it, nothing is said.
    assert (await ask(authority, "www.bad.example"))["entries"] == []


async def test_whoever_asked_finds_the_entry_in_the_release(authority: ListAuthority) -> None:
    told = await ask(authority, "bad.example")
    [entry] = told["entries"]
    line = "\t".join(
        [told["name"], entry["scope"], entry["effect"], entry["category"], "mandated", entry["order"]]
    ).encode()
    found = hashlib.sha256(b"lachan/commitment/v1\0" + bytes.fromhex(entry["salt"]) + line).digest()
    async with client(authority) as asking:
        commitments = (await asking.get(f"/public/{told['serial']}.commitments")).content
    assert found in [commitments[at : at + 32] for at in range(0, len(commitments), 32)]
    # csam and gambling stand on the name; only the one that may be told is opened.
    assert len(commitments) == 3 * 32


async def test_of_csam_nothing_is_said(authority: ListAuthority) -> None:
    async with client(authority) as asking:
        listed = await asking.get("/listed", params={"name": "secret.example"})
        unlisted = await asking.get("/listed", params={"name": "harmle.example"})
    assert listed.content.replace(b"secret.", b"harmle.") == unlisted.content
    assert dict(listed.headers) == dict(unlisted.headers)
    assert listed.json()["not_told"] == ["csam"]


async def test_statements_are_served_and_nothing_else(authority: ListAuthority) -> None:
    serial = authority.release.history()[-1].serial
    async with client(authority) as asking:
        assert (await asking.get(f"/public/{serial}.json")).json()["entries"] == 3
        assert len((await asking.get(f"/public/{serial}.commitments")).content) == 96
        for path in ("/", "/public/", "/public/../metadata/timestamp.json", "/metadata/timestamp.json"):
            assert (await asking.get(path)).status_code == 404
        assert (await asking.post("/listed")).status_code == 405
        for name in ("", "x" * 2000, "uk", "a b"):
            response = await asking.get("/listed", params={"name": name})
            assert response.status_code == 400
            assert response.json()["error"].startswith("name: ")


async def test_questions_are_limited_by_network(authority: ListAuthority, tmp_path: Path) -> None:
    limit = Limit(2, 1)
    async with client(authority, limit) as asking:
        codes = [(await asking.get("/listed", params={"name": "a.example"})).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    async with client(authority, limit, "192.0.2.200") as neighbour:
        refused = await neighbour.get("/listed", params={"name": "a.example"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    async with client(authority, limit, "198.51.100.1") as stranger:
        assert (await stranger.get("/listed", params={"name": "a.example"})).status_code == 200
    authority_before = ReleaseFolder(tmp_path / "new")
    with pytest.raises(CentralError, match="No such file"):
        Enquiries(authority_before).current()


def test_a_limit_refills_and_forgets_who_asked_long_ago() -> None:
    limit = Limit(1, 0.5)
    assert [limit.admits("2001:db8::1", now) for now in (0, 0, 1, 3)] == [True, False, False, True]
    assert not limit.admits("2001:db8:0:ff::9", 3)
    assert limit.admits("2001:db8:1::1", 3)
    assert not limit.admits("nowhere", 3)
    for number in range(MAX_ASKERS + 10):
        limit.admits(f"10.{number >> 8 & 255}.{number & 255}.1", 4)
        assert len(limit._left) <= MAX_ASKERS


async def test_a_new_release_is_answered_for(authority: ListAuthority) -> None:
    enquiries = Enquiries(authority.release)
    before = enquiries.current()
    assert enquiries.current() is before
    authority.build("bad.example", "other.example")
    authority.publish()
    assert enquiries.current().serial > before.serial
    authority.release.published_records_path.write_bytes(b"x")
    with pytest.raises(CentralError, match=r"records\.bin"):
        enquiries.current()
    async with client(authority) as asking:
        assert (await asking.get("/listed", params={"name": "a.example"})).status_code == 503

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.serving.bulletin import Announcement, Bulletin, read
from tests.support.list_authority import ListAuthority
from tests.support.wait import until


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    return ListAuthority(tmp_path / "authority")


def offered(authority: ListAuthority) -> Announcement:
    last = authority.release.history()[-1]
    return Announcement(last.serial, bytes.fromhex(last.records_digest), last.urgent)


async def test_what_is_published_is_noticed_and_told_once(authority: ListAuthority) -> None:
    bulletin = Bulletin(authority.repository)
    told: list[int] = []
    forget = bulletin.subscribe(lambda: told.append(bulletin.current.serial))
    watching = asyncio.create_task(bulletin.run())
    try:
        assert bulletin.current == Announcement()
        await asyncio.to_thread(authority.publish, "a.example")
        await until(lambda: told == [1])
        assert bulletin.current == offered(authority)
        # Signatures renewed are no news.
        seen = bulletin._seen
        await asyncio.to_thread(authority.publish)
        await until(lambda: bulletin._seen != seen)
        assert told == [1]
        forget()
        await asyncio.to_thread(authority.publish, "b.example")
        await until(lambda: bulletin.current.serial == 2)
        assert told == [1]
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def test_a_repository_half_copied_is_looked_at_again(authority: ListAuthority) -> None:
    assert read(authority.repository) == Announcement()
    authority.publish("a.example")
    bulletin = Bulletin(authority.repository)
    [listed] = authority.repository.glob("metadata/*.list.json")
    content = listed.read_bytes()
    for damage in (b"", b"{", content[: len(content) // 2]):
        listed.write_bytes(damage)
        assert bulletin.look() is None
        with pytest.raises(CentralError):
            read(authority.repository)
    listed.unlink()
    assert bulletin.look() is None
    listed.write_bytes(content)
    assert bulletin.look() == offered(authority)
    assert bulletin.look() is None

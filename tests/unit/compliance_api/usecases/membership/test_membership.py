from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from compliance_api.domain.parties.credential import Membership
from compliance_api.domain.parties.organisation import Label, Organisation, OrganisationKind, Registry
from compliance_api.usecases.membership.membership import Directory
from lachan import canonical

OWNER = Organisation("a", OrganisationKind.OPERATOR, Label("x", "x"), frozenset())


class Store:
    """A database that answers when it is let."""

    def __init__(self) -> None:
        self.now = Membership(0, Registry((), (OWNER,)))
        self.reads = 0
        self.loads = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False

    async def revision(self) -> int:
        self.reads += 1
        found = self.now.revision
        await self.open.wait()
        if self.fails:
            raise OSError("away")
        return found

    async def load(self) -> Membership:
        self.loads += 1
        return self.now


async def until_reading(store: Store, reads: int) -> None:
    for _ in range(20):
        await asyncio.sleep(0)
    assert store.reads == reads


async def test_the_registry_that_everybody_holds_is_renewed_in_place() -> None:
    store, registry = Store(), Registry()
    directory = Directory(store, registry)
    assert registry.organisation("a") is None
    assert await directory.fresh() is directory.last is store.now
    assert registry.organisation("a") is OWNER
    await directory.fresh()
    assert (store.reads, store.loads) == (2, 1)


async def test_a_change_is_told_to_who_listens() -> None:
    store = Store()
    directory, told = Directory(store, Registry()), list[int]()
    directory.tell(lambda membership: told.append(membership.revision))
    await directory.fresh()
    await directory.refresh()
    store.now = replace(store.now, revision=7)
    await directory.refresh()
    assert told == [0, 7]


async def test_who_comes_while_a_read_is_under_way_waits_for_the_next_and_all_of_them_share_it() -> None:
    store = Store()
    directory = Directory(store, Registry())
    await directory.fresh()
    store.open.clear()
    early = asyncio.ensure_future(directory.fresh())
    await until_reading(store, 2)
    # The early read has seen the revision before this revocation.
    store.now = replace(store.now, revision=1)
    late = [asyncio.ensure_future(directory.fresh()) for _ in range(50)]
    await asyncio.sleep(0)
    store.open.set()
    assert (await early).revision == 0
    assert {one.revision for one in await asyncio.gather(*late)} == {1}
    assert store.reads == 3


async def test_where_the_database_is_away_nobody_is_answered_and_later_everybody() -> None:
    store = Store()
    directory = Directory(store, Registry())
    await directory.fresh()
    store.fails = True
    store.open.clear()
    waiting = [asyncio.ensure_future(directory.fresh())]
    await until_reading(store, 2)
    waiting += [asyncio.ensure_future(directory.fresh()) for _ in range(3)]
    await asyncio.sleep(0)
    store.open.set()
    assert all(isinstance(one, OSError) for one in await asyncio.gather(*waiting, return_exceptions=True))
    store.fails = False
    assert (await directory.fresh()).revision == 0


async def test_who_goes_away_takes_the_read_from_nobody() -> None:
    store = Store()
    directory = Directory(store, Registry())
    store.open.clear()
    gone, stays = asyncio.ensure_future(directory.fresh()), asyncio.ensure_future(directory.fresh())
    await until_reading(store, 1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    store.open.set()
    assert (await stays).revision == 0


def test_content_has_one_form() -> None:
    assert canonical.encode({"b": "Sở", "a": [1]}) == '{"a":[1],"b":"Sở"}'.encode()

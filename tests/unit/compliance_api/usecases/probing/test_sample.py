from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from compliance_api.domain.drawing.sampling import ListedName, Release
from compliance_api.errors import BusyError
from compliance_api.usecases.probing.sample import NameSource
from tests.support.cases import NOW, law


class Lists:
    """Three releases; the third is not due yet. Can be away."""

    def __init__(self) -> None:
        self.away = False
        self.asked: list[int] = []

    async def releases(self, limit: int) -> list[Release]:
        if self.away:
            raise BusyError("away")
        ages = {3: 1, 2: 60, 1: 600}
        return [Release(serial, b"", NOW - timedelta(minutes=age), 9, False) for serial, age in ages.items()][:limit]

    async def names(
        self, count: int, seed: bytes, added_after: int, *, controls_only: bool = False
    ) -> tuple[int, list[ListedName]]:
        assert len(seed) == 32
        if self.away:
            raise BusyError("away")
        self.asked.append(added_after)
        own = [ListedName("own.example", 3, "OR-1", 3, NOW, control=True)]
        others = [ListedName(f"n{serial}.example", 3, "OR-1", serial, NOW) for serial in (1, 2, 3)]
        found = [one for one in (own if controls_only else others + own) if one.added_serial > added_after]
        return 3, found[:count]


class Stored:
    def __init__(self) -> None:
        self.serials: list[int] = []

    async def save(self, releases: Sequence[Release], _now: datetime) -> None:
        self.serials += [release.serial for release in releases]


def source(lists: Lists, stored: Stored) -> NameSource:
    return NameSource(lists, stored, bytes, size=10, refresh=60, maximum_age=600)


async def test_recent_names_are_those_that_are_due() -> None:
    lists, stored = Lists(), Stored()
    pool = await source(lists, stored).pool(law(), NOW)
    assert stored.serials == [3, 2, 1]
    assert [one.added_serial for one in pool.recent] == [2]
    assert len(pool.names) == 4
    assert [one.qname for one in pool.young] == ["own.example", "n3.example"]
    assert lists.asked == [0, 0, 1, 2, 2]


async def test_a_release_that_was_heard_of_makes_the_names_before_it_old() -> None:
    lists = Lists()
    names = source(lists, Stored())
    pool = await names.pool(law(), NOW)
    names.published(3)
    assert await names.pool(law(), NOW) is pool
    names.published(4)
    lists.away = True
    assert await names.pool(law(), NOW) is pool
    lists.away = False
    assert await names.pool(law(), NOW) is not pool


async def test_it_is_fetched_now_and_then_and_kept_while_the_list_authority_is_away() -> None:
    lists = Lists()
    names = source(lists, Stored())
    assert names.age(NOW) is None
    pool = await names.pool(law(), NOW)
    assert await names.pool(law(), NOW + timedelta(seconds=59)) is pool
    assert len(lists.asked) == 5
    lists.away = True
    assert await names.pool(law(), NOW + timedelta(seconds=599)) is pool
    assert names.age(NOW + timedelta(seconds=599)) == 599
    with pytest.raises(BusyError):
        await names.pool(law(), NOW + timedelta(seconds=601))
    lists.away = False
    assert await names.pool(law(), NOW + timedelta(seconds=601)) is not pool


async def test_without_a_first_pool_there_is_nothing() -> None:
    lists = Lists()
    lists.away = True
    with pytest.raises(BusyError):
        await source(lists, Stored()).pool(law(), NOW)

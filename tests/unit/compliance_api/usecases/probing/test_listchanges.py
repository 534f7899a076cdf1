from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from compliance_api.domain.observations.removal import Removal, Standing
from compliance_api.errors import BusyError
from compliance_api.usecases.probing import listchanges
from compliance_api.usecases.probing.listchanges import ListWatch
from tests.support.cases import NOW


def removal(name: str, serial: int, *, free: bool = True) -> Removal:
    return Removal(name, serial, NOW - timedelta(days=1), 1, 3, "OR-1", free)


class Lists:
    """A list authority with pages of two; can be away."""

    def __init__(self, *removals: Removal) -> None:
        self.serial = 9
        self.removals = list(removals)
        self.listed = {"bad.example": NOW}
        self.away = False
        self.asked: list[str] = []
        self.afters: list[tuple[int, str]] = []

    async def removed(self, after: int, token: str) -> tuple[int, list[Removal], str]:
        self._check()
        self.afters.append((after, token))
        later = [one for one in self.removals if one.serial > after]
        at = int(token or 0)
        return self.serial, later[at : at + 2], str(at + 2) if len(later) > at + 2 else ""

    async def standing(self, names: Sequence[str]) -> tuple[int, list[Standing]]:
        self._check()
        self.asked += names
        return self.serial, [
            Standing(name in self.listed, name in self.listed, self.listed.get(name)) for name in names
        ]

    def _check(self) -> None:
        if self.away:
            raise BusyError("away")


class Memory:
    """The store's rules in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], Removal] = {}
        self.unlisted: list[str] = []
        self.noted: dict[str, datetime] = {}

    async def last(self) -> int:
        return max((serial for _, serial in self.kept), default=0)

    async def save(self, heard: Sequence[Removal], now: datetime) -> None:
        assert now == NOW
        for one in heard:
            self.kept.setdefault((one.qname, one.serial), one)

    async def free(self, since: datetime, limit: int) -> list[Removal]:
        return [one for one in self.kept.values() if one.free and one.removed_at >= since][:limit]

    async def asked_unlisted(self, since: datetime, limit: int) -> list[str]:
        assert since == NOW - listchanges.RECHECKED
        return self.unlisted[:limit]

    async def note_listed(self, found: Mapping[str, datetime], now: datetime) -> None:
        assert now == NOW
        self.noted |= found


async def test_every_page_is_heard_and_nothing_twice_while_it_runs() -> None:
    lists, store = Lists(*(removal(f"n{number}.example", number) for number in range(2, 7))), Memory()
    watch = ListWatch(lists, store)
    assert await watch.refresh(NOW) == 9
    assert len(store.kept) == 5
    assert lists.afters == [(0, ""), (0, "2"), (0, "4")]
    await watch.refresh(NOW)
    assert lists.afters[3:] == [(9, "")]
    # Begun anew, it hears the last release once more: a page of it may be missing.
    await ListWatch(lists, store).refresh(NOW)
    assert lists.afters[4:] == [(5, "")]


async def test_names_asked_as_not_listed_are_looked_up_with_every_release() -> None:
    lists, store = Lists(), Memory()
    store.unlisted = ["bad.example", "good.example"]
    watch = ListWatch(lists, store)
    await watch.refresh(NOW)
    assert store.noted == {"bad.example": NOW}
    await watch.refresh(NOW)
    assert lists.asked == ["bad.example", "good.example"]
    lists.serial, lists.listed = 10, {"good.example": NOW}
    await watch.refresh(NOW)
    assert set(store.noted) == {"bad.example", "good.example"}


async def test_while_it_is_away_what_it_said_stands_and_the_unknown_is_left_out() -> None:
    lists, store = Lists(), Memory()
    watch = ListWatch(lists, store)
    await watch.refresh(NOW)
    assert await watch.unlisted(["bad.example", "good.example"]) == {"good.example"}
    lists.away = True
    assert await watch.refresh(NOW) == 9
    assert await watch.unlisted(["bad.example", "good.example", "new.example"]) == {"good.example"}
    assert await watch.standing(["new.example"]) == {}
    lists.away = False
    assert await watch.unlisted(["new.example"]) == {"new.example"}
    assert lists.asked == ["bad.example", "good.example", "new.example"]


async def test_only_what_is_free_now_is_free() -> None:
    lists = Lists(removal("bad.example", 5), removal("free.example", 6), removal("held.example", 7, free=False))
    watch = ListWatch(lists, Memory())
    await watch.refresh(NOW)
    assert [one.qname for one in await watch.free(NOW - timedelta(days=2))] == ["free.example"]
    assert await watch.free(NOW) == []


async def test_calls_are_of_a_thousand_names_and_what_is_remembered_is_bounded() -> None:
    lists = Lists()
    watch = ListWatch(lists, Memory())
    names = [f"n{number:05}.example" for number in range(listchanges.AT_ONCE + 5)]
    assert await watch.unlisted(names) == set(names)
    assert lists.asked == names
    await watch.unlisted(f"m{number}.example" for number in range(listchanges.MAX_KNOWN))
    await watch.unlisted(names[:1])
    assert lists.asked[-1] == names[0]

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance_api.domain.parties.bucket import Allowance
from compliance_api.usecases.membership import share
from compliance_api.usecases.membership.share import PORTIONS, Share, Shares
from lachan.tls import Identity, Role
from tests.support.shares import MemoryShares

E1, E2, OTHER = Identity("a", Role.NODE, "e1"), Identity("a", Role.NODE, "e2"), Identity("b", Role.NODE, "e1")
PARTY = Share(Allowance(1, 3), Allowance(10, 100))
ORGANISATION = Share(Allowance(1, 5), Allowance(10, 150))


def shares(store: MemoryShares | None = None) -> Shares:
    """Of one process."""
    store = store or MemoryShares()
    return Shares(PARTY, ORGANISATION, store, store.clock)


async def test_a_party_has_its_calls_and_its_items() -> None:
    mine = shares()
    assert [await mine.take(E1, 0) for _ in range(3)] == [0, 0, 0]
    assert await mine.take(E1, 0) == 1
    assert await mine.take(OTHER, 100) == 0
    assert await mine.take(OTHER, 10) == 1


async def test_the_parties_of_an_organisation_share_and_another_organisation_does_not_notice() -> None:
    mine = shares()
    assert [await mine.take(E1, 0) for _ in range(3)] + [await mine.take(E2, 0) for _ in range(2)] == [0] * 5
    assert await mine.take(E2, 0) == 1
    assert await mine.take(OTHER, 0) == 0


async def test_a_refusal_takes_nothing_from_anybody() -> None:
    mine = shares()
    assert await mine.take(E1, 100) == 0
    # The organisation has 50 left, the other party 100.
    assert await mine.take(E2, 90) == 4
    assert await mine.take(E2, 50) == 0


async def test_two_processes_grant_one_share_together() -> None:
    store = MemoryShares()
    one, two = shares(store), shares(store)
    assert [await one.take(E1, 0), await two.take(E1, 0), await one.take(E1, 0)] == [0, 0, 0]
    assert await one.take(E1, 0) == 1
    assert await two.take(E1, 0) == 1
    store.now = 1.0
    assert [await two.take(E1, 0), await one.take(E1, 0)] == [0, 1]


async def test_a_process_asks_once_for_a_portion_and_not_at_all_for_who_has_to_wait() -> None:
    store = MemoryShares()
    wide = Share(Allowance(10, 1000), Allowance(10, 1000))
    mine = Shares(wide, Share(Allowance(1000, 100_000), Allowance(1000, 100_000)), store, store.clock)
    assert [await mine.take(E1, 0) for _ in range(1000)] == [0.0] * 1000
    assert len([one for one in store.draws if one[0] == str(E1)]) == PORTIONS
    before = len(store.draws)
    waits = [await mine.take(E1, 0) for _ in range(1000)]
    # What a tenth of a second brings is worth asking for.
    assert set(waits) == {0.1}
    assert len(store.draws) <= before + 1
    store.now = 0.1
    assert await mine.take(E1, 0) == 0


async def test_calls_that_come_together_take_no_more_than_there_is() -> None:
    mine = shares()
    waits = await asyncio.gather(*(mine.take(E1, 0) for _ in range(8)))
    assert sorted(bool(wait) for wait in waits) == [False] * 3 + [True] * 5


async def test_more_than_the_burst_waits_for_all_of_it_and_is_paid_for_later() -> None:
    store = MemoryShares()
    mine = shares(store)
    assert await mine.take(E1, 150) == 0
    store.now = 4.0
    # Fifty are owed, and forty came since.
    assert await mine.take(E1, 1) > 1
    store.now = 6.0
    assert await mine.take(E1, 1) == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 40), st.floats(0, 2, allow_nan=False)), min_size=1, max_size=60
    )
)
def test_together_they_never_grant_more_than_the_share_and_a_portion_each(
    steps: list[tuple[int, int, float]],
) -> None:
    async def run() -> None:
        store = MemoryShares()
        processes = [shares(store) for _ in range(3)]
        calls = items = 0
        for process, amount, later in steps:
            store.now += later
            wait = await processes[process].take(E1, amount)
            assert 0 <= wait <= 100 / 10 + 3
            if not wait:
                calls, items = calls + 1, items + amount
        for taken, allowance in ((calls, PARTY.calls), (items, PARTY.items)):
            portions = len(processes) * max(1.0, allowance.burst / PORTIONS)
            assert taken <= allowance.burst + allowance.rate * store.now + portions + 1e-6

    asyncio.run(run())


async def test_who_has_not_called_for_longest_is_forgotten_with_what_was_in_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(share, "MAX_HOLDERS", 4)
    store = MemoryShares()
    mine = shares(store)
    await mine.take(E1, 0)
    before = len(store.draws)
    await mine.take(E1, 0)
    for name in ("x", "y", "z"):
        await mine.take(Identity(name, Role.NODE, "e1"), 0)
    assert len(mine._portions) == 4
    await mine.take(E1, 0)
    # The share itself did not forget.
    assert await mine.take(E1, 0) == 1
    assert len(store.draws) > before

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest

from compliance_api.domain.reports.chain import Relation
from compliance_api.errors import BusyError, InvalidRequestError, UnavailableError, Violation
from compliance_api.usecases.reports import grouping
from compliance_api.usecases.reports.grouping import Call, Groups, Line, Written
from compliance_api.usecases.reports.standing import Logged
from tests.support.cases import NOW
from tests.support.claims import chain


class Store:
    """Stores what it is given, as slowly and as badly as it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.stored: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.poison: set[str] = set()
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, calls: Sequence[Call], now: datetime) -> list[list[Logged] | None]:
        self.groups.append([call.node for call in calls])
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if self.poison & {call.node for call in calls}:
            raise InvalidRequestError([Violation("reports", "cannot be stored")])
        return [self._one(call, now) for call in calls]

    def _one(self, call: Call, now: datetime) -> list[Logged] | None:
        if self.held.get(call.node, 0):
            self.held[call.node] -= 1
            return None
        self.stored[call.node] = self.stored.get(call.node, 0) + len(call.claims)
        return [Logged(0, now, Relation.EXTENDS, again=False) for _ in call.claims]


def call(node: str, count: int = 1) -> Call:
    return Call("a", node, chain(count))


def groups(store: Store, written: list[Written] | None = None) -> Groups:
    return Groups(store, lambda: NOW, (written if written is not None else []).append)


async def test_what_comes_while_a_group_is_written_makes_up_the_next() -> None:
    store, written = Store(), list[Written]()
    taking = groups(store, written)
    store.gate.clear()
    waiting = [asyncio.create_task(taking.add(call(f"n{number}"))) for number in range(5)]
    await asyncio.sleep(0)
    # The first call waits for nobody's company.
    await asyncio.sleep(0)
    later = [asyncio.create_task(taking.add(call(f"m{number}", 2))) for number in range(3)]
    await asyncio.sleep(0)
    store.gate.set()
    answers = await asyncio.gather(*waiting, *later)
    assert [len(answer) for answer in answers] == [1] * 5 + [2] * 3
    assert len(store.groups) == 2
    assert sum(one.reports for one in written) == 11
    assert sum(one.calls for one in written) == 8


async def test_where_several_came_together_the_next_are_waited_for_and_who_comes_alone_is_not() -> None:
    store, waits = Store(), list[float]()

    async def gather(seconds: float) -> None:
        waits.append(seconds)
        # They come meanwhile, one by one.
        for number in range(3 if len(waits) == 1 else 0):
            others.append(asyncio.create_task(taking.add(call(f"m{number}"))))
            await asyncio.sleep(0)

    others: list[asyncio.Task[list[Logged]]] = []
    taking = Groups(store, lambda: NOW, gather=gather)
    await taking.add(call("alone"))
    assert waits == []
    # Those that bring much are worth a transaction of their own.
    await asyncio.gather(*(taking.add(call(f"n{number}", 64)) for number in range(2)))
    assert waits == []
    await asyncio.gather(*(taking.add(call(f"n{number}")) for number in range(2)))
    await asyncio.gather(*others)
    assert waits[0] == grouping.GATHER_SECONDS
    assert ["m0", "m1", "m2"] in store.groups


async def test_a_call_that_cannot_be_stored_fails_alone() -> None:
    store = Store()
    store.poison = {"n3"}
    taking = groups(store)
    answers = await asyncio.gather(*(taking.add(call(f"n{number}")) for number in range(8)), return_exceptions=True)
    failed = [number for number, answer in enumerate(answers) if isinstance(answer, InvalidRequestError)]
    assert failed == [3]
    assert store.stored == {f"n{number}": 1 for number in range(8) if number != 3}


@pytest.mark.parametrize("failure", [UnavailableError("away"), BusyError("the clocks disagree")])
async def test_a_store_that_is_away_fails_everybody_at_once_and_is_asked_again(failure: Exception) -> None:
    store = Store()
    store.failure = failure
    taking = groups(store)
    answers = await asyncio.gather(*(taking.add(call(f"n{number}")) for number in range(4)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {type(failure)}
    assert sum(map(len, store.groups)) == 4, "nobody was tried twice"
    store.failure = None
    assert await taking.add(call("n1"))


async def test_a_chain_held_elsewhere_waits_alone() -> None:
    store = Store()
    store.held = {"slow": 3}
    taking = groups(store)
    slow = asyncio.create_task(taking.add(call("slow")))
    others = await asyncio.gather(*(taking.add(call(f"n{number}")) for number in range(4)))
    assert all(others)
    assert len(await slow) == 1
    assert store.stored["slow"] == 1


async def test_who_gave_up_is_not_written() -> None:
    store = Store()
    taking = groups(store)
    store.gate.clear()
    first = asyncio.create_task(taking.add(call("n1")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.create_task(taking.add(call("n2")))
    await asyncio.sleep(0)
    second.cancel()
    third = asyncio.create_task(taking.add(call("n3")))
    store.gate.set()
    await asyncio.gather(first, third)
    assert store.stored == {"n1": 1, "n3": 1}
    # Whoever gives up while the group is under way is written, and comes again.
    store.gate.clear()
    fourth = asyncio.create_task(taking.add(call("n4")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    fourth.cancel()
    store.gate.set()
    await taking.add(call("n5"))
    assert store.stored["n4"] == 1


def line(*calls: Call) -> tuple[Line, list[grouping._Waiting]]:
    loop = asyncio.get_running_loop()
    made = [grouping._Waiting(one, loop.create_future()) for one in calls]
    queue = Line()
    for one in made:
        queue.join(one)
    return queue, made


async def test_nodes_take_turns_and_each_keeps_its_order() -> None:
    queue, made = line(call("n1", 1), call("n1", 2), call("n1", 3), call("n2", 4), call("n3", 5))
    assert queue.next_group(0.0) == [made[0], made[3], made[4]]
    assert queue.next_group(0.0) == [made[1]]
    assert queue.next_group(0.0) == [made[2]]
    assert not queue


async def test_a_group_is_bounded_and_whoever_did_not_fit_is_first_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "GROUP_REPORTS", 10)
    queue, made = line(call("n1", 6), call("n2", 6), call("n3", 2), call("n1", 1))
    assert queue.next_group(0.0) == [made[0], made[2]]
    assert queue.next_group(0.0) == [made[1], made[3]]
    monkeypatch.setattr(grouping, "GROUP_BYTES", 8)
    queue, made = line(call("n1", 3), call("n2", 1))
    assert queue.next_group(0.0) == [made[0]], "at least one, whatever its size"


async def test_who_was_put_back_stands_in_front_of_its_own_and_waits_longer_each_time() -> None:
    queue, made = line(call("n1"), call("n1"))
    queue.next_group(0.0)
    pauses = []
    now = 0.0
    for _ in range(8):
        queue.put_back(made[0], now)
        pauses.append(queue.wait(now))
        assert queue.next_group(now) == []
        now += pauses[-1]
        assert queue.next_group(now) == [made[0]]
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(grouping.PAUSE_MOST)
    assert queue.next_group(now) == [made[1]]
    assert Line().wait(now) == 0.0

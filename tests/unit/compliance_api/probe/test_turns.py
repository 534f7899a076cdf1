from __future__ import annotations

import asyncio
import itertools

from compliance_api.probe.turns import Turns


async def test_a_name_is_asked_by_one_at_a_time_with_a_rest_between() -> None:
    loop = asyncio.get_running_loop()
    turns = Turns(0.02)
    spans: list[tuple[float, float]] = []

    async def ask() -> None:
        async with turns.take("bad.example"):
            begin = loop.time()
            await asyncio.sleep(0.005)
            spans.append((begin, loop.time()))

    await asyncio.gather(*(ask() for _ in range(4)))
    for (_, end), (begin, _) in itertools.pairwise(spans):
        assert begin - end >= 0.019


async def test_other_names_do_not_wait() -> None:
    turns = Turns(60)
    async with turns.take("a.example"), asyncio.timeout(1), turns.take("b.example"):
        pass


async def test_names_are_forgotten_after_their_rest() -> None:
    turns = Turns(0.01)
    async with turns.take("a.example"):
        assert len(turns) == 1
    assert len(turns) == 1
    async with asyncio.timeout(5):
        # The rest ends by itself and tells nobody.
        while len(turns):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_whoever_gives_up_waiting_leaves_the_turn_to_the_next() -> None:
    turns = Turns(0)
    async with turns.take("a.example"):
        waiting = asyncio.ensure_future(_take(turns))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1), turns.take("a.example"):
        pass


async def _take(turns: Turns) -> None:
    async with turns.take("a.example"):
        pass

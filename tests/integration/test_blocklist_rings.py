"""Canary edges first: real agents of both rings against one repository."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.edge.agent import Activation, Agent
from tests.support.list_authority import ListAuthority, Server
from tests.support.wait import until

HOUR = 3600


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("bad.example", now=int(time.time()) - 3 * HOUR)
    return authority


@pytest.fixture
def server(authority: ListAuthority) -> Iterator[Server]:
    with authority.serve() as server:
        yield server


async def serial(agent: Agent) -> int:
    """What is in force after a round."""
    await agent.check()
    assert sum(agent.failed.values()) == sum(agent.refused.values()) == 0
    held = agent.current()
    return held.serial if held is not None else 0


async def test_others_wait_as_the_signature_says_and_late_ones_do_not(
    authority: ListAuthority, server: Server, tmp_path: Path
) -> None:
    canary, other, late, fresh = (
        Agent(authority.settings(server, ring=ring), tmp_path / name)
        for name, ring in (("canary", "canary"), ("other", "all"), ("late", "all"), ("fresh", "all"))
    )
    assert [await serial(agent) for agent in (canary, other, late)] == [1, 1, 1]
    now = int(time.time())
    authority.publish("new.example", now=now - HOUR, hold=2 * HOUR)
    assert [await serial(agent) for agent in (canary, other)] == [2, 1]
    assert other.held is not None
    assert other.held.serial == 2
    assert 0 < other.held.due_in <= HOUR
    # Whoever has no list at all filters nothing: that is worse.
    assert await serial(fresh) == 2
    # Signatures renewed change nothing of it.
    assert not authority.publish().new
    assert await serial(other) == 1
    # Another release must not overtake it, or its turn would never come; what is signed as urgent may.
    with pytest.raises(CentralError, match="canary edges try"):
        authority.publish("newer.example", hold=2 * HOUR)
    authority.publish(urgent=True, hold=2 * HOUR)
    assert [await serial(agent) for agent in (canary, other, late)] == [4, 4, 4]
    assert other.held is None

    authority.publish("fifth.example", now=now - HOUR, hold=HOUR // 2)
    assert await serial(late) == 5


async def test_a_release_held_is_taken_when_its_time_has_come(
    authority: ListAuthority, server: Server, tmp_path: Path
) -> None:
    agent = Agent(authority.settings(server, poll_interval="1h"), tmp_path / "edge")
    serials: list[int] = []

    async def take(activation: Activation) -> None:
        serials.append(activation.serial)

    await agent.check()
    await asyncio.to_thread(authority.publish, "new.example", hold=3)
    task = asyncio.create_task(agent.run(take))
    try:
        await until(lambda: agent.held is not None or bool(serials))
        await until(lambda: serials == [2])
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

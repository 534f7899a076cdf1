"""Several edges' agents in one process: told on standard input, they tell what they enforce on standard output."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from blocklist_sync.artifact import snapshot
from blocklist_sync.edge.agent import Activation, Agent, SyncSettings
from lachan import log
from tests.support.wait import until

READY_SECONDS = 300.0


def tell(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


class Timed(Agent):
    """An agent that knows what its last round took."""

    took = cpu = 0.0
    """Seconds on the clock, and of this process's processors."""

    async def check(self) -> Activation | None:
        """One round."""
        began, used = time.monotonic(), time.process_time()
        try:
            return await super().check()
        finally:
            self.took, self.cpu = time.monotonic() - began, time.process_time() - used


async def edge(number: int, folder: Path, settings: SyncSettings) -> None:
    """One agent, for ever."""
    agent = Timed(settings, folder)

    async def enforce(activation: Activation) -> None:
        opened = snapshot.verify(activation.snapshot.read_bytes())
        # The name that came with this release alone.
        assert opened.lookup(f"www.fresh-{activation.serial}.example")
        tell(edge=number, serial=activation.serial, at=time.monotonic(), took=agent.took, cpu=agent.cpu)

    async def watch() -> None:
        await until(lambda: bool(agent.checked_at) and (agent.streaming or settings.push is None), READY_SECONDS)
        tell(edge=number, ready=True)

    held = agent.current()
    if held is not None:
        await enforce(held)
    async with asyncio.TaskGroup() as group:
        group.create_task(agent.run(enforce))
        group.create_task(watch())


async def main() -> None:
    """Runs those that standard input names, until SIGTERM."""
    log.configure("edges", level="error")
    told = json.load(sys.stdin)
    tasks = [
        asyncio.create_task(edge(one["edge"], Path(one["folder"]), SyncSettings.model_validate(one["sync"])))
        for one in told
    ]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ending = asyncio.create_task(stop.wait())
    await asyncio.wait({*tasks, ending}, return_when=asyncio.FIRST_COMPLETED)
    for task in (*tasks, ending):
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        asyncio.run(main())

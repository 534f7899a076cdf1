"""Waiting for what happens in other tasks, threads and processes: a condition with a deadline, never a fixed time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits until the condition holds.

    Raises:
        TimeoutError: It did not, in all that time.
    """
    async with asyncio.timeout(seconds):
        # Nobody signals what happens in a thread or another process.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

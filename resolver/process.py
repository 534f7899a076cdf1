"""One worker's process as its supervisor holds it: by a descriptor that names this process and never another.

Holds always: a signal goes to the process that was meant, or to none; it need not be a child, since a worker outlives
its supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path


class Process:
    """A worker's process.

    Attributes:
        leaving: It is asked to end, or about to be; nobody takes its place because of that.
        ended: Set once it has ended and what it left is cleared away.
    """

    def __init__(
        self, seat: int, number: int, pid: int, settings: str, child: subprocess.Popen[bytes] | None = None
    ) -> None:
        """Of a living process; `child` where this one started it.

        Raises:
            ProcessLookupError: It does not live.
        """
        self.seat = seat
        self.number = number
        self.pid = pid
        self.settings = settings
        self.pidfd = os.pidfd_open(pid)
        self._child = child
        self.leaving = False
        self.ended = asyncio.Event()

    def kill(self) -> None:
        """Ends it at once, if it has not ended yet."""
        if self.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def reap(self) -> int | None:
        """Due once it has ended: its status where it is this process's child; a signal's number is negative."""
        os.close(self.pidfd)
        self.pidfd = -1
        return self._child.wait() if self._child is not None else None

    def private_bytes(self) -> int:
        """Memory that is its own alone: neither the shared cache nor the list."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) << 10
        return 0


async def ended(pidfd: int) -> None:
    """Waits until the process behind a pidfd has ended."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_reader(pidfd, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(pidfd)


async def finish(process: Process, seconds: float) -> None:
    """Waits for a process that was asked to end, and ends it when it has not in this time."""
    try:
        async with asyncio.timeout(seconds):
            await process.ended.wait()
    except TimeoutError:
        process.kill()
        await process.ended.wait()

"""A worker that has been exec'd and does not serve yet: it loads, waits for its rules, then reads its sockets.

Holds always: it serves only once it was told its rules; one that does not come up is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from resolver.brief import Brief, digest, spawn_arguments, tell_rules
from resolver.control import ControlError, call
from resolver.errors import ResolverError
from resolver.listeners.sockets import ListenSocket
from resolver.process import Process
from resolver.rules import Rules
from resolver.seats import control_path
from resolver.settings import Edge
from resolver.sharedmemory import SharedMemory

READY_SECONDS = 15.0
POLL_SECONDS = 0.02


class NewcomerError(ResolverError):
    """A worker cannot be started."""


class Newcomer:
    """One that was just exec'd, for the sockets of the worker `number`, in `seat`."""

    def __init__(
        self,
        edge: Edge,
        settings: str,
        number: int,
        seat: int,
        sockets: Sequence[ListenSocket],
        memory: SharedMemory,
    ) -> None:
        """`settings` are the edge's as JSON."""
        self.number = number
        self.seat = seat
        self._path = control_path(edge.file.runtime_dir, seat)
        self._settings = digest(settings)
        self._rules, rules_from = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        brief = Brief(
            worker=number,
            seat=seat,
            settings=settings,
            sockets=[sock.describe() for sock in sockets],
            shared_fd=memory.fd,
            cache_secret=memory.keys.cache_secret,
            name_key=memory.keys.name_key,
            rules_from=rules_from.fileno(),
        )
        brief_fd = brief.to_fd()
        try:
            self._child = subprocess.Popen(
                [sys.executable, *spawn_arguments(brief_fd)],
                pass_fds=[brief_fd, memory.fd, rules_from.fileno(), *(sock.fd for sock in sockets)],
                stdin=subprocess.DEVNULL,
                # Out of the terminal's reach: a Ctrl-C is for the supervisor to pass on.
                start_new_session=True,
            )
        finally:
            os.close(brief_fd)
            rules_from.close()

    async def serve(self, rules: Rules) -> Process:
        """Tells it the rules and waits until it reads its sockets.

        Raises:
            ResolverError: It does not come up; it has ended.
        """
        try:
            with self._rules:
                tell_rules(self._rules, rules.describe(), rules.fd)
            await self._ready()
            return Process(self.seat, self.number, self._child.pid, self._settings, self._child)
        except BaseException:
            self.end()
            raise

    async def _ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(ControlError):
                status, _ = await asyncio.to_thread(call, self._path, {"command": "status"})
                if status["pid"] == self._child.pid and status["serving"]:
                    return
            if self._child.poll() is not None:
                ended = f"worker {self.number} ended with status {self._child.returncode} while starting"
                raise NewcomerError(ended)
            if time.monotonic() > deadline:
                raise NewcomerError(f"worker {self.number} did not come up within {READY_SECONDS:g} s")
            await asyncio.sleep(POLL_SECONDS)

    def end(self) -> None:
        """Ends it."""
        self._rules.close()
        self._child.kill()
        self._child.wait()

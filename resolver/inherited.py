"""What an earlier supervisor left behind: workers that live, and through them its sockets and memory.

Holds always: a seat whose process does not answer is freed before anybody else gets it; nothing is taken from a worker
that does not hand it over itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from lachan import log
from resolver.control import ControlError, Message, call
from resolver.errors import ResolverError
from resolver.listeners.sockets import ListenSocket
from resolver.seats import control_path, sitting, used
from resolver.sharedmemory import Keys, SharedMemory

FIND_SECONDS = 2.0
POLL_SECONDS = 0.02


class InheritedError(ResolverError):
    """What was left behind can be neither used nor ended."""


@dataclass
class Inherited:
    """What was found; nothing of it where no worker lives. `living` is what each says of itself."""

    living: list[Message] = field(default_factory=list)
    sockets: list[ListenSocket] = field(default_factory=list)
    memory: SharedMemory = field(default_factory=SharedMemory)


def find(runtime: Path) -> Inherited:
    """Looks for workers; one that lives and does not answer is ended.

    Raises:
        ResolverError: One cannot be ended, or does not hand over what it has.
    """
    living = []
    for seat in used(runtime):
        pid = sitting(runtime, seat)
        try:
            if pid is not None:
                living.append(call(control_path(runtime, seat), {"command": "status"}, (), FIND_SECONDS)[0])
        except ControlError as error:
            log.get().error("a worker found does not answer; ending it", pid=pid, reason=str(error))
            _end(runtime, seat, pid)
            pid = None
        if pid is None:
            control_path(runtime, seat).unlink(missing_ok=True)
    if not living:
        return Inherited()
    return _take_over(living, control_path(runtime, living[0]["seat"]))


def _end(runtime: Path, seat: int, pid: int | None) -> None:
    deadline = time.monotonic() + FIND_SECONDS
    while pid is not None and sitting(runtime, seat) == pid:
        if time.monotonic() > deadline:
            raise InheritedError(f"process {pid} holds the seat {seat} of a worker and cannot be ended")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _take_over(living: list[Message], path: Path) -> Inherited:
    """Has one of them hand over what all of them hold."""
    sockets: list[ListenSocket] = []
    memory = SharedMemory()
    while True:
        answer, (shared_fd, *fds) = call(path, {"command": "handover", "first": len(sockets)})
        if memory.fd >= 0:
            os.close(shared_fd)
        else:
            memory = SharedMemory(shared_fd, Keys(answer["cache_secret"], answer["name_key"]))
        sockets += [ListenSocket.named(name, fd) for name, fd in zip(answer["sockets"], fds, strict=True)]
        if not fds or len(sockets) == answer["of"]:
            return Inherited(living, sockets, memory)

"""Runs something in a process of its own that is killed with SIGKILL right before its n-th change to the disk."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from typing import Any

_CHANGES = ("open", "fsync", "replace", "rename", "unlink", "remove", "mkdir", "symlink", "link", "write")


def _forked(prepare: Callable[[], None], work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            prepare()
            work()
            status = 0
        finally:
            # No handler, no test report, no buffer of the parent's may run here.
            os._exit(status)
    return os.waitpid(pid, 0)[1]


def _killing(at: int) -> Callable[[], None]:
    left = at

    def watched(change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*args, **kwargs)

        return call

    def prepare() -> None:
        for name in _CHANGES:
            setattr(os, name, watched(getattr(os, name)))

    return prepare


def at_every_step(work: Callable[[], object], most: int = 300) -> Iterator[int]:
    """Yields after each killing, with its number; ends once `work` got through."""
    for at in range(1, most):
        status = _forked(_killing(at), work)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            assert os.waitstatus_to_exitcode(status) == 0
            return
        yield at
    raise AssertionError(f"not through after {most} steps")


def with_full_disk(work: Callable[[], object], room: int) -> int:
    """Runs `work` where no file may grow beyond `room` bytes; its exit status."""

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    return os.waitstatus_to_exitcode(_forked(prepare, work))

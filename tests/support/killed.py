"""Runs something in a process of its own that is killed with SIGKILL right before its n-th change to the disk.

Or here, on a disk that takes no more from there on.
Changes are what `os` is called for: opened, written, synced, renamed, removed, whoever calls.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHANGES = ("open", "fsync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir", "symlink", "link", "write")
# Of these, what a full disk refuses; `open` where it makes a file.
_ROOM = ("open", "fsync", "replace", "rename", "mkdir", "symlink", "link")


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


@dataclass(frozen=True)
class Step:
    """Where it was killed: before its `number`-th change, which was this one."""

    number: int
    change: str


def _described(name: str, *args: Any) -> str:
    """A change as a matrix shows it: what, and of which file."""
    place = args[0] if args else ""
    if isinstance(place, int):
        place = f"/proc/self/fd/{place}"
        place = str(Path(place).readlink()) if Path(place).is_symlink() else place
    return f"{name} {Path(os.fsdecode(place)).name}"


def _killing(at: int, told: int, changes: Collection[str]) -> Callable[[], None]:
    left = at
    say = os.write

    def watched(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                say(told, _described(name, *args).encode())
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*args, **kwargs)

        return call

    def prepare() -> None:
        for name in changes:
            setattr(os, name, watched(name, getattr(os, name)))

    return prepare


def matrix(work: Callable[[], object], most: int = 300, changes: Collection[str] = _CHANGES) -> Iterator[Step]:
    """Yields after each killing, each before one more of these changes; ends once `work` got through."""
    for at in range(1, most):
        heard, told = os.pipe()
        try:
            status = _forked(_killing(at, told, changes), work)
            os.close(told)
            change = os.read(heard, 1000).decode()
        finally:
            os.close(heard)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            assert os.waitstatus_to_exitcode(status) == 0
            return
        yield Step(at, change)
    raise AssertionError(f"not through after {most} steps")


def at_every_step(work: Callable[[], object], most: int = 300) -> Iterator[int]:
    """As `matrix`, by the numbers alone."""
    for step in matrix(work, most):
        yield step.number


def with_full_disk(work: Callable[[], object], room: int) -> int:
    """Runs `work` where no file may grow beyond `room` bytes; its exit status."""

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    return os.waitstatus_to_exitcode(_forked(prepare, work))


class Full:
    """A disk that takes no more from its n-th change on."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.refused = ""
        """The first change that found no room."""

    def _watched(self, name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not (args[1:] and args[1] & os.O_CREAT):
                return change(*args, **kwargs)
            self._left -= 1
            if self._left > 0:
                return change(*args, **kwargs)
            self.refused = self.refused or _described(name, *args)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsdecode(args[0]) if name != "fsync" else None)

        return call

    @contextlib.contextmanager
    def filling(self) -> Iterator[None]:
        """Within the block it is so."""
        before = {name: getattr(os, name) for name in _ROOM}
        for name, change in before.items():
            setattr(os, name, self._watched(name, change))
        try:
            yield
        finally:
            for name, change in before.items():
                setattr(os, name, change)

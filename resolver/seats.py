"""Seats of an edge's workers: a process's place in shared memory, kept by a lock that ends with the process alone.

Holds always: of two processes only one sits in a seat, whoever started them; a seat is free only when the kernel says
that who sat there has ended, however it ended, and one that was merely stopped still sits there.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from resolver.control import ControlError, Message, call
from resolver.errors import ResolverError

NAMING_SECONDS = 2.0
_STEP_SECONDS = 0.01


class SeatError(ResolverError):
    """A seat is not free."""


def control_path(runtime_dir: Path, seat: int) -> Path:
    """Where who sits there listens for its supervisor."""
    return runtime_dir / f"worker-{seat}.sock"


def _lock_path(runtime_dir: Path, seat: int) -> Path:
    return runtime_dir / f"worker-{seat}.lock"


def sit(runtime_dir: Path, seat: int) -> IO[str]:
    """Takes a seat for this process; it is given back when the file is closed or the process ends.

    Raises:
        SeatError: Somebody sits there.
    """
    path = _lock_path(runtime_dir, seat)
    file = path.open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise SeatError(f"{path}: another process has this seat") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def sitting(runtime_dir: Path, seat: int) -> int | None:
    """The process id of who sits there; waits for one that just sits down to say it.

    Raises:
        SeatError: Somebody sits there and does not say who.
    """
    path = _lock_path(runtime_dir, seat)
    deadline = time.monotonic() + NAMING_SECONDS
    try:
        with path.open(encoding="ascii") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    file.seek(0)
                    text = file.read(20)
                    if text.isdigit():
                        return int(text)
                else:
                    return None
                if time.monotonic() > deadline:
                    raise SeatError(f"{path}: somebody has this seat and does not say who")
                time.sleep(_STEP_SECONDS)
    except FileNotFoundError:
        return None


def used(runtime_dir: Path) -> list[int]:
    """Every seat that anybody ever sat in, in order."""
    names = [path.stem.removeprefix("worker-") for path in runtime_dir.glob("worker-*.lock")]
    return sorted(int(name) for name in names if name.isdigit())


def ask_any(runtime_dir: Path, message: Message) -> Message:
    """Sends a command to one of the workers, whichever answers: for what they share.

    Raises:
        ControlError: None does, or the one that did names an error.
    """
    failure = ControlError(f"{runtime_dir}: no worker listens there")
    for seat in used(runtime_dir):
        path = control_path(runtime_dir, seat)
        if not path.exists():
            continue
        try:
            return call(path, message)[0]
        except ControlError as error:
            failure = error
    raise failure

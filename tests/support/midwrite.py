"""A process that stands in the middle of a write to a shared cache, for good: `python -m tests.support.midwrite …`.

The page that the second half of its answer goes to is taken from it. The fault is handled by trying again, so that it
is at work there, neither before nor behind the write, until it is stopped or killed; a byte in a pipe tells when.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

from tests.support.engine import SLOT, Memory, rig
from tests.support.packets import question, raw, record

NAME = "torn.ok.example"
RDTYPE = "TYPE65280"
RECORD_BYTES = 3800
TTL = 20
BEGIN_SECONDS = 30


def answer(asked: bytes) -> bytes:
    """One that takes most of the largest slots, which lie across pages."""
    return raw(asked, record(65280, bytes(RECORD_BYTES), ttl=TTL))


def _place(size: int) -> int:
    """Where the answer comes to stand in an empty cache of this size."""
    own = rig(memory=Memory(size))
    own.exchange(question(NAME, RDTYPE, edns=False), answer)
    [slot] = own.memory.slots()
    return slot.at


def main(fd: int, size: int, writer: int, told: int) -> None:
    """Writes, and does not come back."""
    place = _place(size)
    memory = Memory(size, fd=fd)
    memory.held = False
    page = (place + SLOT.size) // mmap.PAGESIZE * mmap.PAGESIZE + mmap.PAGESIZE
    assert page < place + RECORD_BYTES, "the answer lies within one page"
    libc = ctypes.CDLL(None, use_errno=True)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory.map))
    assert libc.mprotect(ctypes.c_void_p(address + page), ctypes.c_size_t(mmap.PAGESIZE), 1) == 0
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    # Python's own part of a handler runs between bytecodes; the write is one.
    signal.signal(signal.SIGSEGV, lambda *_: None)
    rig(memory=memory, writer=writer).exchange(question(NAME, RDTYPE, edns=False), answer)


@contextlib.contextmanager
def stopped_in_the_middle(fd: int, size: int, writer: int) -> Iterator[subprocess.Popen[bytes]]:
    """Such a process, stopped by SIGSTOP; killed in every case."""
    heard, told = os.pipe()
    arguments = [sys.executable, "-m", "tests.support.midwrite", *map(str, (fd, size, writer, told))]
    with (
        open(heard, "rb", buffering=0) as begun,  # noqa: PTH123 # a descriptor, not a path
        subprocess.Popen(arguments, pass_fds=(fd, told)) as process,
    ):
        os.close(told)
        try:
            assert select.select([begun], [], [], BEGIN_SECONDS)[0], "the writer did not get to its write"
            assert begun.read(1) == bytes([signal.SIGSEGV]), "the writer got past its write"
            process.send_signal(signal.SIGSTOP)
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))

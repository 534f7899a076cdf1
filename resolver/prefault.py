"""Has shared memory in place before queries touch it: a first touch costs a fault, as much as half an answer does.

Holds always: nothing is changed in the memory; a chunk at a time, with three times as long in between, so that queries
find their loop free; where the kernel refuses, the memory comes by its first touches as it would have anyway.
"""

from __future__ import annotations

import ctypes
import mmap
import threading
import time

CHUNK_BYTES = 2 << 20
REST = 3
"""Of the time that a chunk took."""

_POPULATE_WRITE = 23
_HUGE_PAGE = 14
"""As <linux/mman.h> has them."""

_madvise = ctypes.CDLL(None, use_errno=True).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def prefault(memory: mmap.mmap) -> threading.Thread:
    """Begins to have a writable mapping in place, in large pages where the system allows them, and returns at once.

    Linux 5.14 or newer does it; on an older one nothing happens. The thread ends with the process, or with its work.
    """
    thread = threading.Thread(target=_populate, args=(memory,), name="prefault", daemon=True)
    thread.start()
    return thread


def _populate(memory: mmap.mmap) -> None:
    # The view keeps the mapping from being closed beneath the calls.
    with memoryview(memory) as view:
        size = len(view)
        start = ctypes.addressof(ctypes.c_char.from_buffer(view))
        _madvise(start, size, _HUGE_PAGE)
        for at in range(0, size, CHUNK_BYTES):
            begun = time.monotonic()
            if _madvise(start + at, min(CHUNK_BYTES, size - at), _POPULATE_WRITE) != 0:
                return
            time.sleep(REST * (time.monotonic() - begun))

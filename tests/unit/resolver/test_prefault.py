from __future__ import annotations

import mmap
import os
from pathlib import Path

from resolver.prefault import CHUNK_BYTES, prefault


def _resident(fd: int) -> int:
    """Bytes of a file in memory that the kernel has given it."""
    return os.fstat(fd).st_blocks * 512


def test_all_of_it_is_there_and_as_it_was() -> None:
    size = 2 * CHUNK_BYTES + mmap.PAGESIZE
    fd = os.memfd_create("shared")
    try:
        os.ftruncate(fd, size)
        with mmap.mmap(fd, size) as memory:
            memory[CHUNK_BYTES : CHUNK_BYTES + 5] = b"words"
            assert _resident(fd) < size
            thread = prefault(memory)
            thread.join(30)
            assert not thread.is_alive()
            assert _resident(fd) >= size
            assert memory[CHUNK_BYTES : CHUNK_BYTES + 5] == b"words"
            assert memory[:8] == bytes(8)
    finally:
        os.close(fd)


def test_memory_that_cannot_be_had_is_no_error(tmp_path: Path) -> None:
    with (tmp_path / "short").open("w+b") as file:
        file.truncate(4 * CHUNK_BYTES)
        with mmap.mmap(file.fileno(), 4 * CHUNK_BYTES) as memory:
            # Beyond the end of a file there is nothing to be had: the kernel says so instead of ending the process.
            file.truncate(CHUNK_BYTES)
            thread = prefault(memory)
            thread.join(30)
            assert not thread.is_alive()
            file.truncate(4 * CHUNK_BYTES)

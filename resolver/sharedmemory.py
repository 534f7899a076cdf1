"""The memory that all workers share, as the supervisor holds it: heartbeats, cache and rates in one memfd.

Holds always: it is made anew only where it is not laid out as wanted; what a process left there is cleared away only
once that process has certainly ended.
"""

from __future__ import annotations

import mmap
import os
import secrets
import time
from collections.abc import Container
from dataclasses import dataclass

from resolver._hot.cache import Cache
from resolver.heartbeats import Beat, Beats
from resolver.settings import Edge


@dataclass(frozen=True)
class Keys:
    """What the memory is made with: whoever maps it has to know them."""

    cache_secret: int
    name_key: str


class SharedMemory:
    """The memory, once `lay_out` has run.

    Attributes:
        fd: The memfd; -1 before there is one.
        keys: Those of the memory.
        census: The part for `resolver.schools`.
    """

    def __init__(self, fd: int = -1, keys: Keys | None = None) -> None:
        """`fd` and `keys` of an earlier supervisor's memory, where its workers live."""
        self.fd = fd
        self.keys = keys or Keys(0, "")
        self.census = memoryview(b"")
        self._seats = 0
        self._beats: Beats | None = None
        self._cache: Cache | None = None

    def lay_out(self, edge: Edge, living: Container[int]) -> bool:
        """Maps it, made anew where it is not laid out as wanted; whether it was there. `living` are seats in use."""
        kept = self.fd >= 0 and os.fstat(self.fd).st_size == edge.shared_bytes
        if not kept:
            self.fd = os.memfd_create("shared", os.MFD_CLOEXEC)
            os.ftruncate(self.fd, edge.shared_bytes)
            self.keys = Keys(secrets.randbits(64), secrets.token_hex(16))
        shared = edge.share(memoryview(mmap.mmap(self.fd, edge.shared_bytes)))
        self._seats = edge.seats
        self.census = shared.census
        self._beats = Beats(shared.beats, edge.seats)
        self._cache = Cache(shared.cache, self.keys.cache_secret, 0)
        for seat in range(edge.seats):
            if seat not in living:
                self.clear(seat)
        return kept

    def clear(self, seat: int) -> None:
        """Clears away what a process left that has certainly ended."""
        # Of an earlier edge's there may be more seats than of this one's.
        if self._beats is not None and self._cache is not None and seat < self._seats:
            self._beats.leave(seat)
            self._cache.release(seat)

    def read_beats(self) -> list[Beat]:
        """What was last heard of each process."""
        return self._beats.read() if self._beats is not None else []

    def cache_entries(self) -> int:
        """How many answers the cache holds; walks all of it, some milliseconds."""
        return self._cache.entries(int(time.monotonic())) if self._cache is not None else 0

"""A worker's own counters: plain cells in memory that outlives it, only ever growing within a window.

Holds always: one writer a cell; a row's window number is cleared first and set last when the row is begun anew, so that
a reader who sees the number before and after its copy has read one window's counts.
"""

from libc.string cimport memset

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from resolver._hot.atomics cimport fence_release, load64, store64

LAYOUT = {
    "windows": WINDOWS,
    "transports": TRANSPORTS,
    "profiles": PROFILES,
    "rcodes": RCODES,
    "categories": CATEGORIES,
    "actions": ACTIONS,
    "drops": DROPS,
    "row_cells": ROW_CELLS,
    "window": CELL_WINDOW,
    "overridden": CELL_OVERRIDDEN,
    "upstream_failures": CELL_UPSTREAM_FAILURES,
    "cache_hits": CELL_CACHE_HITS,
    "cache_misses": CELL_CACHE_MISSES,
    "forwarded": CELL_FORWARDED,
    "allowed": CELL_ALLOWED,
    "rebound": CELL_REBOUND,
    "drop": CELL_DROPS,
    "blocked": CELL_BLOCKED,
    "queries": CELL_QUERIES,
    "rcode_badvers": RCODE_BADVERS,
    "rcode_badcookie": RCODE_BADCOOKIE,
    "rcode_other": RCODE_OTHER,
}


cdef class Counters:
    """Counts into `buffer`, this worker's part of the ring.

    Args:
        buffer: Writable memory of WINDOWS x ROW_CELLS x 8 bytes, aligned to 8.
        window_seconds: Length of a window.

    Raises:
        ValueError: The buffer has another size.
    """

    def __cinit__(self, object buffer, uint32_t window_seconds):
        cdef Py_buffer view
        if window_seconds == 0:
            raise ValueError("a window lasts at least a second")
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        try:
            if view.len != WINDOWS * ROW_CELLS * 8:
                raise ValueError(f"the ring's part has {view.len} bytes, not {WINDOWS * ROW_CELLS * 8}")
            self.cells = <uint64_t *>view.buf
        finally:
            PyBuffer_Release(&view)
        self._buffer = buffer       # keeps the mapping
        self.window_seconds = window_seconds
        self.row = self.cells
        self.start = self.until = 0

    def turn_away(self, uint32_t reason, int64_t now):
        """Counts a connection that was closed before it could ask, as a drop.

        Args:
            reason: As lachan.compliance.v1.DropReason numbers it.
            now: Seconds since 1970.

        Raises:
            ValueError: There is no such reason.
        """
        if reason >= DROPS:
            raise ValueError(f"there is no reason {reason}")
        if not self.start <= now < self.until:
            self.turn(now)
        self.drop(<Drop>reason)

    cdef void turn(self, int64_t now) noexcept nogil:
        cdef int64_t number = now // self.window_seconds
        self.start = number * self.window_seconds
        self.until = self.start + self.window_seconds
        self.row = self.cells + (number % WINDOWS) * ROW_CELLS
        if load64(self.row) != <uint64_t>(self.start + 1):
            store64(self.row, 0)
            fence_release()
            memset(self.row + 1, 0, (ROW_CELLS - 1) * 8)
            fence_release()
            store64(self.row, <uint64_t>(self.start + 1))

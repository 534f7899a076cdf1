"""A worker's hits per listed name, by the hour: plain cells in memory that outlives it.

Holds always: one writer a cell; a half's hour is cleared first and set last when it is begun anew; hits on more names
than there are slots are counted together, not lost.
"""

from libc.string cimport memset

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from resolver._hot.atomics cimport fence_release, load64, store64

TALLY_LAYOUT = {"halves": HALVES, "slots": SLOTS, "header": TALLY_HEADER, "half_words": HALF_WORDS}


cdef class Tally:
    """Counts into `buffer`, this worker's part.

    Args:
        buffer: Writable memory of HALVES x HALF_WORDS x 8 bytes, aligned to 8.

    Raises:
        ValueError: The buffer has another size.
    """

    def __cinit__(self, object buffer):
        cdef Py_buffer view
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        try:
            if view.len != HALVES * HALF_WORDS * 8:
                raise ValueError(f"the tally's part has {view.len} bytes, not {HALVES * HALF_WORDS * 8}")
            self.words = <uint64_t *>view.buf
        finally:
            PyBuffer_Release(&view)
        self._buffer = buffer       # keeps the mapping
        self.half = self.words
        self.start = -HOUR

    cdef void turn(self, int64_t now) noexcept nogil:
        self.start = now - now % HOUR
        self.half = self.words + (self.start // HOUR % HALVES) * HALF_WORDS
        if load64(self.half) != <uint64_t>(self.start + 1):
            store64(self.half, 0)
            fence_release()
            memset(self.half + 1, 0, (HALF_WORDS - 1) * 8)
            fence_release()
            store64(self.half, <uint64_t>(self.start + 1))

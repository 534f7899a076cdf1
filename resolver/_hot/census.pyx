"""Counts by school and day: plain cells, and a sketch from which nobody can tell who asked.

Holds always: of an address nothing is kept but one bit, at a place that a keyed hash draws; the key is the supervisor's,
lives in memory for a day, and is overwritten then; a client sets the same bit in every worker, so that sketches of several
workers are one by a logical or; one writer a cell; outside of the day that the header names nothing is counted.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from blocklist_sync.artifact._snapshot cimport Sip, sip_label, sip_start, sip_value
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from resolver._hot.atomics cimport fence_acquire, fence_release, load64, store64

CENSUS_LAYOUT = {
    "schools": SCHOOLS,
    "bits": BITS,
    "halves": HALVES,
    "tag": HEAD_TAG,
    "key": HEAD_KEY,
    "day": HEAD_DAY,
    "layout": HEAD_LAYOUT,
    "until": HEAD_UNTIL,
    "head_words": HEAD_WORDS,
    "half_head": HALF_HEAD,
    "cells": CELLS,
    "school_words": SCHOOL_WORDS,
    "half_words": HALF_WORDS,
}


cdef uint64_t *_words(object buffer, Py_ssize_t words, bint writable) except NULL:
    """The words of a buffer whose owner is kept elsewhere.

    Raises:
        ValueError: It has another size.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
    try:
        if view.len != words * 8:
            raise ValueError(f"the census's part has {view.len} bytes, not {words * 8}")
        return <uint64_t *>view.buf
    finally:
        PyBuffer_Release(&view)


cdef class Census:
    """Counts into `part`, this worker's own.

    Args:
        networks: First 16 bytes of an address (IPv4 mapped), prefix length of these 128 bits, and the school's number.
        header: HEAD_WORDS x 8 bytes that all workers share; without it nothing is counted.
        part: Writable memory of HALVES x HALF_WORDS x 8 bytes, aligned to 8.

    Raises:
        ValueError: A buffer has another size, or a school's number is too high.
    """

    def __cinit__(self, list networks not None=[], object header=None, object part=None):
        for _, _, number in networks:
            if not 0 <= number < SCHOOLS:
                raise ValueError(f"{SCHOOLS} schools are the most")
        self.networks = Networks(networks)
        self.tag = 0
        if header is None or part is None:
            self.schools = 0
            return
        self.schools = len(networks)
        self.header = _words(header, HEAD_WORDS, False)
        self.part = _words(part, HALVES * HALF_WORDS, True)
        self.half = self.part
        self._buffers = (header, part)      # keeps the mapping

    cdef void turn(self, uint64_t tag) noexcept nogil:
        """Takes up the day that the header names; none where it is being written."""
        self.tag = 0
        fence_acquire()
        self.key0 = self.header[HEAD_KEY]
        self.key1 = self.header[HEAD_KEY + 1]
        self.until = <int64_t>self.header[HEAD_UNTIL]
        fence_acquire()
        if not tag or load64(&self.header[HEAD_TAG]) != tag:
            return
        self.tag = tag
        self.half = self.part + (tag & 1) * HALF_WORDS
        if load64(self.half) != tag:
            store64(self.half, 0)
            fence_release()
            memset(self.half + 1, 0, (HALF_WORDS - 1) * 8)
            fence_release()
            store64(self.half, tag)

    cdef void saw(self, uint64_t high, uint64_t low, uint32_t category, int64_t now) noexcept nogil:
        """Counts an answer; to be called only where there are schools.

        Args:
            high, low: The client's address, IPv4 mapped, host order.
            category: Why it was blocked; 0 where it was not.
            now: Seconds since 1970.
        """
        cdef int school = self.networks.find(high, low)
        cdef uint64_t tag, bit
        cdef uint64_t *cells
        cdef uint64_t[2] address
        cdef Sip sip
        if school < 0:
            return
        tag = load64(&self.header[HEAD_TAG])
        if tag != self.tag:
            self.turn(tag)
        if not self.tag or now >= self.until:
            return
        cells = self.half + HALF_HEAD + <uint32_t>school * SCHOOL_WORDS
        cells[0] += 1
        if 0 < category < CELLS:
            cells[category] += 1
        address[0] = high
        address[1] = low
        sip_start(&sip, self.key0, self.key1)
        sip_label(&sip, <const uint8_t *>address, sizeof(address))
        bit = sip_value(&sip) & (BITS - 1)
        cells[CELLS + (bit >> 6)] |= <uint64_t>1 << (bit & 63)

    def count(self, bytes address not None, uint32_t category, int64_t now):
        """Counts an answer as a worker does, where there are schools.

        Raises:
            ValueError: The address has not 16 bytes.
        """
        if len(address) != 16:
            raise ValueError("an address has 16 bytes")
        if self.schools:
            self.saw(int.from_bytes(address[:8], "big"), int.from_bytes(address[8:], "big"), category, now)

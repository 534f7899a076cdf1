# Where a worker counts hits per listed name, by the hour (resolver/openings.py commits to them).

from libc.stdint cimport int64_t, uint32_t, uint64_t

from blocklist_sync.artifact._snapshot cimport lachan_prefetch

cdef enum:
    HOUR = 3600
    HALVES = 2                  # the running hour and the one before it
    SLOTS = 65536               # names a worker tells apart within an hour
    PROBES = 32
    TALLY_HEADER = 8            # words before the slots: hour + 1, hits beyond the slots, six spare
    HALF_WORDS = 131080         # TALLY_HEADER + 2 * SLOTS

cdef class Tally:
    cdef uint64_t *words
    cdef uint64_t *half
    cdef int64_t start
    cdef object _buffer
    cdef void turn(self, int64_t now) noexcept nogil

    cdef inline void fetch(self, uint64_t fingerprint) noexcept nogil:
        # Has the slot that `add` will look at first on its way from memory.
        lachan_prefetch(self.half + TALLY_HEADER + 2 * (<uint32_t>fingerprint & (SLOTS - 1)))

    cdef inline void add(self, uint64_t fingerprint, int64_t now) noexcept nogil:
        # `now` in seconds since 1970. A fingerprint is spread already: its low bits choose the slot.
        cdef uint32_t i, at
        cdef uint64_t *slot
        if now - self.start >= HOUR or now < self.start:
            self.turn(now)
        for i in range(PROBES):
            at = <uint32_t>(fingerprint + i) & (SLOTS - 1)
            slot = self.half + TALLY_HEADER + 2 * at
            if slot[0] == fingerprint:
                slot[1] += 1
                return
            if slot[0] == 0:
                slot[1] = 1
                slot[0] = fingerprint
                return
        self.half[1] += 1

# Where a worker counts hits per listed name, by the hour (resolver/openings.py commits to them).

from libc.stdint cimport int64_t, uint32_t, uint64_t

from blocklist_sync.artifact._snapshot cimport lachan_prefetch

cdef enum:
    HOUR = 3600
    HALVES = 2                  # the running hour and the one before it
    SLOTS = 65536               # names a worker tells apart within an hour
    WAYS = 4                    # slots a bucket, which is a cache line
    BUCKETS = 16384
    TALLY_HEADER = 8            # words before the slots: hour + 1, hits beyond the slots, six spare
    HALF_WORDS = 131080         # TALLY_HEADER + 2 * SLOTS

cdef class Tally:
    cdef uint64_t *words
    cdef uint64_t *half
    cdef int64_t start
    cdef object _buffer
    cdef void turn(self, int64_t now) noexcept nogil

    cdef inline uint64_t *bucket(self, uint32_t spread) noexcept nogil:
        return self.half + TALLY_HEADER + 2 * WAYS * (spread & (BUCKETS - 1))

    cdef inline void fetch(self, uint64_t fingerprint) noexcept nogil:
        # Has both buckets that `add` may look at on their way from memory.
        lachan_prefetch(self.bucket(<uint32_t>fingerprint))
        lachan_prefetch(self.bucket(<uint32_t>(fingerprint >> 32)))

    cdef inline void add(self, uint64_t fingerprint, int64_t now) noexcept nogil:
        # `now` in seconds since 1970. A fingerprint is spread already: either half of it names a bucket, and a new name
        # goes to the emptier of its two, so that half of all slots fill before any name is left without one.
        cdef uint64_t *slot
        cdef uint64_t *free = NULL
        cdef uint32_t choice, used, least = WAYS
        if now - self.start >= HOUR or now < self.start:
            self.turn(now)
        for choice in range(2):
            slot = self.bucket(<uint32_t>(fingerprint >> 32 * choice))
            used = 0
            # Slots fill in this order and are not given back within the hour: behind a free one there is nothing.
            while used < WAYS and slot[0]:
                if slot[0] == fingerprint:
                    slot[1] += 1
                    return
                slot += 2
                used += 1
            if used < least:
                least = used
                free = slot
        if free == NULL:
            self.half[1] += 1
            return
        free[1] = 1
        free[0] = fingerprint

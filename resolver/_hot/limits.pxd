from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from blocklist_sync.artifact._snapshot cimport lachan_multiply_high, lachan_prefetch
from resolver._hot.networks cimport Networks

cdef enum:
    WAYS = 4
    RATES_MAX = 256
    SLIP_MAX = 100

cdef enum Admission:
    ADMIT_PASS = 0
    ADMIT_SLIP = 1              # answer with TC: whoever is real comes back by TCP, or with a cookie
    ADMIT_DROP = 2

cdef struct Rate:
    int64_t cost                # nanoseconds that one query takes of the client's time; 0: no limit
    int64_t tolerance           # how far ahead of its time a client may be
    uint32_t misses             # questions on their way at once

cdef struct Bucket:
    # Shared by workers without a lock: a lost update costs a query's worth.
    uint64_t tag                # of the prefix; its low byte counts refusals. 0: nobody
    uint64_t due                # when the prefix has used up what it did, nanoseconds, monotonic

cdef class Limits:
    cdef Bucket *buckets
    cdef uint64_t rows
    cdef Rate rates[RATES_MAX]  # the first is everybody's who stands in no exception
    cdef Networks exceptions
    cdef uint64_t mask4_low, mask6_high, mask6_low
    cdef uint64_t key0, key1
    cdef uint32_t slip
    cdef object _buffer
    cdef uint64_t key(self, uint64_t high, uint64_t low) noexcept nogil
    cdef int admit(self, uint64_t high, uint64_t low, uint64_t key, int64_t now_ms) noexcept nogil

    cdef inline void fetch(self, uint64_t key) noexcept nogil:
        # Has a prefix's row on its way from memory before `admit` asks for it.
        lachan_prefetch(&self.buckets[lachan_multiply_high(key, self.rows) * WAYS])

    cdef inline uint32_t misses(self, uint64_t high, uint64_t low) noexcept nogil:
        # How many questions of this client's prefix may be on their way at once.
        return self.rates[self.exceptions.find(high, low) + 1].misses

cdef class Outstanding:
    cdef uint64_t *keys         # 0: nobody
    cdef uint32_t *counts
    cdef uint64_t slots         # twice the capacity: a search ends at an empty one
    cdef uint64_t secret
    cdef readonly uint32_t capacity
    cdef readonly uint32_t used
    cdef uint64_t slot(self, uint64_t key) noexcept nogil
    cdef bint acquire(self, uint64_t key, uint32_t limit) noexcept nogil
    cdef void release(self, uint64_t key) noexcept nogil

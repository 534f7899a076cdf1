# Where a worker counts by school: queries, blocked answers by category, and a sketch of who asked (resolver/schools.py).

from libc.stdint cimport int64_t, uint32_t, uint64_t

from resolver._hot.networks cimport Networks

cdef enum:
    SCHOOLS = 1024
    BITS = 4096                 # of a sketch
    HALVES = 2                  # a day's cells and the next one's
    # Words of the header, which the supervisor writes and every worker reads.
    HEAD_TAG = 0                # random, its lowest bit the half in use; 0: nothing is counted now
    HEAD_KEY = 1                # two words: the day's key
    HEAD_DAY = 3
    HEAD_LAYOUT = 4             # which schools these are
    HEAD_UNTIL = 5              # when the day ends, seconds since 1970
    HEAD_WORDS = 8
    # Words of a half: the tag it was begun under, seven spare, then each school's.
    HALF_HEAD = 8
    CELLS = 16                  # queries, blocked by category as lachan.compliance.v1 numbers them, spare
    SCHOOL_WORDS = 80           # CELLS + BITS / 64
    HALF_WORDS = 81928          # HALF_HEAD + SCHOOLS * SCHOOL_WORDS

cdef class Census:
    cdef readonly uint32_t schools
    cdef Networks networks
    cdef uint64_t *header
    cdef uint64_t *part
    cdef uint64_t *half
    cdef uint64_t tag, key0, key1
    cdef int64_t until
    cdef object _buffers
    cdef void turn(self, uint64_t tag) noexcept nogil
    cdef void saw(self, uint64_t high, uint64_t low, uint32_t category, int64_t now) noexcept nogil

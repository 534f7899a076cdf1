from libc.stdint cimport uint8_t, uint32_t, uint64_t

from resolver._hot.wire cimport Query

cdef enum:
    LOOP_NAME = 52              # octets of the names asked for: two labels of 17 and 32

cdef class Loops:
    cdef uint64_t key0, key1
    cdef bytes question(self, uint64_t nonce)
    cdef uint64_t mark(self, uint64_t nonce, uint64_t purpose) noexcept nogil
    cdef bint ours(self, const Query *query, uint64_t *nonce) noexcept nogil
    cdef uint32_t answer(self, const Query *query, uint8_t *out) noexcept nogil
    cdef bint proven(self, const Query *query, const uint8_t *packet, uint32_t size) noexcept nogil

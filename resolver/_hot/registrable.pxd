from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    RULE_HERE = 1               # a public suffix
    RULE_BELOW = 2              # every label below is one (*.)
    RULE_NOT_HERE = 4           # but not this (!)
    RULE_BITS = 7

cdef class Registrable:
    cdef uint64_t *slots        # hash of a suffix, its lowest bits the rules; 0: empty
    cdef uint64_t mask
    cdef uint64_t seed
    cdef uint64_t find(self, uint64_t hash) noexcept nogil
    cdef uint64_t key(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels) noexcept nogil

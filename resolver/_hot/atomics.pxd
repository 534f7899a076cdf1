from libc.stdint cimport uint32_t, uint64_t

cdef extern from "atomics.h" nogil:
    uint32_t load_acquire "lachan_load_acquire"(const uint32_t *at)
    uint32_t load_relaxed "lachan_load_relaxed"(const uint32_t *at)
    void store_release "lachan_store_release"(uint32_t *at, uint32_t value)
    void fence_acquire "lachan_fence_acquire"()
    void fence_release "lachan_fence_release"()
    bint claim_as "lachan_claim_as"(uint32_t *at, uint32_t sequence, uint32_t last, uint32_t writer)
    uint64_t load64 "lachan_load64"(const uint64_t *at)
    void store64 "lachan_store64"(uint64_t *at, uint64_t value)
    void store64_release "lachan_store64_release"(uint64_t *at, uint64_t value)

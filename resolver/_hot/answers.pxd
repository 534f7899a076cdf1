from libc.stdint cimport uint8_t, uint16_t, uint32_t

from resolver._hot.policy cimport Decision, Policy
from resolver._hot.wire cimport Query, Response

cdef struct Kept:
    # A response without OPT, as the cache and the upstream's answers have it.
    const uint8_t *packet
    uint32_t size
    const uint8_t *ttls         # offsets of TTLs, two bytes each, native order
    uint32_t ttl_count
    uint32_t age                # seconds since it came
    uint32_t ttl_max            # seconds
    uint16_t ede                # to be told with it, or EDE_NONE
    uint16_t cause              # beside that one, or EDE_NONE
    bint private                # carries an address of the asker's own network

cdef void normalise(uint8_t *packet, const Response *response) noexcept nogil
cdef bint targets_listed(Policy policy, const uint8_t *packet, uint32_t size) noexcept nogil
cdef uint32_t write_kept(uint8_t *out, uint32_t limit, const Query *query, const Kept *kept) noexcept nogil
cdef uint32_t write_judged(uint8_t *out, Policy policy, uint32_t profile, const Query *query, const Kept *kept,
                           Decision *decision) noexcept nogil
cdef uint32_t write_truncated(uint8_t *out, const Query *query) noexcept nogil

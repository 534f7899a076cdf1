from libc.stdint cimport uint8_t, uint32_t

from resolver._hot.wire cimport Query

cdef uint32_t write_alias(uint8_t *out, uint32_t limit, const Query *query, const uint8_t *target, uint32_t target_size,
                          uint32_t ttl, const uint8_t *said, uint32_t size) noexcept nogil
cdef void ask_target(Query *target, uint8_t *packet, const Query *query, const uint8_t *name, uint32_t size) noexcept nogil

from libc.stdint cimport uint8_t, uint32_t

from resolver._hot.wire cimport Query

cdef bint in_chain(const uint8_t *packet, uint32_t size, const Query *query) noexcept nogil

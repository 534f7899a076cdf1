from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from resolver._hot.cookies cimport Cookies
from resolver._hot.forward cimport Client
from resolver._hot.limits cimport Limits, Outstanding
from resolver._hot.registrable cimport Registrable
from resolver._hot.wire cimport Query

cdef class Guard:
    cdef Cookies cookies
    cdef Limits limits
    cdef Outstanding clients, domains
    cdef Registrable registrable
    cdef uint32_t misses_per_domain
    cdef int check(self, const Query *query, const Client *client, int64_t now) noexcept nogil
    cdef uint64_t expect(self, const Client *client) noexcept nogil
    cdef int admit(self, const Client *client, uint64_t prefix, int checked, int64_t now_ms) noexcept nogil
    cdef bint take(self, const Query *query, const Client *client, uint64_t *keys) noexcept nogil
    cdef void give(self, uint64_t *keys) noexcept nogil
    cdef uint32_t prove(self, uint8_t *out, uint32_t size, const Query *query, const Client *client, int checked,
                        int64_t now) noexcept nogil
    cdef uint32_t prove_bare(self, uint8_t *out, const uint8_t *packet, uint32_t size, const Client *client,
                             int64_t now) noexcept nogil

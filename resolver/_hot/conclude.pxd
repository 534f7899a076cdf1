from libc.stdint cimport uint8_t, uint32_t

from resolver._hot.answers cimport Kept
from resolver._hot.contacts cimport Contacts
from resolver._hot.datagrams cimport Datagrams
from resolver._hot.forward cimport Client, Pending
from resolver._hot.settle cimport Settler
from resolver._hot.wire cimport MESSAGE_MAX, Query, Response

cdef class Concluder(Settler):
    cdef Datagrams datagrams
    cdef uint8_t response[MESSAGE_MAX + 1]      # an upstream's, as it came
    cdef Contacts contacts
    cdef list settled                           # (token, answer) of streams
    cdef void conclude(self, uint32_t leg, uint32_t size, bint datagram) noexcept
    cdef uint32_t bound(self, const Response *response) noexcept nogil
    cdef void ask_upstream(self, uint32_t upstream, uint32_t kind, bytes question) noexcept
    cdef void fail(self, uint32_t leg) noexcept
    cdef void again(self, uint32_t at) noexcept
    cdef void give_up(self, uint32_t at) noexcept
    cdef bint fall_back(self, uint32_t at) noexcept
    cdef uint32_t failure_ttl(self, const Pending *pending) noexcept nogil
    cdef void tell(self, const Pending *pending, const Kept *kept, bint listed) noexcept
    cdef uint32_t answer_to(self, const Query *query, uint32_t profile, uint32_t limit, const Kept *kept, bint listed,
                            uint8_t *out) noexcept nogil
    cdef void send_to(self, const Client *client, const Query *query, uint32_t size, uint8_t *out) noexcept
    cdef uint8_t *room(self, int fd) noexcept nogil
    cdef void flush(self) noexcept nogil

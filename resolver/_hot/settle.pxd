from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from resolver._hot.answers cimport Kept
from resolver._hot.cache cimport Cache, Entry
from resolver._hot.census cimport Census
from resolver._hot.counters cimport Counters
from resolver._hot.forward cimport Client, Forwarder
from resolver._hot.guard cimport Guard
from resolver._hot.locals cimport Locals, Way
from resolver._hot.policy cimport Decision, Policy
from resolver._hot.tally cimport Tally
from resolver._hot.wire cimport Query, Reading

cdef enum:
    UDP = 1                     # as lachan.compliance.v1.Transport numbers them
    DOT = 3                     # this and those above it are encrypted
    COUNT_AS_WRITTEN = 0xFFFF

cdef struct Seen:
    # A query on its way through the steps, and what was found out about it before its turn.
    Query query
    Reading reading
    int profile                 # of its client's network; -1: a stranger's
    uint64_t prefix             # its client's, as the rate limit calls it
    uint64_t tag                # of its answer in the cache
    uint64_t fingerprints[127]  # of its name and its suffixes

cdef class Settler:
    cdef Policy policy
    cdef Locals here
    cdef Cache cache
    cdef Counters counters
    cdef Tally tally
    cdef Census census
    cdef Guard guard
    cdef Forwarder forwarder
    cdef uint32_t ttl_max, ttl_min, ttl_negative
    cdef uint32_t now           # seconds, monotonic
    cdef int64_t now_us         # microseconds, monotonic
    cdef int64_t wall           # seconds since 1970
    cdef bint pending           # the last query settled waits for an upstream
    cdef bint asks              # it is Python's to answer
    cdef uint32_t schools       # how many are counted apart
    cdef uint32_t met           # where there are any: the category for which the answer being made blocks; 0: it does not
    cdef int checked            # what its cookie is worth
    cdef Seen single           # a query that came alone, by a stream
    cdef uint8_t scratch[65599]     # MESSAGE_MAX and room for what is still put behind it
    cdef Query target           # what an alias leads to
    cdef uint8_t target_packet[271]
    cdef uint8_t said[65599]    # and what is said of it
    cdef void look(self, const uint8_t *packet, uint32_t size, const Client *client, Seen *seen) noexcept nogil
    cdef void fetch(self, const Seen *seen) noexcept nogil
    cdef uint32_t settle(self, const Seen *seen, const Client *client, uint8_t *out) noexcept nogil
    cdef uint16_t key_bits(self, const Query *query) noexcept nogil
    cdef uint32_t resolve(self, const Query *query, uint64_t fingerprint, const Client *client, uint32_t profile,
                          uint32_t limit, const Query *asked, int64_t alias_ttl, uint8_t *out) noexcept nogil
    cdef uint32_t follow(self, const Query *query, const Client *client, uint32_t profile, uint32_t limit, const Way *way,
                         uint8_t *out) noexcept nogil
    cdef uint32_t overloaded(self, const Query *query, const Client *client, uint8_t *out) noexcept nogil
    cdef void finish(self, uint32_t at) noexcept nogil
    cdef void hit(self, const Decision *decision) noexcept nogil
    cdef uint32_t told(self, const Client *client, uint32_t profile, uint32_t rcode, uint32_t size, const uint8_t *out=*) noexcept nogil
    cdef uint32_t told_school(self, const Client *client, uint32_t size) noexcept nogil
    cdef uint32_t recall(self, const Query *query, uint64_t fingerprint, uint16_t bits, uint32_t profile, uint32_t limit,
                         uint8_t *out) noexcept nogil
    cdef bint keep(self, const Entry *entry, bint stale, Kept *kept) noexcept nogil
    cdef void refresh(self, const Query *query, uint64_t fingerprint, uint16_t bits) noexcept nogil
    cdef uint32_t write_for(self, const Query *query, uint32_t profile, uint32_t limit, const Kept *kept, uint8_t *out) noexcept nogil
    cdef void clock(self) noexcept nogil

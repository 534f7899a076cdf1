from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from resolver._hot.wire cimport Query, Response

cdef enum:
    PENDING_MAX = 8192          # questions on the way at once
    WAITERS_MAX = 16384         # clients that wait for them
    WAITERS_EACH = 256          # of them on one question
    BUCKETS = 16384
    PORTS_MAX = 4096            # sockets of all upstreams
    UPSTREAMS_MAX = 16
    TRIES_MAX = 3
    QUESTION_MAX = 271          # header, name, type, class
    NOBODY = 0xFFFFFFFF
    NO_ALIAS = -1
    RANDOM_BYTES = 4096
    CONTROL_MAX = 64

cdef struct Client:
    # Where an answer goes.
    uint32_t transport          # as lachan.compliance.v1.Transport numbers them
    int fd                      # UDP: the socket it came by
    uint64_t token              # streams: the caller's name for the query
    int profile                 # that the listener chose by path or server name; -1: by network
    uint64_t high, low          # address, IPv4 mapped, host order
    uint32_t address_size
    uint32_t control_size
    uint8_t address[28]
    uint8_t control[64]         # packet info to send back by: answers leave from the address asked

cdef struct Waiter:
    uint32_t next
    uint32_t profile
    Client client
    # What is needed of the query to answer it.
    uint16_t flags, udp_size, question_end
    int64_t alias_ttl           # where the question on its way is the target of what was asked; NO_ALIAS: it is what was asked
    bint edns, want_dnssec, padded, structured, cookie
    uint8_t question[280]       # and behind it the client's cookie, where it sent one

cdef struct Pending:
    uint32_t generation         # odd while in use
    uint32_t id_next, key_next  # chains of the two tables
    uint32_t older, newer       # of those at the same try, by deadline
    uint32_t waiters, waiter_count
    int64_t begun_at, sent_at   # milliseconds, monotonic
    uint16_t id, port
    uint8_t upstream, tries
    uint16_t tried              # a bit for each upstream
    uint16_t handed             # names the try among those handed out
    bint listed                 # a try is running
    bint stream                 # by Python, over a stream
    bint handing                # waits to be handed out
    uint64_t fingerprint
    uint64_t shares[2]          # of the guard's bounds, to be given back
    uint16_t bits
    Query query                 # packet points to `question`
    uint8_t question[272]

cdef struct Port:
    int fd
    uint16_t upstream
    uint16_t busy

cdef struct Upstream:
    uint32_t first, count       # ports; none: it is reached by streams alone
    uint32_t failures           # timeouts in a row
    int64_t down_until          # milliseconds, monotonic
    int64_t back_off

cdef class Forwarder:
    cdef Pending *pendings
    cdef Waiter *waiters
    cdef uint32_t *by_id
    cdef uint32_t *by_key
    cdef uint32_t free_pending, free_waiter
    cdef readonly uint32_t outstanding
    cdef uint32_t oldest[4]
    cdef uint32_t newest[4]
    cdef Port ports[4096]
    cdef uint32_t port_count
    cdef Upstream upstreams[16]
    cdef readonly uint32_t upstream_count
    cdef readonly int fd
    cdef int64_t timeout[4]
    cdef uint8_t random[4096]
    cdef uint32_t random_at
    cdef uint64_t secret
    cdef uint32_t handing[8192]     # questions to be handed out, each once
    cdef uint32_t handing_count
    cdef uint32_t random32(self) noexcept nogil
    cdef uint32_t join(self, uint64_t fingerprint, const Query *query, uint16_t bits) noexcept nogil
    cdef uint32_t begin(self, uint64_t fingerprint, const Query *query, uint16_t bits, int64_t now) noexcept nogil
    cdef bint wait(self, uint32_t at, const Query *query, const Client *client, uint32_t profile,
                   int64_t alias_ttl) noexcept nogil
    cdef bint send(self, uint32_t at, int64_t now) noexcept nogil
    cdef uint32_t match(self, uint32_t port, const uint8_t *packet, uint32_t size) noexcept nogil
    cdef void heard(self, uint32_t at) noexcept nogil
    cdef void failed(self, uint32_t upstream, int64_t now) noexcept nogil
    cdef uint32_t overdue(self, int64_t now) noexcept nogil
    cdef void unlist(self, uint32_t at) noexcept nogil
    cdef void hand_out(self, uint32_t at, int64_t now) noexcept nogil
    cdef uint32_t collect(self) noexcept nogil
    cdef uint64_t ticket(self, uint32_t at) noexcept nogil
    cdef uint32_t holder(self, uint64_t ticket) noexcept nogil
    cdef void release(self, uint32_t at) noexcept nogil
    cdef void end(self, uint32_t at) noexcept nogil
    cdef uint32_t id_bucket(self, uint32_t port, uint32_t id) noexcept nogil
    cdef uint32_t key_bucket(self, uint64_t fingerprint, uint32_t qtype, uint32_t bits) noexcept nogil
    cdef void enlist(self, uint32_t at, uint32_t queue, int64_t now) noexcept nogil

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from resolver._hot.loops cimport Loops
from resolver._hot.routes cimport Routes
from resolver._hot.upstreams cimport Upstreams
from resolver._hot.wire cimport Query

cdef enum:
    PENDING_MAX = 8192          # questions on the way at once
    WAITERS_MAX = 16384         # clients that wait for them
    WAITERS_EACH = 256          # of them on one question
    BUCKETS = 16384
    LEGS = 2                    # upstreams that one question may be on its way to at once
    LEGS_MAX = 16384
    TRIES_MAX = 3
    QUEUES = 4
    QUESTION_MAX = 271          # header, name, type, class
    NOBODY = 0xFFFFFFFF
    NO_ALIAS = -1
    QUARANTINE = 16384          # ids remembered for not being drawn
    CONTROL_MAX = 64
    GROUP_SHIFT = 8             # bits of a key below this are KEY_ bits, those above a group

cdef enum:
    # Kinds of questions.
    KIND_CLIENT = 0
    KIND_HEALTH = 1             # whether a down upstream is back
    KIND_LOOP = 2               # whether what we send to it comes back to us
    KIND_LATE = 3               # answered already: kept to learn how the slower of two fares

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

cdef enum LegState:
    LEG_NONE = 0
    LEG_DATAGRAM = 1
    LEG_STREAM = 2              # by Python, over a stream

cdef struct Leg:
    # A question on its way to one upstream.
    LegState state
    uint32_t id_next            # chain of the table by id
    uint16_t id, port
    uint8_t upstream
    bint handing                # waits to be handed out
    uint16_t handed             # names the leg among those handed out
    int64_t sent_at             # microseconds, monotonic
    uint64_t case_bits          # which letters went as capitals; 0: none

cdef struct Pending:
    uint32_t generation         # odd while in use
    uint32_t key_next           # chain of the table by question
    uint32_t older, newer       # of those in the same queue, by deadline
    uint32_t waiters, waiter_count
    int64_t begun_at, queued_at     # microseconds, monotonic
    uint8_t tries, queue, kind
    bint listed                 # stands in a queue: a try is running
    bint stale_told             # clients were told what had expired, or there was nothing to tell
    bint streamed               # the last try went over a stream
    uint16_t tried              # a bit for each upstream
    uint16_t bits               # KEY_ bits, and the group above them
    uint64_t fingerprint
    uint64_t shares[2]          # of the guard's bounds, to be given back
    Leg legs[LEGS]
    Query query                 # packet points to `question`
    uint8_t question[272]

cdef class Forwarder(Upstreams):
    cdef Routes routes
    cdef Loops loops
    cdef Pending *pendings
    cdef Waiter *waiters
    cdef uint32_t *by_id        # legs
    cdef uint32_t *by_key
    cdef uint32_t free_pending, free_waiter
    cdef readonly uint32_t outstanding
    cdef uint32_t oldest[QUEUES]
    cdef uint32_t newest[QUEUES]
    cdef int64_t timeout[QUEUES]
    cdef uint64_t secret
    cdef uint64_t *quarantine
    cdef uint32_t handing[LEGS_MAX]     # legs to be handed out, each once
    cdef uint32_t handing_count
    cdef uint32_t join(self, uint64_t fingerprint, const Query *query, uint16_t bits) noexcept nogil
    cdef uint32_t begin(self, uint64_t fingerprint, const Query *query, uint16_t bits, int64_t now) noexcept nogil
    cdef bint wait(self, uint32_t at, const Query *query, const Client *client, uint32_t profile,
                   int64_t alias_ttl) noexcept nogil
    cdef bint send(self, uint32_t at, int64_t now) noexcept nogil
    cdef bint send_to(self, uint32_t at, uint32_t upstream, int64_t now) noexcept nogil
    cdef bint launch(self, uint32_t at, uint32_t leg, uint32_t upstream, int64_t now) noexcept nogil
    cdef bint draw(self, Leg *leg, uint32_t upstream, int64_t now) noexcept nogil
    cdef void hand(self, uint32_t at, uint32_t leg, int64_t now) noexcept nogil
    cdef uint32_t match(self, uint32_t port, const uint8_t *packet, uint32_t size, int64_t now) noexcept nogil
    cdef uint32_t overdue(self, int64_t now) noexcept nogil
    cdef bint untried(self, uint32_t at) noexcept nogil
    cdef void to_stream(self, uint32_t at, uint32_t leg, int64_t now) noexcept nogil
    cdef bint abandon(self, uint32_t at, uint32_t leg) noexcept nogil
    cdef bint linger(self, uint32_t at, uint32_t leg) noexcept nogil
    cdef void recall_leg(self, uint32_t at, uint32_t leg) noexcept nogil
    cdef void unlist(self, uint32_t at) noexcept nogil
    cdef uint32_t collect(self) noexcept nogil
    cdef uint64_t ticket(self, uint32_t leg) noexcept nogil
    cdef uint32_t holder(self, uint64_t ticket) noexcept nogil
    cdef void release(self, uint32_t at) noexcept nogil
    cdef void end(self, uint32_t at) noexcept nogil
    cdef uint32_t key_bucket(self, uint64_t fingerprint, uint32_t qtype, uint32_t bits) noexcept nogil
    cdef void enlist(self, uint32_t at, uint32_t queue, int64_t now) noexcept nogil
    cdef void leave_queue(self, uint32_t at) noexcept nogil

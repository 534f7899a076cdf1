from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    PORTS_MAX = 4096            # sockets of all upstreams
    UPSTREAMS_MAX = 16
    GROUPS_MAX = 16
    NO_UPSTREAM = 16
    RANDOM_BYTES = 4096

cdef enum Strategy:
    STRATEGY_STRICT = 0         # in the order of the configuration
    STRATEGY_RANDOM = 1
    STRATEGY_FASTEST = 2        # by smoothed round-trip time; now and then another, to know theirs
    STRATEGY_PARALLEL = 3       # the two fastest at once

cdef struct Port:
    int fd
    uint16_t upstream
    uint16_t busy

cdef struct Upstream:
    uint32_t first, count       # ports; none: it is reached by streams alone
    uint32_t outstanding, most  # questions on their way to it, and the bound on them
    uint32_t failures           # in a row
    bint down                   # passed over while another is not; an answer to anything brings it back
    bint looped                 # what is sent to it comes back to us: never asked
    int64_t check_at            # when a down one is asked whether it is back, microseconds, monotonic
    int64_t back_off            # microseconds
    uint32_t rtt                # smoothed, microseconds; 0: not known
    int32_t case_score          # answers that kept a question's case, less those that did not
    int64_t case_off_until      # until when questions go in lower case, microseconds, monotonic
    uint64_t asked, answered, failed

cdef struct Group:
    Strategy strategy
    uint16_t members            # a bit for each upstream

cdef class Upstreams:
    cdef Port ports[PORTS_MAX]
    cdef uint32_t port_count
    cdef Upstream upstreams[UPSTREAMS_MAX]
    cdef readonly uint32_t upstream_count
    cdef Group groups[GROUPS_MAX]
    cdef readonly int fd
    cdef bint mixed_case
    cdef bint crowded           # the last choice passed over an upstream that has too much to do
    cdef uint8_t random[RANDOM_BYTES]
    cdef uint32_t random_at
    cdef uint32_t random32(self) noexcept nogil
    cdef uint32_t choose(self, uint32_t group, uint16_t tried) noexcept nogil
    cdef uint32_t pick(self, uint32_t group, uint16_t candidates) noexcept nogil
    cdef void heard(self, uint32_t upstream, int64_t microseconds) noexcept nogil
    cdef void failed(self, uint32_t upstream, int64_t microseconds, int64_t now) noexcept nogil
    cdef void still_down(self, uint32_t upstream, int64_t now) noexcept nogil
    cdef uint32_t due(self, int64_t now) noexcept nogil
    cdef void kept_case(self, uint32_t upstream) noexcept nogil
    cdef bint lost_case(self, uint32_t upstream, int64_t now) noexcept nogil

    cdef inline bint mixes_case(self, uint32_t upstream, int64_t now) noexcept nogil:
        # Whether questions to it go in random case.
        return self.mixed_case and self.upstreams[upstream].case_off_until <= now

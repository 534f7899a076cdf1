# Where a worker counts: its own cells of the ring, one row a window (resolver/counters.py folds them).

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    WINDOWS = 64                # depth of the ring
    TRANSPORTS = 6              # as lachan.compliance.v1.Transport numbers them
    PROFILES = 8
    RCODES = 16                 # 0 to 10 as they are, then see rcode_slot
    CATEGORIES = 9
    ACTIONS = 7                 # as lachan.compliance.v1.Action numbers them
    DROPS = 6                   # as lachan.compliance.v1.DropReason numbers them
    RCODE_BADVERS = 11
    RCODE_BADCOOKIE = 12
    RCODE_OTHER = 15

cdef enum Drop:
    DROP_ACL = 1
    DROP_MALFORMED = 2
    DROP_RATE_LIMIT = 3
    DROP_OVERLOAD = 4
    DROP_SEND = 5

cdef enum:
    # Cells of a row, each a uint64.
    CELL_WINDOW = 0             # start of the window + 1, seconds since 1970; written last when a row is begun anew
    CELL_OVERRIDDEN = 1
    CELL_UPSTREAM_FAILURES = 2
    CELL_CACHE_HITS = 3
    CELL_CACHE_MISSES = 4
    CELL_FORWARDED = 5
    CELL_ALLOWED = 6
    CELL_REBOUND = 7
    CELL_DROPS = 8
    CELL_BLOCKED = 16           # CATEGORIES x ACTIONS
    CELL_QUERIES = 80           # TRANSPORTS x PROFILES x RCODES
    ROW_CELLS = 848             # 80 + 6 * 8 * 16

cdef inline uint32_t rcode_slot(uint32_t rcode) noexcept nogil:
    if rcode <= 10:
        return rcode
    return RCODE_BADVERS if rcode == 16 else RCODE_BADCOOKIE if rcode == 23 else RCODE_OTHER

cdef class Counters:
    cdef uint64_t *cells        # this worker's WINDOWS x ROW_CELLS
    cdef uint64_t *row          # of the window that is running
    cdef uint32_t window_seconds
    cdef int64_t until          # when the row ends, seconds since 1970
    cdef int64_t start
    cdef object _buffer
    cdef void turn(self, int64_t now) noexcept nogil

    cdef inline void at(self, int64_t now) noexcept nogil:
        # Before counting: makes `row` the row of the window that `now` (seconds since 1970) is in.
        if now >= self.until or now < self.start:
            self.turn(now)

    cdef inline void query(self, uint32_t transport, uint32_t profile, uint32_t rcode) noexcept nogil:
        self.row[CELL_QUERIES + (transport * PROFILES + profile) * RCODES + rcode_slot(rcode)] += 1

    cdef inline void blocked(self, uint32_t category, uint32_t action) noexcept nogil:
        self.row[CELL_BLOCKED + category * ACTIONS + action] += 1

    cdef inline void drop(self, Drop reason) noexcept nogil:
        self.row[CELL_DROPS + reason] += 1

    cdef inline void add(self, uint32_t cell) noexcept nogil:
        self.row[cell] += 1

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from blocklist_sync.artifact._snapshot cimport Rules, Snapshot
from resolver._hot.wire cimport Query

cdef enum:
    NETWORKS_MAX = 4096
    PROFILES_MAX = 8
    BLOCK_TTL = 10

cdef enum:
    # As lachan.compliance.v1.Action numbers them; 0 lets the query pass.
    ACTION_PASS = 0
    ACTION_NXDOMAIN = 1
    ACTION_NODATA = 2
    ACTION_NULL_IP = 3
    ACTION_SINKHOLE = 4
    ACTION_REFUSED = 5
    ACTION_SHADOW = 6

cdef struct Network:
    # First 128 bits of an address (IPv4 mapped into ::ffff:0:0/96), in host order.
    uint64_t high, low, high_mask, low_mask
    uint8_t profile

cdef struct Decision:
    uint8_t action
    uint8_t category
    uint8_t depth               # labels of the listed name
    uint8_t denies_all          # a subtree rule without exceptions below: NXDOMAIN is true of all of it
    uint16_t ede
    uint32_t order
    uint64_t fingerprint        # of the listed name: the entry's id at the edge

cdef class Policy:
    cdef readonly Snapshot snapshot
    cdef readonly uint32_t epoch
    cdef Rules rules
    cdef uint64_t key0, key1
    cdef uint8_t in_force[8][16]            # profile, category
    cdef uint16_t ede[8]                    # of a rule that is in force by the profile's wish
    cdef uint8_t actions[16]                # category
    cdef uint8_t sinkhole4[4]
    cdef uint8_t sinkhole6[16]
    cdef bint shadow
    cdef bint refuse                        # strangers get REFUSED, not silence
    cdef uint32_t network_count
    cdef Network networks[4096]
    cdef uint32_t profile_count
    cdef readonly tuple profiles
    cdef int profile_of(self, uint64_t high, uint64_t low) noexcept nogil
    cdef uint64_t decide(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels, uint32_t profile,
                         Decision *decision) noexcept nogil
    cdef bint covers(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels) noexcept nogil
    cdef uint32_t write(self, uint8_t *out, const Query *query, const Decision *decision) noexcept nogil
    cdef uint32_t write_records(self, uint8_t *out, uint32_t at, const Query *query, const Decision *decision,
                                uint32_t owner, const uint8_t *label_at, uint32_t labels) noexcept nogil

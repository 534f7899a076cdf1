from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from blocklist_sync.artifact._snapshot cimport Rule, Rules, Snapshot
from resolver._hot.own cimport Own, OwnNames
from resolver._hot.wire cimport Query

cdef enum:
    NETWORKS_MAX = 4096
    PROFILES_MAX = 8
    EVERYBODY = 8               # the profile of whatever is in force for anybody at any time
    BLOCK_TTL = 10

cdef enum:
    # As lachan.compliance.v1.Action numbers them; 0 lets the query pass, and so do those from ACTION_SHADOW on.
    ACTION_PASS = 0
    ACTION_NXDOMAIN = 1
    ACTION_NODATA = 2
    ACTION_NULL_IP = 3
    ACTION_SINKHOLE = 4
    ACTION_REFUSED = 5
    ACTION_SHADOW = 6
    ACTION_OVERRIDDEN = 7       # an emergency override lifted what would have blocked; no Action of the protocol
    ACTION_ALLOWED = 8          # the operator's allowlist did

cdef struct Network:
    # First 128 bits of an address (IPv4 mapped into ::ffff:0:0/96), in host order.
    uint64_t high, low, high_mask, low_mask
    uint8_t profile

cdef struct Table:
    # What holds for one profile, by category.
    uint8_t in_force[16]
    uint8_t actions[16]

cdef struct Match:
    const Rule *rule
    uint64_t fingerprint        # of its owner
    uint8_t depth               # labels of its owner

cdef struct Decision:
    uint8_t action
    uint8_t category            # 0: the operator's own word, not the list's
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
    cdef Table tables[9]                    # of each profile, and of EVERYBODY
    cdef uint16_t ede[9]                    # of a rule that is in force by the profile's wish
    cdef OwnNames names
    cdef const Own *own
    cdef uint32_t own_mask                  # 0: the operator has no names of their own
    cdef uint8_t shielded[8]                # profiles whose clients see no private address of a public name
    cdef readonly bint shields              # any of them
    cdef uint8_t sinkhole4[4]
    cdef uint8_t sinkhole6[16]
    cdef bint shadow
    cdef bint refuse                        # strangers get REFUSED, not silence
    cdef uint32_t network_count
    cdef Network networks[4096]
    cdef uint32_t profile_count
    cdef readonly tuple profiles
    cdef ask_for(self, int profile, str name, list categories)
    cdef act(self, int profile, dict actions)
    cdef int profile_of(self, uint64_t high, uint64_t low) noexcept nogil
    cdef void trace(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels, uint64_t *fingerprints) noexcept nogil
    cdef uint64_t meet(self, const uint64_t *fingerprints, uint32_t labels) noexcept nogil
    cdef void judge(self, const uint64_t *fingerprints, uint32_t labels, uint32_t profile, Decision *decision) noexcept nogil
    cdef uint64_t decide(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels, uint32_t profile,
                         Decision *decision) noexcept nogil
    cdef void decide_own(self, const uint64_t *fingerprints, const Match *matches, uint32_t count, uint32_t labels,
                         uint32_t profile, Decision *decision) noexcept nogil
    cdef void settle_for(self, const Match *best, uint32_t profile, Decision *decision) noexcept nogil
    cdef bint rebound(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels, uint32_t profile) noexcept nogil
    cdef bint covers(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels) noexcept nogil
    cdef uint32_t write(self, uint8_t *out, const Query *query, const Decision *decision) noexcept nogil
    cdef uint32_t write_records(self, uint8_t *out, uint32_t at, const Query *query, const Decision *decision,
                                uint32_t owner, const uint8_t *label_at, uint32_t labels) noexcept nogil

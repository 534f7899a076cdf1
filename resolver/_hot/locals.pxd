from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from resolver._hot.wire cimport Query

cdef enum:
    NODES_MAX = 1 << 20
    RRSET_BYTES_MAX = 16384
    NONCE_MIN = 8               # bytes of the label in front of a name that Python answers
    DENIAL_BYTES = 67           # room for an SOA of ours and OPT, beyond the question
    COOKIE_ROOM = 28            # that the caller's cookie may take in OPT
    TYPE_NS = 2
    TYPE_TXT = 16
    TYPE_DS = 43

cdef enum NodeKind:
    NODE_PATH = 0               # only names below it say something
    NODE_NAME = 1               # this name alone
    NODE_ZONE = 2               # this name and everything below it
    NODE_DENIED = 3             # none of that exists
    NODE_REFUSED = 4            # none of that is answered
    NODE_FORWARD = 5            # a hole in a zone: goes its way like any other name
    NODE_REWRITE = 6            # this name is another name's alias
    NODE_ASK = 7                # what it says depends on the question: Python answers

cdef enum:
    NODE_OPEN = 1               # of types that it does not hold, others know
    NODE_COVERS = 2             # its records are those of every name below it

cdef enum WayKind:
    WAY_ON = 0                  # not answered here
    WAY_ANSWER = 1              # the answer is written
    WAY_REWRITE = 2             # an alias: the caller writes a CNAME to `target` and what the target says
    WAY_ASK = 3                 # Python answers

cdef struct Way:
    WayKind kind
    const uint8_t *target       # in wire form
    uint32_t target_size
    uint32_t ttl                # of the CNAME

cdef struct Rrset:
    uint16_t rtype              # 0: for every type that the name has no set of
    uint16_t answers, additionals
    uint32_t answer_size, additional_size
    const uint8_t *records      # whole ones; the question's name is written as a pointer to it

cdef struct Node:
    uint32_t hash
    uint8_t kind, profiles, flags, name_size
    uint16_t qclass, ede
    uint32_t ttl
    uint32_t rrset_count, target_size
    const uint8_t *name
    const Rrset *rrsets
    const uint8_t *target

cdef class Locals:
    cdef Node *nodes
    cdef Rrset *rrsets
    cdef uint32_t *slots        # a node's place + 1
    cdef uint64_t mask
    cdef readonly uint32_t count
    cdef bytes _bytes
    cdef const Node *find(self, uint64_t hash, const uint8_t *name, uint32_t size, uint16_t qclass, uint32_t profile,
                          bint *known) noexcept nogil
    cdef uint32_t answer(self, uint8_t *out, const Query *query, uint32_t profile, uint32_t limit, Way *way) noexcept nogil

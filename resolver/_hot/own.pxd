# The operator's own names: few beside the list, looked up by the same fingerprints.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    OWN_MAX = 32768             # names, ancestors of those let through not counted

cdef enum Reach:
    REACH_NONE = 0
    REACH_EXACT = 1
    REACH_SUBTREE = 2

cdef struct Own:
    uint64_t fingerprint        # 0: the slot is free
    uint8_t override            # how far an emergency override reaches from here, a Reach
    uint8_t allow               # the same of the allowlist
    uint8_t block               # and of the operator's own blocks
    uint8_t action              # of the block
    uint8_t private             # how far private addresses are right, a Reach
    uint8_t hole                # something below is let through: an NXDOMAIN would deny that too (RFC 8020)
    uint8_t pad[2]


cdef inline const Own *own_find(const Own *table, uint32_t mask, uint64_t fingerprint) noexcept nogil:
    # What the operator says of a name, or NULL. The table is never full, so the walk ends.
    cdef uint32_t at = <uint32_t>fingerprint & mask
    while table[at].fingerprint:
        if table[at].fingerprint == fingerprint:
            return &table[at]
        at = (at + 1) & mask
    return NULL


cdef inline bint reaches(uint8_t reach, bint whole) noexcept nogil:
    # `whole`: the name asked is the one that the entry stands on.
    return reach == REACH_SUBTREE or (reach == REACH_EXACT and whole)

cdef class OwnNames:
    cdef Own *table
    cdef uint32_t mask          # size of the table - 1; 0: there is none
    cdef Own *place(self, uint64_t fingerprint)

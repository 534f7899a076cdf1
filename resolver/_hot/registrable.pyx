"""Which registrable domain a name belongs to: the label below its public suffix, as a number.

Holds always: the number is the same for all names of one domain, whatever labels a client invents in front; a suffix that
the list does not know is one label long. Two domains with one number would share a bound, nothing more.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from resolver._hot.suffix cimport suffix_label
from resolver._hot.wire cimport split_labels

RULES = {"here": RULE_HERE, "below": RULE_BELOW, "not_here": RULE_NOT_HERE}


cdef int parted(bytes name, uint8_t *label_at, uint8_t *labels) except -1:
    if PyBytes_GET_SIZE(name) > 255 or not split_labels(
            <const uint8_t *>PyBytes_AS_STRING(name), <uint32_t>PyBytes_GET_SIZE(name), label_at, labels):
        raise ValueError("a whole name in wire form is expected")
    return 0


cdef class Registrable:
    """The public suffixes.

    Args:
        rules: Lowercased wire names with the RULE_ bits that hold at each.
        seed: Random.

    Raises:
        ValueError: A name is none, or a rule is none of RULES.
    """

    def __cinit__(self, list rules not None, uint64_t seed):
        cdef uint8_t label_at[128]
        cdef uint8_t labels
        cdef uint64_t hash, at
        cdef const uint8_t *octets
        cdef uint32_t i
        size = 1024
        # Most names above a rule are rules themselves.
        while size < 2 * len(rules):
            size *= 2
        filled = 0
        self.seed = seed | 1
        self.mask = size - 1
        self.slots = <uint64_t *>calloc(size, sizeof(uint64_t))
        if self.slots == NULL:
            raise MemoryError
        for name, kinds in rules:
            if not 0 <= kinds <= RULE_BITS:
                raise ValueError(f"{name!r}: there is no rule {kinds}")
            parted(name, label_at, &labels)
            octets = <const uint8_t *>PyBytes_AS_STRING(name)
            hash = self.seed
            i = labels
            while i:
                i -= 1
                hash = suffix_label(hash, octets + label_at[i])
                at = self.find(hash)
                if self.slots[at] == 0:
                    filled += 1
                    if 4 * filled > 3 * size:
                        raise ValueError("the rules have too many names above them")
                    self.slots[at] = hash & ~<uint64_t>RULE_BITS
                if i == 0:
                    self.slots[at] |= <uint64_t>kinds

    def __dealloc__(self):
        free(self.slots)

    cdef uint64_t find(self, uint64_t hash) noexcept nogil:
        """The slot that a suffix stands in, or an empty one."""
        cdef uint64_t at = hash >> 32 & self.mask
        while self.slots[at] and self.slots[at] & ~<uint64_t>RULE_BITS != hash & ~<uint64_t>RULE_BITS:
            at = (at + 1) & self.mask
        return at

    cdef uint64_t key(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels) noexcept nogil:
        """The number of the domain of a lowercased wire name."""
        cdef uint64_t hash = self.seed, domain = self.seed, rules, above = 0
        cdef uint32_t i = labels, depth = 0, public = 1
        cdef bint known = True
        while i:
            i -= 1
            depth += 1
            hash = suffix_label(hash, name + label_at[i])
            rules = 0
            if known:
                rules = self.slots[self.find(hash)]
                known = rules != 0
                rules &= RULE_BITS
            if rules & RULE_NOT_HERE:
                return hash
            if rules & RULE_HERE or above & RULE_BELOW:
                public = depth
            # The label below the suffix, or the suffix itself where the name ends in it.
            if depth <= public + 1:
                domain = hash
            if not known and depth > public:
                break
            above = rules
        return domain

    def key_of(self, bytes name not None):
        """The number of the domain of a lowercased wire name.

        Raises:
            ValueError: It is none.
        """
        cdef uint8_t label_at[128]
        cdef uint8_t labels
        parted(name, label_at, &labels)
        return self.key(<const uint8_t *>PyBytes_AS_STRING(name), label_at, labels)

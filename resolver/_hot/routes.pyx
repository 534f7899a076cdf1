"""Which group of upstreams answers for a name: domains that an operator keeps apart, and all else.

Holds always: the most specific domain decides, for itself and every name under it; where none does, it is group 0; a
table never changes once made.
"""

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from resolver._hot.wire cimport split_labels

cdef enum:
    GROUPS_MAX = 16
    NAME_MAX = 255


cdef inline uint32_t hashed(uint32_t hash, const uint8_t *label) noexcept nogil:
    # FNV-1a, from the root down: names in the table are the operator's own, so nobody aims at a slot. Who asks for
    # colliding names meets a chain no longer than the table's.
    cdef uint32_t i
    for i in range(<uint32_t>label[0] + 1):
        hash = (hash ^ label[i]) * 16777619u
    return hash


cdef class Routes:
    """The table.

    Args:
        domains: Names in lowercased wire form, and the group of each.

    Raises:
        ValueError: There are too many, one is no name, stands twice, or leads to no group.
    """

    def __cinit__(self, list domains not None):
        cdef uint8_t label_at[128]
        cdef uint8_t labels
        cdef uint32_t at = 0, size, hash, slot, i
        cdef const uint8_t *name
        if len(domains) > ROUTES_MAX:
            raise ValueError(f"{ROUTES_MAX} domains are the most")
        self.slots = <uint32_t *>calloc(ROUTE_SLOTS if domains else 1, sizeof(uint32_t))
        self.names = <uint8_t *>calloc(sum(len(domain) + 2 for domain, _ in domains) + 1, 1)
        if not self.slots or not self.names:
            raise MemoryError("no room for the domains")
        for domain, group in domains:
            name = <const uint8_t *>PyBytes_AS_STRING(domain)
            size = <uint32_t>PyBytes_GET_SIZE(domain)
            if not 1 <= size <= NAME_MAX or not split_labels(name, size, label_at, &labels) or labels == 0:
                raise ValueError(f"{domain!r} is no name in wire form")
            if not 0 <= group < GROUPS_MAX:
                raise ValueError(f"there is no group {group}")
            hash = 2166136261u
            i = labels
            while i:
                i -= 1
                hash = hashed(hash, name + label_at[i])
            slot = self.slot(hash, name, size)
            if self.slots[slot]:
                raise ValueError(f"{domain!r} stands twice")
            self.names[at] = group
            self.names[at + 1] = <uint8_t>size
            memcpy(self.names + at + 2, name, size)
            self.slots[slot] = at + 1
            at += size + 2
            if labels > self.deepest:
                self.deepest = labels
            self.count += 1

    def __dealloc__(self):
        free(self.slots)
        free(self.names)

    def group(self, bytes name not None):
        """The group of a name in lowercased wire form."""
        cdef uint8_t label_at[128]
        cdef uint8_t labels
        cdef uint32_t size = <uint32_t>PyBytes_GET_SIZE(name)
        if not 1 <= size <= NAME_MAX or not split_labels(<const uint8_t *>PyBytes_AS_STRING(name), size, label_at, &labels):
            raise ValueError(f"{name!r} is no name in wire form")
        return self.group_of(<const uint8_t *>PyBytes_AS_STRING(name), size, label_at, labels)

    cdef uint32_t slot(self, uint32_t hash, const uint8_t *name, uint32_t size) noexcept nogil:
        """Where a name stands, or would stand: there are four times as many slots as names."""
        cdef uint32_t slot = (hash * 2654435761u) >> 17
        cdef const uint8_t *kept
        while self.slots[slot]:
            kept = self.names + self.slots[slot] - 1
            if kept[1] == size and memcmp(kept + 2, name, size) == 0:
                return slot
            slot = (slot + 1) & (ROUTE_SLOTS - 1)
        return slot

    cdef uint32_t group_of(self, const uint8_t *name, uint32_t name_size, const uint8_t *label_at, uint32_t labels) noexcept nogil:
        """The group of a lowercased wire name: that of the longest domain it is or stands under."""
        cdef uint32_t hash = 2166136261u, i = labels, group = 0, slot
        if self.count == 0:
            return 0
        while i and labels - i < self.deepest:
            i -= 1
            hash = hashed(hash, name + label_at[i])
            slot = self.slot(hash, name + label_at[i], name_size - label_at[i])
            if self.slots[slot]:
                group = self.names[self.slots[slot] - 1]
        return group

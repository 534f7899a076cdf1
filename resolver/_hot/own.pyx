"""The operator's own names as a hash table: emergency overrides, allowed and blocked names, homes of private addresses.

Holds always: the table never changes once made and is at most half full; whatever is let through is marked on every name
above it, so that no denial above can reach it. It decides nothing: `Policy` does.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from blocklist_sync.artifact._snapshot cimport Sip, sip_label, sip_start, sip_value

KINDS = ("override", "allow", "block", "private")
EXACT = REACH_EXACT
SUBTREE = REACH_SUBTREE
MOST = OWN_MAX


cdef class OwnNames:
    """The table.

    Args:
        key0, key1: Of the fingerprints, as the list's.
        names: Name in lowercase wire form, kind (one of KINDS), EXACT or SUBTREE, and of a block its action.

    Raises:
        ValueError: A name is none, or there are more than MOST.
    """

    def __cinit__(self, uint64_t key0, uint64_t key1, list names):
        cdef uint32_t size = 4, depth, at
        cdef uint64_t fingerprint
        cdef list ways = []
        cdef Own *own
        cdef const uint8_t *wire
        cdef Sip sip
        cdef uint32_t total = 0
        if len(names) > OWN_MAX:
            raise ValueError(f"{len(names)} names of the operator's own; {OWN_MAX} are the most")
        for name, kind, reach, action in names:
            if kind not in KINDS or reach not in (REACH_EXACT, REACH_SUBTREE) or not 0 <= action < 256:
                raise ValueError(f"{kind!r}, reach {reach} and action {action} are nothing to say of a name")
            starts = _labels(name)
            wire = name
            sip_start(&sip, key0, key1)
            way = []
            for at in reversed(starts):
                sip_label(&sip, wire + at, <uint32_t>wire[at] + 1)
                way.append(sip_value(&sip))
            ways.append(way)
            total += len(way)
        if not total:
            return
        while size < 2 * total:
            size *= 2
        self.table = <Own *>calloc(size, sizeof(Own))
        if self.table == NULL:
            raise MemoryError
        self.mask = size - 1
        for (name, kind, reach, action), way in zip(names, ways):
            own = self.place(way[len(way) - 1])
            if kind == "override":
                own.override = max(own.override, reach)
            elif kind == "allow":
                own.allow = max(own.allow, reach)
            elif kind == "private":
                own.private = max(own.private, reach)
            elif reach >= own.block:
                own.block = reach
                own.action = action
            if kind in ("override", "allow"):
                for fingerprint in way[: len(way) - 1]:
                    self.place(fingerprint).hole = True

    def __dealloc__(self):
        free(self.table)

    cdef Own *place(self, uint64_t fingerprint):
        """The name's slot, taken where it is not."""
        cdef uint32_t at = <uint32_t>fingerprint & self.mask
        while self.table[at].fingerprint and self.table[at].fingerprint != fingerprint:
            at = (at + 1) & self.mask
        self.table[at].fingerprint = fingerprint
        return &self.table[at]


cdef list _labels(object name):
    """Where each label of an uncompressed wire name starts.

    Raises:
        ValueError: It is none, or the root.
    """
    cdef list starts = []
    cdef Py_ssize_t at = 0
    if not isinstance(name, bytes) or not 2 < len(name) <= 255 or name != name.lower():
        raise ValueError(f"{name!r} is no name in lowercase wire form")
    while at < len(name) and name[at]:
        if name[at] > 63:
            raise ValueError(f"{name!r} is no name in lowercase wire form")
        starts.append(at)
        at += name[at] + 1
    if at + 1 != len(name):
        raise ValueError(f"{name!r} is no name in lowercase wire form")
    return starts

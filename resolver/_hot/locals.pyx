"""Answers made here: names and zones with ready-made records, looked up by the question's suffixes.

Holds always: a table never changes once made; a name is compared in full before it is believed; a name below a zone of
ours has an answer here, whatever the cache or an upstream holds, unless a hole was left for it; a query is decided in as
many steps as its name has labels that lead to something, so that most cost one.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from resolver._hot.cursor cimport get16, put16, put32
from resolver._hot.suffix cimport suffix_label
from resolver._hot.wire cimport (
    AA, EDE_NONE, HEADER, NOERROR, NXDOMAIN, OPT_BYTES, READ_OK, REFUSED, TC, TYPE_ANY, TYPE_SOA, read_query, split_labels,
    write_error, write_opt, write_start)

cdef enum:
    TYPE_MAILB = 253
    ZONE_REFRESH = 3600
    ZONE_RETRY = 1200
    ZONE_EXPIRE = 604800

KINDS = {"path": NODE_PATH, "name": NODE_NAME, "zone": NODE_ZONE, "denied": NODE_DENIED, "refused": NODE_REFUSED,
         "forward": NODE_FORWARD, "rewrite": NODE_REWRITE, "ask": NODE_ASK}
FLAGS = {"open": NODE_OPEN, "covers": NODE_COVERS}
WAYS = ("on", "answer", "rewrite", "ask")


cdef inline uint64_t begin(uint16_t qclass) noexcept nogil:
    return <uint64_t>0xA0761D6478BD642F ^ qclass


cdef uint32_t write_zone_record(uint8_t *out, uint32_t at, uint32_t owner, uint16_t qclass, uint16_t rtype, uint32_t ttl,
                                uint32_t section) noexcept nogil:
    """Appends SOA or NS of the zone at offset `owner`, as RFC 6303 3 has them; needs 50 bytes, the new end.

    `section` is the offset of its count in the header.
    """
    put16(out + section, get16(out + section) + 1)
    put16(out + at, 0xC000 | owner)
    put16(out + at + 2, rtype)
    put16(out + at + 4, qclass)
    put32(out + at + 6, ttl)
    put16(out + at + 10, 38 if rtype == TYPE_SOA else 2)
    # The zone itself is its name server: nobody else is to be asked.
    put16(out + at + 12, 0xC000 | owner)
    at += 14
    if rtype != TYPE_SOA:
        return at
    memcpy(out + at, b"\x06nobody\x07invalid\0", 16)
    put32(out + at + 16, 1)
    put32(out + at + 20, ZONE_REFRESH)
    put32(out + at + 24, ZONE_RETRY)
    put32(out + at + 28, ZONE_EXPIRE)
    put32(out + at + 32, ttl)
    return at + 36


cdef uint32_t write_denial(uint8_t *out, const Query *query, uint16_t flags, uint16_t rcode, uint32_t owner,
                           const Node *node) noexcept nogil:
    """NODATA or NXDOMAIN under an SOA whose owner is the question's name from offset `owner` on."""
    cdef uint32_t at = write_start(out, query, flags, rcode)
    at = write_zone_record(out, at, HEADER + owner, query.qclass, TYPE_SOA, node.ttl, 8)
    return write_opt(out, at, query, rcode, node.ede)


cdef uint32_t write_rrset(uint8_t *out, const Query *query, const Rrset *rrset, uint32_t limit) noexcept nogil:
    """A set of records and what belongs to it; without that where there is no room, with TC where there is none at all."""
    cdef uint32_t at, opt = OPT_BYTES + COOKIE_ROOM if query.edns else 0
    if query.question_end + rrset.answer_size + opt > limit:
        return write_opt(out, write_start(out, query, AA | TC, NOERROR), query, NOERROR, EDE_NONE)
    at = write_start(out, query, AA, NOERROR)
    memcpy(out + at, rrset.records, rrset.answer_size)
    put16(out + 6, rrset.answers)
    at += rrset.answer_size
    if at + rrset.additional_size + opt <= limit:
        memcpy(out + at, rrset.records + rrset.answer_size, rrset.additional_size)
        put16(out + 10, rrset.additionals)
        at += rrset.additional_size
    return write_opt(out, at, query, NOERROR, EDE_NONE)


cdef inline const Rrset *set_of(const Node *node, uint16_t qtype) noexcept nogil:
    """The node's set of a type, its set for every other type, or NULL. ANY takes the first (RFC 8482 4.1)."""
    cdef const Rrset *other = NULL
    cdef uint32_t i
    for i in range(node.rrset_count):
        if node.rrsets[i].rtype == qtype or qtype == TYPE_ANY:
            return &node.rrsets[i]
        if node.rrsets[i].rtype == 0:
            other = &node.rrsets[i]
    return other


cdef class Locals:
    """The table.

    Args:
        nodes: Of each node its lowercased wire name, class, kind (KINDS), profiles it holds for (a bit each), FLAGS,
            TTL of its denials, EDE of its denials (0xFFFF: none), sets of records, and target (in wire form). A set is
            its type (0: every other type), how many answers, their bytes, how many additional records, their bytes;
            an owner that is the question's name is the pointer 0xC00C. For one profile a name stands once.

    Raises:
        ValueError: A name or a target is none, a name stands twice for a profile, or a bound is exceeded.
    """

    def __cinit__(self, list nodes not None):
        cdef uint32_t i, k, place, sets = 0
        cdef Node *node
        cdef uint64_t slot
        nodes = _with_paths(nodes)
        if len(nodes) > NODES_MAX:
            raise ValueError(f"{len(nodes)} names; {NODES_MAX} are the most")
        slots = 64
        while slots < 2 * len(nodes):
            slots *= 2
        self.mask = slots - 1
        self.slots = <uint32_t *>calloc(slots, sizeof(uint32_t))
        self.nodes = <Node *>calloc(len(nodes) + 1, sizeof(Node))
        self.rrsets = <Rrset *>calloc(sum(len(entry[7]) for entry in nodes) + 1, sizeof(Rrset))
        if self.slots == NULL or self.nodes == NULL or self.rrsets == NULL:
            raise MemoryError
        parts = []
        for name, *_, records, target in nodes:
            parts += [name, target]
            for _, _, answers, _, additionals in records:
                parts += [answers, additionals]
        self._bytes = b"".join(parts)
        cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(self._bytes)
        for i, (name, qclass, kind, profiles, flags, ttl, ede, records, target) in enumerate(nodes):
            if kind not in KINDS.values() or not 0 <= profiles <= 255 or not 0 <= flags <= 3:
                raise ValueError(f"{name!r}: there is no such kind of name")
            node = &self.nodes[i]
            node.qclass, node.kind, node.profiles, node.flags, node.ttl, node.ede = qclass, kind, profiles, flags, ttl, ede
            node.name = at
            node.name_size = len(name)
            at += len(name)
            node.target = at
            node.target_size = len(target)
            at += len(target)
            if (kind == NODE_REWRITE) != bool(target):
                raise ValueError(f"{name!r}: an alias has a target, and nothing else has one")
            node.rrsets = &self.rrsets[sets]
            node.rrset_count = len(records)
            for rtype, count, answers, additional_count, additionals in records:
                if not 1 <= len(answers) <= RRSET_BYTES_MAX or len(additionals) > RRSET_BYTES_MAX:
                    raise ValueError(f"{name!r}: a set of records has 1 to {RRSET_BYTES_MAX} bytes")
                self.rrsets[sets].rtype, self.rrsets[sets].answers, self.rrsets[sets].additionals = rtype, count, additional_count
                self.rrsets[sets].answer_size, self.rrsets[sets].additional_size = len(answers), len(additionals)
                self.rrsets[sets].records = at
                at += len(answers) + len(additionals)
                sets += 1
            slot = hash_of(node.name, node.name_size, qclass)
            node.hash = <uint32_t>(slot >> 32)
            slot &= self.mask
            while self.slots[slot]:
                slot = (slot + 1) & self.mask
            self.slots[slot] = i + 1
        self.count = len(nodes)

    def __dealloc__(self):
        free(self.nodes)
        free(self.rrsets)
        free(self.slots)

    cdef const Node *find(self, uint64_t hash, const uint8_t *name, uint32_t size, uint16_t qclass, uint32_t profile,
                          bint *known) noexcept nogil:
        """The node of a name that holds for a profile, or NULL; `known`: the name stands here for some profile."""
        cdef uint64_t slot = hash & self.mask
        cdef const Node *node
        known[0] = False
        while self.slots[slot]:
            node = &self.nodes[self.slots[slot] - 1]
            if (node.hash == <uint32_t>(hash >> 32) and node.name_size == size and node.qclass == qclass
                    and memcmp(node.name, name, size) == 0):
                known[0] = True
                if node.profiles >> profile & 1:
                    return node
            slot = (slot + 1) & self.mask
        return NULL

    cdef uint32_t answer(self, uint8_t *out, const Query *query, uint32_t profile, uint32_t limit, Way *way) noexcept nogil:
        """The answer to what is answered here, its size; 0 otherwise, and `way` tells what else to do.

        Needs `limit` bytes, and at least question_end + DENIAL_BYTES.
        """
        cdef uint64_t hash = begin(query.qclass)
        cdef uint32_t i = query.labels, zone_at = 0
        cdef const Node *node = NULL
        cdef const Node *zone = NULL
        cdef const Rrset *rrset
        cdef bint known = True
        way.kind = WAY_ON
        while i:
            i -= 1
            hash = suffix_label(hash, query.name + query.label_at[i])
            node = self.find(hash, query.name + query.label_at[i], query.name_size - query.label_at[i], query.qclass, profile, &known)
            if not known:
                break
            # The DS records of a zone are its parent's (RFC 4035 2.4, RFC 8375 4): validators below us need the proof.
            if node != NULL and NODE_ZONE <= node.kind and node.kind != NODE_REWRITE and not (
                    i == 0 and query.qtype == TYPE_DS and (node.kind == NODE_ZONE or node.kind == NODE_ASK)):
                zone = node
                zone_at = i
        # From here on, `node` is the question's whole name or nothing.
        if i:
            node = NULL
        if node != NULL and node.kind == NODE_REWRITE:
            way.kind = WAY_REWRITE
            way.target = node.target
            way.target_size = node.target_size
            way.ttl = node.ttl
            return 0
        if zone != NULL and zone.kind == NODE_FORWARD:
            zone = NULL
        if node != NULL and node.kind == NODE_NAME:
            rrset = set_of(node, query.qtype)
            if rrset == NULL and node.flags & NODE_OPEN and (zone == NULL or zone.kind != NODE_ZONE):
                return 0
            way.kind = WAY_ANSWER
            if rrset != NULL:
                return write_rrset(out, query, rrset, limit)
            if zone == NULL or zone.kind != NODE_ZONE:
                return write_denial(out, query, AA, NOERROR, 0, node)
            return write_denial(out, query, AA, NOERROR, query.label_at[zone_at], zone)
        if zone == NULL:
            return 0
        way.kind = WAY_ANSWER
        # No transfers of what stands here, nor types that mean others.
        if zone.kind == NODE_REFUSED or (249 <= query.qtype <= 254):
            return write_error(out, query, REFUSED, zone.ede)
        if zone.kind == NODE_DENIED:
            return write_denial(out, query, 0, NXDOMAIN, query.label_at[zone_at], zone)
        if zone.kind == NODE_ASK and zone_at == 1:
            if query.qtype == TYPE_TXT and query.name[0] >= NONCE_MIN:
                way.kind = WAY_ASK
                return 0
            return write_denial(out, query, AA, NOERROR, query.label_at[zone_at], zone)
        if zone_at == 0 or zone.flags & NODE_COVERS:
            rrset = set_of(zone, query.qtype)
            if rrset != NULL:
                return write_rrset(out, query, rrset, limit)
            if zone_at == 0 and (query.qtype == TYPE_SOA or query.qtype == TYPE_NS or query.qtype == TYPE_ANY):
                i = write_zone_record(out, write_start(out, query, AA, NOERROR), HEADER, query.qclass,
                                      TYPE_NS if query.qtype == TYPE_NS else TYPE_SOA, zone.ttl, 6)
                return write_opt(out, i, query, NOERROR, EDE_NONE)
        # A name with something below it exists (RFC 8020).
        return write_denial(out, query, AA, NOERROR if node != NULL or zone_at == 0 or zone.flags & NODE_COVERS else NXDOMAIN,
                            query.label_at[zone_at], zone)

    # For what is not on the packet path -----------------------------------------------------------------------------

    def lookup(self, bytes query not None, uint32_t profile=0, uint32_t limit=65535):
        """What happens to a query, one of WAYS, and the answer or the alias's target.

        Raises:
            ValueError: The query cannot be read, or profile or limit are beyond their bounds.
        """
        cdef Query read
        cdef Way way
        cdef uint32_t size
        if profile > 7 or not 512 <= limit <= 65535:
            raise ValueError("a profile up to 7 and a limit of 512 to 65535 are expected")
        if read_query(<const uint8_t *>PyBytes_AS_STRING(query), <uint32_t>PyBytes_GET_SIZE(query), &read) != READ_OK:
            raise ValueError("the query cannot be read")
        out = bytearray(limit)
        cdef uint8_t[::1] view = out
        size = self.answer(&view[0], &read, profile, limit, &way)
        if way.kind == WAY_REWRITE:
            return WAYS[way.kind], PyBytes_FromStringAndSize(<char *>way.target, way.target_size)
        return WAYS[way.kind], bytes(view[:size])


cdef uint64_t hash_of(const uint8_t *name, uint32_t size, uint16_t qclass) noexcept nogil:
    cdef uint8_t label_at[128]
    cdef uint8_t labels
    cdef uint32_t i
    cdef uint64_t hash = begin(qclass)
    split_labels(name, size, label_at, &labels)
    i = labels
    while i:
        i -= 1
        hash = suffix_label(hash, name + label_at[i])
    return hash


cdef int check_name(bytes name) except -1:
    """That a name is whole, and not the root."""
    cdef uint8_t label_at[128]
    cdef uint8_t labels
    if not 2 <= len(name) <= 255 or name != name.lower() or not split_labels(
            <const uint8_t *>PyBytes_AS_STRING(name), <uint32_t>PyBytes_GET_SIZE(name), label_at, &labels):
        raise ValueError(f"{name!r} is no lowercased name in wire form")
    return 0


def _with_paths(list nodes):
    """The nodes, and one for every name above them that has none for a profile: a search goes on where it finds a node."""
    own = {}
    below = {}
    for name, qclass, kind, profiles, *_, target in nodes:
        check_name(name)
        if target:
            check_name(target)
        if own.get((name, qclass), 0) & profiles:
            raise ValueError(f"{name!r} stands twice for one profile")
        own[name, qclass] = own.get((name, qclass), 0) | profiles
        above = name[name[0] + 1:]
        while len(above) > 1:
            below[above, qclass] = below.get((above, qclass), 0) | profiles
            above = above[above[0] + 1:]
    paths = [
        (name, qclass, NODE_PATH, profiles & ~own.get((name, qclass), 0), 0, 0, EDE_NONE, [], b"")
        for (name, qclass), profiles in below.items()
        if profiles & ~own.get((name, qclass), 0)
    ]
    return nodes + paths

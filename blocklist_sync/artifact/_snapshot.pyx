# cython: auto_pickle=False, autotestdict=False
"""The snapshot's builder and its Python face; layout, hash and lookup stand in the .pxd, once.

Holds always: a snapshot is a pure function of the records; nothing here trusts the bytes it is given, and no byte of a
snapshot can make a lookup read outside it.
"""

import hashlib
import sys

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcmp, memcpy, memset

from blocklist_sync.artifact import orders as order_table
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.errors import (
    ArtifactError, ForeignCategoryError, RecordsError, SnapshotError)
from blocklist_sync.artifact.rules import Match, Rule as NamedRule, Scope

if sys.byteorder != "little":
    raise ImportError("snapshots are little-endian, and mapped as they are")

cdef enum:
    HEADER_BYTES = 256
    DIGEST_AT = 224
    RECORD_FLAGS = RULE_SUBTREE | RULE_EXCEPTION | RULE_EXCEPTION_BELOW
    STORED_FLAGS = RULE_SUBTREE | RULE_EXCEPTION | RULE_EXCEPTION_BELOW | RULE_MANDATED | RULE_LAST
    # 60 % of five slots: three names a bucket.
    NAMES_PER_BUCKET = 3

MAGIC = b"LACHANS1"
FORMAT = 1

cdef packed struct Header:
    uint8_t magic[8]
    uint32_t format
    uint32_t key_epoch
    uint64_t serial
    uint64_t size
    uint64_t names
    uint64_t records
    uint64_t key0
    uint64_t key1
    uint8_t records_digest[32]
    uint64_t bucket_offset
    uint64_t bucket_count
    uint64_t rule_offset
    uint64_t rule_count
    uint64_t order_offset
    uint64_t order_size
    uint64_t order_count
    uint8_t reserved[72]
    uint8_t digest[32]

cdef Sip _start(bytes key) except *:
    if PyBytes_GET_SIZE(key) != 16:
        raise ArtifactError("a fingerprint key is 16 bytes")
    return sip_key(PyBytes_AS_STRING(key))


cdef Py_ssize_t _last_label(const char* name, Py_ssize_t end, uint8_t* label) except -1:
    # As last_label.
    cdef Py_ssize_t start = last_label(name, end, label)
    if start == -1:
        raise ArtifactError("a label is 1 to 63 bytes")
    if start == -2:
        raise ArtifactError("a name in A-labels is ASCII")
    return start


cdef uint64_t _fingerprint(Sip state, str name) except? 0:
    cdef Py_ssize_t size = 0
    cdef const char* data = PyUnicode_AsUTF8AndSize(name, &size)
    cdef uint8_t label[64]
    if size > MAX_NAME:
        raise ArtifactError("a name is at most 253 bytes")
    while True:
        size = _last_label(data, size, label)
        sip_label(&state, label, 1 + label[0])
        if size == 0:
            return sip_value(&state)
        size -= 1


def fingerprint(str name not None, bytes key not None):
    """The fingerprint of a canonical name under a key."""
    return _fingerprint(_start(key), name)


def siphash(key, chunks):
    """SipHash-2-4 of the chunks in a row; what `fingerprint` is made of, for its tests."""
    cdef Sip state = _start(key)
    cdef const uint8_t[::1] view
    for chunk in chunks:
        view = chunk
        sip_label(&state, &view[0] if view.shape[0] else NULL, <uint32_t>view.shape[0])
    return sip_value(&state)


cdef Py_ssize_t _check(const Record* records, Py_ssize_t count, uint64_t orders, Py_ssize_t base) except -1:
    # The number of names in a well-formed body; every record is looked at.
    cdef Py_ssize_t i, names = 0, at
    cdef const Record* r
    cdef const Record* p
    for i in range(count):
        r = &records[i]
        at = base + i * RECORD_BYTES
        if r.flags & ~RECORD_FLAGS:
            raise RecordsError(at + 8, f"unknown flags {r.flags:#04x}")
        if r.flags & RULE_EXCEPTION_BELOW and r.flags & (RULE_SUBTREE | RULE_EXCEPTION) != RULE_SUBTREE:
            raise RecordsError(at + 8, "only a subtree block can have an exception below")
        if r.category == 0 or r.category > CATEGORIES:
            raise ForeignCategoryError(at + 9, f"unknown category {r.category}")
        if r.order >= orders:
            raise RecordsError(at + 10, f"order {r.order} of {orders}")
        if i == 0:
            names = 1
            continue
        p = &records[i - 1]
        if p.fingerprint > r.fingerprint:
            raise RecordsError(at, "the records are not sorted")
        if p.fingerprint != r.fingerprint:
            names += 1
        elif (p.flags, p.category, p.order) == (r.flags, r.category, r.order):
            raise RecordsError(at, "a record is repeated")
        elif (p.flags, p.category, p.order) > (r.flags, r.category, r.order):
            raise RecordsError(at, "the records are not sorted")
    return names


def check(bytes records not None, Py_ssize_t offset, Py_ssize_t count, uint64_t orders):
    """Looks at every record of a release's body and counts its names.

    Raises:
        RecordsError: With the offset of the first malformed one.
    """
    if offset < 0 or count < 0 or count != (PyBytes_GET_SIZE(records) - offset) // RECORD_BYTES:
        raise RecordsError(offset, "the body has another size")
    return _check(<const Record*>(PyBytes_AS_STRING(records) + offset), count, orders, offset)


cdef bint _place(Bucket* buckets, uint64_t bucket_count, uint64_t fingerprint, uint32_t rule) noexcept nogil:
    # Puts a name into the first free slot from its own bucket on; False where a lookup would not get that far.
    cdef uint64_t index = lachan_multiply_high(fingerprint, bucket_count)
    cdef int probe, slot
    for probe in range(MAX_PROBES):
        for slot in range(BUCKET_SLOTS):
            if buckets[index].rule[slot] == 0:
                buckets[index].fingerprint[slot] = fingerprint
                buckets[index].rule[slot] = rule
                return True
        buckets[index].flags |= BUCKET_OVERFLOW
        index += 1
        if index == bucket_count:
            index = 0
    return False


cdef tuple _sets(const Record* records, Py_ssize_t count, Py_ssize_t names, bytes mandated,
                 const char* always):
    # Every distinct set of rules once, rule 0 being nobody's, and for each name the index of its set.
    cdef bytes indices = PyBytes_FromStringAndSize(NULL, names * sizeof(uint32_t))
    cdef uint32_t* out = <uint32_t*>PyBytes_AS_STRING(indices)
    cdef const char* mandate = PyBytes_AS_STRING(mandated)
    cdef list sets = []
    cdef dict known = {}
    cdef bytes key
    cdef Rule one[256]
    cdef Rule* rules
    cdef Py_ssize_t i = 0, end, k, name = 0
    cdef uint64_t total = 1
    cdef uint64_t last = 0, this
    cdef uint32_t last_index = 0
    sets.append(b"\x80" + bytes(7))
    while i < count:
        end = i + 1
        while end < count and records[end].fingerprint == records[i].fingerprint:
            end += 1
        if end - i > 256:
            raise RecordsError(i * RECORD_BYTES, "more than 256 rules on one name")
        rules = one
        for k in range(end - i):
            rules[k].flags = records[i + k].flags
            rules[k].category = records[i + k].category
            rules[k].reserved = 0
            rules[k].order = records[i + k].order
            if always[records[i + k].category] or mandate[records[i + k].order]:
                rules[k].flags |= RULE_MANDATED
        rules[end - i - 1].flags |= RULE_LAST
        # Most names have one rule, and the same as the name before.
        memcpy(&this, rules, 8)
        if end - i > 1 or this != last:
            key = PyBytes_FromStringAndSize(<char*>rules, (end - i) * sizeof(Rule))
            index = known.get(key)
            if index is None:
                if total + (end - i) > 0xFFFFFFFF:
                    raise RecordsError(i * RECORD_BYTES, "more rules than a snapshot can number")
                index = total
                known[key] = index
                sets.append(key)
                total += end - i
            last_index = index
            last = this if end - i == 1 else 0
        out[name] = last_index
        name += 1
        i = end
    return b"".join(sets), indices


def assemble(bytes records not None, Py_ssize_t offset, Py_ssize_t count, *, uint64_t serial, uint32_t key_epoch,
             bytes key not None, bytes orders not None, bytes mandated not None, bytes always not None,
             bytes digest not None):
    """The snapshot of a release; the .pyi describes the arguments.

    Raises:
        RecordsError: The body is malformed.
    """
    cdef Py_ssize_t names = check(records, offset, count, PyBytes_GET_SIZE(mandated)), i, name = 0
    cdef const Record* body = <const Record*>(PyBytes_AS_STRING(records) + offset)
    cdef bytes rules, indices
    cdef uint64_t bucket_count = max(1, (names + NAMES_PER_BUCKET - 1) // NAMES_PER_BUCKET)
    cdef Header header
    cdef bint placed = False
    cdef const uint32_t* index
    cdef char* out
    cdef uint64_t size = 0
    if len(key) != 16 or len(digest) != 32 or len(always) != CATEGORIES + 1:
        raise ArtifactError("a key is 16 bytes, a digest 32, and every category has its byte")
    rules, indices = _sets(body, count, names, mandated, PyBytes_AS_STRING(always))
    index = <const uint32_t*>PyBytes_AS_STRING(indices)
    while not placed:
        size = HEADER_BYTES + bucket_count * sizeof(Bucket) + PyBytes_GET_SIZE(rules) + PyBytes_GET_SIZE(orders)
        target = bytearray(size)
        out = PyByteArray_AS_STRING(target)
        with nogil:
            placed = True
            name = 0
            for i in range(count):
                if i and body[i].fingerprint == body[i - 1].fingerprint:
                    continue
                if not _place(<Bucket*>(out + HEADER_BYTES), bucket_count, body[i].fingerprint, index[name]):
                    placed = False
                    break
                name += 1
        if not placed:
            # Fingerprints that crowd together get more room; the same records still give the same snapshot.
            bucket_count += bucket_count // 2 + 1
            if bucket_count > 2 * <uint64_t>names + 64:
                raise RecordsError(offset, "the fingerprints are not those of a keyed hash")
    memset(&header, 0, sizeof(Header))
    memcpy(header.magic, PyBytes_AS_STRING(MAGIC), 8)
    header.format = FORMAT
    header.key_epoch = key_epoch
    header.serial = serial
    header.size = size
    header.names = names
    header.records = count
    memcpy(&header.key0, PyBytes_AS_STRING(key), 8)
    memcpy(&header.key1, PyBytes_AS_STRING(key) + 8, 8)
    memcpy(header.records_digest, PyBytes_AS_STRING(digest), 32)
    header.bucket_offset = HEADER_BYTES
    header.bucket_count = bucket_count
    header.rule_offset = header.bucket_offset + bucket_count * sizeof(Bucket)
    header.rule_count = PyBytes_GET_SIZE(rules) // sizeof(Rule)
    header.order_offset = header.rule_offset + PyBytes_GET_SIZE(rules)
    header.order_size = PyBytes_GET_SIZE(orders)
    header.order_count = PyBytes_GET_SIZE(mandated)
    memcpy(out, &header, sizeof(Header))
    memcpy(out + header.rule_offset, PyBytes_AS_STRING(rules), PyBytes_GET_SIZE(rules))
    memcpy(out + header.order_offset, PyBytes_AS_STRING(orders), PyBytes_GET_SIZE(orders))
    target[DIGEST_AT:HEADER_BYTES] = hashlib.sha256(target).digest()
    return target


@cython.final
cdef class Snapshot:
    """A mapped snapshot: opening measures sections and rules and hashes nothing, so its digest was checked before."""

    def __cinit__(self, buffer):
        PyObject_GetBuffer(buffer, &self.buffer, PyBUF_SIMPLE)
        self.held = True
        self._open()

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.buffer)

    cdef int _open(self) except -1:
        cdef const char* base = <const char*>self.buffer.buf
        cdef uint64_t size = self.buffer.len, i, left
        cdef const Header* h = <const Header*>base
        cdef const Rule* rule
        if size < HEADER_BYTES:
            raise SnapshotError(f"{size} bytes are no snapshot")
        if <uintptr_t>base % 8:
            raise SnapshotError("the mapping does not start at a multiple of eight")
        if memcmp(h.magic, PyBytes_AS_STRING(MAGIC), 8) or h.format != FORMAT:
            raise SnapshotError(f"not a snapshot of format {FORMAT}")
        if h.size != size:
            raise SnapshotError(f"{size} bytes where the header says {h.size}")
        # Each count is bounded by what is left before it is multiplied; sections stand one behind the other.
        left = size - HEADER_BYTES
        if h.bucket_offset != HEADER_BYTES or h.bucket_count == 0 or h.bucket_count > left // sizeof(Bucket):
            raise SnapshotError("the buckets are not where they belong")
        left -= h.bucket_count * sizeof(Bucket)
        if h.rule_offset != size - left or h.rule_count == 0 or h.rule_count > left // sizeof(Rule):
            raise SnapshotError("the rules are not where they belong")
        left -= h.rule_count * sizeof(Rule)
        if h.rule_count > 0xFFFFFFFF or h.order_offset != size - left or h.order_size != left:
            raise SnapshotError("the order table is not where it belongs")
        rule = <const Rule*>(base + h.rule_offset)
        if rule[0].flags != RULE_LAST or rule[0].category or rule[0].order or rule[0].reserved:
            raise SnapshotError("rule 0 belongs to no name")
        if not rule[h.rule_count - 1].flags & RULE_LAST:
            raise SnapshotError("the last rule does not end its set")
        for i in range(1, h.rule_count):
            if (rule[i].flags & ~STORED_FLAGS or rule[i].category == 0 or rule[i].category > CATEGORIES
                    or rule[i].reserved or rule[i].order >= h.order_count):
                raise SnapshotError(f"rule {i} is malformed")
        self.view.buckets = <const Bucket*>(base + h.bucket_offset)
        self.view.bucket_count = h.bucket_count
        self.view.rules = rule
        self.view.rule_count = <uint32_t>h.rule_count
        self.view.key0 = h.key0
        self.view.key1 = h.key1
        self.view.serial = h.serial
        return 0

    @property
    def serial(self):
        """The release's serial."""
        return self.view.serial

    @property
    def count(self):
        """How many names have rules."""
        return (<const Header*>self.buffer.buf).names

    @property
    def key_epoch(self):
        """The epoch of the fingerprint key."""
        return (<const Header*>self.buffer.buf).key_epoch

    @property
    def records_digest(self):
        """SHA-256 of the records it was built from."""
        return PyBytes_FromStringAndSize(<const char*>(<const Header*>self.buffer.buf).records_digest, 32)

    @property
    def orders(self):
        """The order table.

        Raises:
            SnapshotError: It is malformed.
        """
        cdef const Header* h = (<const Header*>self.buffer.buf)
        if self._orders is None:
            table = PyBytes_FromStringAndSize(<const char*>self.buffer.buf + h.order_offset, h.order_size)
            try:
                self._orders = order_table.decode(table, h.order_count)
            except ArtifactError as error:
                raise SnapshotError(f"snapshot: {error}") from error
        return self._orders

    def fingerprint(self, str name not None):
        """The fingerprint of a canonical name under this snapshot's key."""
        cdef Sip state
        sip_start(&state, self.view.key0, self.view.key1)
        return _fingerprint(state, name)

    def fingerprints(self):
        """The fingerprints of all owners of rules, as unsigned 64-bit words of this machine, in no order."""
        cdef bytearray found = bytearray()
        cdef const Bucket* bucket
        cdef uint64_t index
        cdef int slot
        for index in range(self.view.bucket_count):
            bucket = &self.view.buckets[index]
            for slot in range(BUCKET_SLOTS):
                if bucket.rule[slot]:
                    found += (<const char*>&bucket.fingerprint[slot])[:8]
        return bytes(found)

    def lookup(self, str name not None):
        """Every rule that a name meets, from the shallowest owner to the deepest.

        Raises:
            ArtifactError: It is no name.
        """
        cdef Sip state
        cdef Py_ssize_t size = 0, at
        cdef const char* data = PyUnicode_AsUTF8AndSize(name, &size)
        cdef uint8_t label[64]
        cdef const Rule* rule
        cdef int depth = 0
        cdef list matches = []
        sip_start(&state, self.view.key0, self.view.key1)
        if size > MAX_NAME:
            raise ArtifactError("a name is at most 253 bytes")
        at = size + 1
        while at > 0:
            at = _last_label(data, at - 1, label)
            sip_label(&state, label, 1 + label[0])
            depth += 1
            rule = find(&self.view, sip_value(&state))
            while rule != NULL:
                if rule.flags & RULE_SUBTREE or at == 0:
                    named = NamedRule(
                        Scope.SUBTREE if rule.flags & RULE_SUBTREE else Scope.EXACT,
                        bool(rule.flags & RULE_EXCEPTION), bool(rule.flags & RULE_EXCEPTION_BELOW),
                        Category(rule.category), bool(rule.flags & RULE_MANDATED), rule.order)
                    matches.append(Match(name[at:].lower(), depth, named))
                if rule.flags & RULE_LAST:
                    break
                rule += 1
        return matches

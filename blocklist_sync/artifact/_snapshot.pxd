"""Layout of a snapshot, its hash and its lookup: here and nowhere else.

Holds always: whatever the bytes of the mapping say, a lookup reads inside the sections that `Snapshot` measured. A set
of rules that starts inside the section ends inside it, because its last rule carries RULE_LAST; categories and order
indices were checked when the snapshot was opened, so a table of `CATEGORIES + 1` cells may be indexed by them. The
mapping must not change underneath (a sealed memfd, a file nobody writes). Little-endian machines only.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #include <stdint.h>
    #define lachan_prefetch(address) __builtin_prefetch((address), 0, 3)
    static inline uint64_t lachan_multiply_high(uint64_t a, uint64_t b) {
        return (uint64_t)(((unsigned __int128)a * b) >> 64);
    }
    """
    void lachan_prefetch(const void* address) noexcept nogil
    uint64_t lachan_multiply_high(uint64_t a, uint64_t b) noexcept nogil

cdef enum:
    RULE_SUBTREE = 1          # the owner and everything below it; otherwise the owner alone
    RULE_EXCEPTION = 2        # lifts blocks of its category instead of blocking
    RULE_EXCEPTION_BELOW = 4  # a subtree block with an exception below: NXDOMAIN would deny that too (RFC 8020)
    RULE_MANDATED = 8         # in force for every profile
    RULE_LAST = 128           # ends the set of rules of one name
    BUCKET_SLOTS = 5
    BUCKET_OVERFLOW = 1       # a name that belongs here stands in one of the next buckets
    MAX_PROBES = 64           # buckets a lookup reads at most; the builder keeps every name within them
    CATEGORIES = 8            # the highest category number
    RECORD_BYTES = 14
    MAX_LABEL = 63
    MAX_NAME = 253

cdef packed struct Record:
    # As a release has it.
    uint64_t fingerprint
    uint8_t flags
    uint8_t category
    uint32_t order

cdef packed struct Rule:
    uint8_t flags
    uint8_t category
    uint16_t reserved
    uint32_t order

cdef struct Bucket:
    # One cache line. A slot is empty where `rule` is 0; rule 0 belongs to no name.
    uint64_t fingerprint[5]
    uint32_t rule[5]
    uint32_t flags

cdef struct Rules:
    # A measured view of a mapped snapshot. All zero is a valid view of an empty list.
    const Bucket* buckets
    uint64_t bucket_count
    const Rule* rules
    uint32_t rule_count
    uint64_t key0
    uint64_t key1
    uint64_t serial

cdef struct Sip:
    # SipHash-2-4 after `size` bytes; the last size % 8 of them wait in `pending`.
    uint64_t v0
    uint64_t v1
    uint64_t v2
    uint64_t v3
    uint64_t pending
    uint64_t size


cdef inline uint64_t _rotate(uint64_t value, int bits) noexcept nogil:
    return (value << bits) | (value >> (64 - bits))


cdef inline void _round(Sip* s) noexcept nogil:
    s.v0 += s.v1
    s.v2 += s.v3
    s.v1 = _rotate(s.v1, 13) ^ s.v0
    s.v3 = _rotate(s.v3, 16) ^ s.v2
    s.v0 = _rotate(s.v0, 32)
    s.v2 += s.v1
    s.v0 += s.v3
    s.v1 = _rotate(s.v1, 17) ^ s.v2
    s.v3 = _rotate(s.v3, 21) ^ s.v0
    s.v2 = _rotate(s.v2, 32)


cdef inline void _compress(Sip* s, uint64_t word) noexcept nogil:
    s.v3 ^= word
    _round(s)
    _round(s)
    s.v0 ^= word


cdef inline uint64_t _tail(const uint8_t* data, uint32_t size) noexcept nogil:
    # 0 to 7 bytes as a little-endian word, without reading past them.
    cdef uint64_t word = 0
    cdef uint32_t four = 0
    cdef uint16_t two = 0
    cdef uint32_t taken = 0
    if size & 4:
        memcpy(&four, data, 4)
        word = four
        taken = 4
    if size & 2:
        memcpy(&two, data + taken, 2)
        word |= <uint64_t>two << (8 * taken)
        taken += 2
    if size & 1:
        word |= <uint64_t>data[taken] << (8 * taken)
    return word


cdef inline void sip_start(Sip* s, uint64_t key0, uint64_t key1) noexcept nogil:
    s.v0 = key0 ^ <uint64_t>0x736F6D6570736575
    s.v1 = key1 ^ <uint64_t>0x646F72616E646F6D
    s.v2 = key0 ^ <uint64_t>0x6C7967656E657261
    s.v3 = key1 ^ <uint64_t>0x7465646279746573
    s.pending = 0
    s.size = 0


cdef inline void sip_label(Sip* s, const uint8_t* label, uint32_t size) noexcept nogil:
    # `label` is its length byte and its lowercased bytes; any other bytes do as well, the hash is of the whole.
    cdef uint32_t fill = <uint32_t>(s.size & 7)
    cdef uint32_t shift = 8 * fill
    cdef uint64_t word
    s.size += size
    while size >= 8:
        memcpy(&word, label, 8)
        _compress(s, s.pending | (word << shift))
        # In two steps, since a shift by 64 is undefined.
        s.pending = (word >> 1) >> (63 - shift)
        label += 8
        size -= 8
    word = _tail(label, size)
    s.pending |= word << shift
    if fill + size >= 8:
        _compress(s, s.pending)
        s.pending = (word >> 1) >> (63 - shift)


cdef inline uint64_t sip_value(const Sip* s) noexcept nogil:
    # Of a copy: the state goes on to the next label.
    cdef Sip end = s[0]
    _compress(&end, end.pending | (end.size << 56))
    end.v2 ^= 0xFF
    _round(&end)
    _round(&end)
    _round(&end)
    _round(&end)
    return end.v0 ^ end.v1 ^ end.v2 ^ end.v3


cdef inline Sip sip_key(const char* key) noexcept nogil:
    # `key` is 16 bytes.
    cdef Sip state
    cdef uint64_t halves[2]
    memcpy(halves, key, 16)
    sip_start(&state, halves[0], halves[1])
    return state


cdef inline Py_ssize_t last_label(const char* name, Py_ssize_t end, uint8_t* label) noexcept nogil:
    # Copies the label that ends before `end`, lowercased, behind its length byte into 64 bytes; where it starts. -1
    # where it is not 1 to 63 bytes long, -2 where it is not ASCII.
    cdef Py_ssize_t start = end
    cdef Py_ssize_t i
    cdef uint8_t byte
    while start > 0 and name[start - 1] != c".":
        start -= 1
    if start == end or end - start > MAX_LABEL:
        return -1
    label[0] = <uint8_t>(end - start)
    for i in range(end - start):
        byte = <uint8_t>name[start + i]
        if byte >= 0x80:
            return -2
        label[1 + i] = byte + 32 if c"A" <= byte <= c"Z" else byte
    return start


cdef inline int compare_records(const void* left, const void* right) noexcept nogil:
    # The order of a release: by fingerprint, flags, category, order.
    cdef const Record* a = <const Record*>left
    cdef const Record* b = <const Record*>right
    if a.fingerprint != b.fingerprint:
        return -1 if a.fingerprint < b.fingerprint else 1
    if a.flags != b.flags:
        return -1 if a.flags < b.flags else 1
    if a.category != b.category:
        return -1 if a.category < b.category else 1
    if a.order != b.order:
        return -1 if a.order < b.order else 1
    return 0


cdef inline void prefetch(const Rules* r, uint64_t fingerprint) noexcept nogil:
    lachan_prefetch(&r.buckets[lachan_multiply_high(fingerprint, r.bucket_count)])


cdef inline const Rule* find(const Rules* r, uint64_t fingerprint) noexcept nogil:
    # The first rule of the name's set, which ends at RULE_LAST; NULL where the name has none.
    cdef uint64_t index = lachan_multiply_high(fingerprint, r.bucket_count)
    cdef const Bucket* bucket
    cdef uint32_t rule
    cdef int probe
    if r.bucket_count == 0:
        return NULL
    for probe in range(MAX_PROBES):
        bucket = &r.buckets[index]
        # Selected without branches: which slot matches cannot be predicted.
        rule = (
            (bucket.rule[0] & -<uint32_t>(bucket.fingerprint[0] == fingerprint))
            | (bucket.rule[1] & -<uint32_t>(bucket.fingerprint[1] == fingerprint))
            | (bucket.rule[2] & -<uint32_t>(bucket.fingerprint[2] == fingerprint))
            | (bucket.rule[3] & -<uint32_t>(bucket.fingerprint[3] == fingerprint))
            | (bucket.rule[4] & -<uint32_t>(bucket.fingerprint[4] == fingerprint))
        )
        if rule != 0:
            return &r.rules[rule] if rule < r.rule_count else NULL
        if not (bucket.flags & BUCKET_OVERFLOW):
            return NULL
        index += 1
        if index == r.bucket_count:
            index = 0
    return NULL


@cython.final
cdef class Snapshot:
    cdef Rules view
    cdef Py_buffer buffer
    cdef bint held
    cdef object _orders
    cdef int _open(self) except -1

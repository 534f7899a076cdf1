# cython: auto_pickle=False, autotestdict=False
"""What differs between two releases, record by record, and the new one made of the old one and that.

Holds always: both directions read each byte once and keep the order of a release; `apply` trusts no byte of a delta: a
section ends where it was announced to end, an index is below its count, what is written is exactly what was allotted,
which the counts announce and the caller has bounded. That the result is the right one is for its digest to say.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from blocklist_sync.artifact._snapshot cimport RECORD_BYTES, Record, compare_records

from blocklist_sync.artifact.errors import ArtifactError, DeltaError

cdef enum:
    KIND_BYTES = 6
    GONE = 0xFFFFFFFF
    VARINT_BYTES = 5

    FINE = 0
    WRONG_VARINT = 1
    WRONG_REMOVED = 2
    WRONG_FINGERPRINT = 3
    WRONG_KIND = 4
    WRONG_ORDER = 5
    NOT_SORTED = 6
    THERE_ALREADY = 7
    ORDER_GONE = 8
    LEFT_OVER = 9

REASONS = {
    WRONG_VARINT: "the number does not end, or is too large",
    WRONG_REMOVED: "no such record to remove",
    WRONG_FINGERPRINT: "the fingerprint is too large",
    WRONG_KIND: "no such kind",
    WRONG_ORDER: "no such order",
    NOT_SORTED: "the added records are not sorted",
    THERE_ALREADY: "the added record is there already",
    ORDER_GONE: "a record that stays has an order that goes",
    LEFT_OVER: "bytes after the last number",
}

cdef struct Buffer:
    char* data
    Py_ssize_t size
    Py_ssize_t room


cdef int _put(Buffer* out, const void* data, Py_ssize_t size) except -1 nogil:
    cdef Py_ssize_t room
    cdef char* grown
    if out.size + size > out.room:
        room = 2 * out.room + size + 256
        grown = <char*>realloc(out.data, room)
        if grown == NULL:
            with gil:
                raise MemoryError
        out.data = grown
        out.room = room
    memcpy(out.data + out.size, data, size)
    out.size += size
    return 0


cdef int _put_varint(Buffer* out, uint64_t value) except -1 nogil:
    # LEB128: seven bits a byte, the lowest first, the eighth bit where more follow.
    cdef uint8_t coded[10]
    cdef Py_ssize_t size = 0
    while value >= 0x80:
        coded[size] = <uint8_t>(value | 0x80)
        value >>= 7
        size += 1
    coded[size] = <uint8_t>value
    return _put(out, coded, size + 1)


cdef inline Record _mapped(const Record* record, const uint32_t* remap) noexcept nogil:
    cdef Record mapped = record[0]
    mapped.order = remap[mapped.order]
    return mapped


cdef const Record* _records(bytes data, Py_ssize_t offset, Py_ssize_t count) except? NULL:
    if offset < 0 or count < 0 or count > (PyBytes_GET_SIZE(data) - offset) // RECORD_BYTES:
        raise ArtifactError("the body has another size")
    return <const Record*>(PyBytes_AS_STRING(data) + offset)


cdef int _diff(const Record* old, Py_ssize_t old_count, const Record* new, Py_ssize_t new_count, const uint32_t* remap,
               Buffer* removed, Py_ssize_t* removed_count, Buffer* added) except -1 nogil:
    # Indices of the old records that are not among the new, as gaps; the new records that are not among the old.
    cdef Py_ssize_t i = 0, k = 0, last = -1
    cdef Record mapped
    cdef int order
    while i < old_count or k < new_count:
        if i == old_count:
            order = 1
        else:
            mapped = _mapped(&old[i], remap)
            # An order that is gone sorts nowhere any more.
            order = -1 if k == new_count or mapped.order == GONE else compare_records(&mapped, &new[k])
        if order < 0:
            _put_varint(removed, <uint64_t>(i - last - 1))
            removed_count[0] += 1
            last = i
            i += 1
        elif order > 0:
            _put(added, &new[k], RECORD_BYTES)
            k += 1
        else:
            i += 1
            k += 1
    return 0


def diff(bytes old not None, Py_ssize_t old_offset, Py_ssize_t old_count, bytes new not None, Py_ssize_t new_offset,
         Py_ssize_t new_count, bytes remap not None):
    """The edit that makes the new records of the old ones; the .pyi describes arguments and answer."""
    cdef const Record* old_records = _records(old, old_offset, old_count)
    cdef const Record* new_records = _records(new, new_offset, new_count)
    cdef const uint32_t* orders = <const uint32_t*>PyBytes_AS_STRING(remap)
    cdef Buffer removed, added, gaps, column
    cdef const Record* records
    cdef Py_ssize_t removed_count = 0, count, i, size = PyBytes_GET_SIZE(remap) // 4
    cdef uint64_t last = 0, gap, widest = 0
    cdef int width = 1
    removed.data = added.data = gaps.data = column.data = NULL
    removed.size = added.size = gaps.size = column.size = 0
    removed.room = added.room = gaps.room = column.room = 0
    for i in range(old_count):
        if old_records[i].order >= <uint64_t>size:
            raise ArtifactError("the old release has other orders")
    try:
        with nogil:
            _diff(old_records, old_count, new_records, new_count, orders, &removed, &removed_count, &added)
        records = <const Record*>added.data
        count = added.size // RECORD_BYTES
        distinct = set()
        for i in range(count):
            widest = max(widest, records[i].fingerprint - last)
            last = records[i].fingerprint
            if i == 0 or _kind(&records[i]) != _kind(&records[i - 1]):
                distinct.add((records[i].flags, records[i].category, records[i].order))
        while width < 8 and widest >> (8 * width):
            width += 1
        kinds = sorted(distinct)
        numbers = {
            flags | category << 8 | <uint64_t>order << 16: number for number, (flags, category, order) in enumerate(kinds)
        }
        last = 0
        for i in range(count):
            gap = records[i].fingerprint - last
            last = records[i].fingerprint
            _put(&gaps, &gap, width)
            if len(kinds) > 1:
                _put_varint(&column, numbers[_kind(&records[i])])
        return (
            removed_count, PyBytes_FromStringAndSize(removed.data, removed.size), count, width,
            b"".join([bytes((flags, category)) + order.to_bytes(4, "little") for flags, category, order in kinds]),
            PyBytes_FromStringAndSize(gaps.data, gaps.size), PyBytes_FromStringAndSize(column.data, column.size))
    finally:
        free(removed.data)
        free(added.data)
        free(gaps.data)
        free(column.data)


cdef inline uint64_t _kind(const Record* record) noexcept nogil:
    return record.flags | <uint64_t>record.category << 8 | <uint64_t>record.order << 16


cdef struct Reader:
    # A delta while it is read: three sections, each with its own place and end.
    const uint8_t* data
    const uint8_t* kinds
    uint32_t kind_count
    uint64_t orders
    Py_ssize_t removed_at
    Py_ssize_t removed_end
    Py_ssize_t removed_left
    Py_ssize_t count
    Py_ssize_t removed         # the next record of the old release to leave out, or `count`
    Py_ssize_t gap_at
    int width
    Py_ssize_t column_at
    Py_ssize_t end
    Py_ssize_t added_left
    bint adding
    Record added               # the next record to put in, while `adding`
    Py_ssize_t wrong_at


cdef int _varint(const uint8_t* data, Py_ssize_t* at, Py_ssize_t end, uint64_t* value) noexcept nogil:
    cdef int shift
    value[0] = 0
    for shift in range(0, 7 * VARINT_BYTES, 7):
        if at[0] == end:
            return WRONG_VARINT
        value[0] |= <uint64_t>(data[at[0]] & 0x7F) << shift
        at[0] += 1
        if not data[at[0] - 1] & 0x80:
            return FINE
    return WRONG_VARINT


cdef int _next_removed(Reader* r) noexcept nogil:
    # `removed` is the one before, or -1.
    cdef uint64_t gap = 0
    cdef int wrong
    r.wrong_at = r.removed_at
    if r.removed_left == 0:
        r.removed = r.count
        return FINE if r.removed_at == r.removed_end else LEFT_OVER
    wrong = _varint(r.data, &r.removed_at, r.removed_end, &gap)
    if wrong:
        return wrong
    r.removed_left -= 1
    # The gap has 35 bits at most, so this does not overflow.
    r.removed += 1 + <Py_ssize_t>gap
    # Room for those after it too: otherwise more would have been copied by then than is allotted.
    return FINE if r.removed < r.count - r.removed_left else WRONG_REMOVED


cdef int _next_added(Reader* r) noexcept nogil:
    cdef Record before = r.added
    cdef bint first = not r.adding
    cdef uint64_t gap = 0, kind = 0
    cdef int wrong
    r.wrong_at = r.column_at
    if r.added_left == 0:
        r.adding = False
        return FINE if r.column_at == r.end else LEFT_OVER
    if r.kind_count > 1:
        wrong = _varint(r.data, &r.column_at, r.end, &kind)
        if wrong:
            return wrong
    if kind >= r.kind_count:
        return WRONG_KIND
    r.wrong_at = r.gap_at
    memcpy(&gap, r.data + r.gap_at, r.width)
    r.gap_at += r.width
    r.added.fingerprint = gap if first else before.fingerprint + gap
    if r.added.fingerprint < gap:
        return WRONG_FINGERPRINT
    memcpy(&r.added.flags, r.kinds + KIND_BYTES * kind, KIND_BYTES)
    if r.added.order >= r.orders:
        return WRONG_ORDER
    if not first and compare_records(&before, &r.added) >= 0:
        return NOT_SORTED
    r.adding = True
    r.added_left -= 1
    return FINE


cdef Py_ssize_t _first_from(const Record* old, Py_ssize_t low, Py_ssize_t high, const uint32_t* remap,
                            const Record* wanted) noexcept nogil:
    # The first index in [low, high) whose record is not below `wanted`, or `high`; near ones are found soonest.
    cdef Py_ssize_t step = 1, top = low, middle
    cdef Record mapped
    while top < high:
        mapped = _mapped(&old[top], remap)
        if compare_records(&mapped, wanted) >= 0:
            break
        low = top + 1
        top = low + step
        step *= 2
    if top > high:
        top = high
    while low < top:
        middle = low + (top - low) // 2
        mapped = _mapped(&old[middle], remap)
        if compare_records(&mapped, wanted) < 0:
            low = middle + 1
        else:
            top = middle
    return low


cdef int _copy(const Record* old, Py_ssize_t low, Py_ssize_t high, const uint32_t* remap, bint same,
               Record** out) noexcept nogil:
    cdef Py_ssize_t i
    if same:
        memcpy(out[0], &old[low], (high - low) * RECORD_BYTES)
        out[0] += high - low
        return FINE
    for i in range(low, high):
        out[0][0] = _mapped(&old[i], remap)
        if out[0].order == GONE:
            return ORDER_GONE
        out[0] += 1
    return FINE


cdef int _merge(const Record* old, const uint32_t* remap, bint same, Reader* r, Record* out) noexcept nogil:
    cdef Py_ssize_t i = 0, stop
    cdef Record mapped
    cdef int wrong = _next_removed(r)
    if not wrong:
        wrong = _next_added(r)
    while not wrong:
        stop = _first_from(old, i, r.removed, remap, &r.added) if r.adding else r.removed
        wrong = _copy(old, i, stop, remap, same, &out)
        if wrong:
            break
        i = stop
        if i < r.removed or (i == r.count and r.adding):
            if i < r.removed:
                mapped = _mapped(&old[i], remap)
                if compare_records(&mapped, &r.added) == 0:
                    r.wrong_at = r.gap_at - r.width
                    return THERE_ALREADY
            out[0] = r.added
            out += 1
            wrong = _next_added(r)
        elif i == r.count:
            break
        else:
            i += 1
            wrong = _next_removed(r)
    return wrong


def apply(bytes old not None, Py_ssize_t offset, Py_ssize_t count, bytes remap not None, bytes prefix not None,
          uint64_t orders, bytes delta not None, *, Py_ssize_t kinds_at, uint32_t kinds, Py_ssize_t removed,
          Py_ssize_t removed_bytes, Py_ssize_t added, int width):
    """The new records behind `prefix`; the .pyi describes the arguments.

    Raises:
        DeltaError: A section is malformed, or does not fit the old records.
    """
    cdef const Record* records = _records(old, offset, count)
    cdef const uint32_t* indices = <const uint32_t*>PyBytes_AS_STRING(remap)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(delta), i, old_orders = PyBytes_GET_SIZE(remap) // 4
    cdef Py_ssize_t before = PyBytes_GET_SIZE(prefix)
    cdef Reader r
    cdef bint same = True
    cdef bytes data
    cdef Record* out
    cdef int wrong
    # Each section is bounded by what is left before it is multiplied.
    if not 0 <= kinds_at <= size or kinds > (size - kinds_at) // KIND_BYTES or not 1 <= width <= 8:
        raise DeltaError(kinds_at, "the kinds are not where they belong")
    r.removed_at = kinds_at + KIND_BYTES * <Py_ssize_t>kinds
    if not 0 <= removed <= min(count, removed_bytes) or removed_bytes > size - r.removed_at:
        raise DeltaError(r.removed_at, "the removed records are not where they belong")
    r.removed_end = r.gap_at = r.removed_at + removed_bytes
    if not 0 <= added <= (size - r.gap_at) // width:
        raise DeltaError(r.gap_at, "the added records are not where they belong")
    r.data = <const uint8_t*>PyBytes_AS_STRING(delta)
    r.kinds = r.data + kinds_at
    r.kind_count = kinds
    r.orders = orders
    r.removed_left = removed
    r.count = count
    r.removed = -1
    r.width = width
    r.column_at = r.gap_at + width * added
    r.end = size
    r.added_left = added
    r.adding = False
    r.added.fingerprint = r.added.flags = r.added.category = r.added.order = 0
    r.wrong_at = 0
    for i in range(old_orders):
        same = same and indices[i] == i
    for i in range(count):
        if records[i].order >= <uint64_t>old_orders:
            raise ArtifactError("the old release has other orders")
    data = PyBytes_FromStringAndSize(NULL, before + (count - removed + added) * RECORD_BYTES)
    memcpy(PyBytes_AS_STRING(data), PyBytes_AS_STRING(prefix), before)
    out = <Record*>(PyBytes_AS_STRING(data) + before)
    with nogil:
        wrong = _merge(records, indices, same, &r, out)
    if wrong:
        # A record that stays under an order that goes is the mistake of the section of orders, which ends here.
        raise DeltaError(kinds_at if wrong == ORDER_GONE else r.wrong_at, REASONS[wrong])
    return data

# cython: auto_pickle=False, autotestdict=False
"""From names to sorted records, in memory that is counted in bytes an entry, whatever the names are.

Holds always: an entry takes 20 bytes until it is a record (and 17 for each name above an excepted one), for a name is
kept as its fingerprint and a second hash of its text, never as itself; two texts with one fingerprint are found by that
second hash, 64 bits under the same secret key; the same entries give the same records in whatever order they came.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, qsort, realloc
from libc.string cimport memchr, memcpy

from blocklist_sync.artifact._snapshot cimport (
    CATEGORIES, MAX_NAME, RECORD_BYTES, RULE_EXCEPTION, RULE_EXCEPTION_BELOW, RULE_SUBTREE, Record, Sip, compare_records,
    last_label, sip_key, sip_label, sip_value)

from blocklist_sync.artifact.errors import ArtifactError, FingerprintCollisionError

cdef enum:
    FIRST_ROOM = 4096
    FEW = 24
    # Entries, repeated ones included: twice what a release may hold.
    MOST = 32_000_000
    # What starts the text's hash: as a length of a label there is no such thing, so no name's fingerprint is its text's.
    TEXT = 0xFF

cdef packed struct Item:
    uint64_t fingerprint
    uint64_t text
    uint32_t kind

cdef packed struct Above:
    # A proper ancestor of an excepted name.
    uint64_t fingerprint
    uint64_t text
    uint8_t category


cdef uint64_t _text(Sip state, const char* name, Py_ssize_t size) noexcept nogil:
    cdef uint8_t start = TEXT
    sip_label(&state, &start, 1)
    sip_label(&state, <const uint8_t*>name, <uint32_t>size)
    return sip_value(&state)


cdef int _compare_above(const void* left, const void* right) noexcept nogil:
    cdef const Above* a = <const Above*>left
    cdef const Above* b = <const Above*>right
    if a.fingerprint != b.fingerprint:
        return -1 if a.fingerprint < b.fingerprint else 1
    if a.text != b.text:
        return -1 if a.text < b.text else 1
    return <int>a.category - <int>b.category


cdef void _sort(Item* items, Py_ssize_t count, int shift) noexcept nogil:
    # In place, by fingerprint: the byte at `shift` and those below it; the bytes above are equal. The C library's own
    # sort would take as much memory again.
    cdef Py_ssize_t starts[257]
    cdef Py_ssize_t ends[256]
    cdef Py_ssize_t i, k
    cdef uint8_t digit
    cdef Item moved, other
    if count <= FEW:
        for i in range(1, count):
            moved = items[i]
            k = i
            while k > 0 and items[k - 1].fingerprint > moved.fingerprint:
                items[k] = items[k - 1]
                k -= 1
            items[k] = moved
        return
    for i in range(257):
        starts[i] = 0
    for i in range(count):
        starts[1 + ((items[i].fingerprint >> shift) & 0xFF)] += 1
    for i in range(256):
        starts[i + 1] += starts[i]
        ends[i] = starts[i]
    for i in range(256):
        while ends[i] < starts[i + 1]:
            moved = items[ends[i]]
            digit = (moved.fingerprint >> shift) & 0xFF
            while digit != i:
                other = items[ends[digit]]
                items[ends[digit]] = moved
                ends[digit] += 1
                moved = other
                digit = (moved.fingerprint >> shift) & 0xFF
            items[ends[i]] = moved
            ends[i] += 1
    if shift:
        for i in range(256):
            if starts[i + 1] - starts[i] > 1:
                _sort(items + starts[i], starts[i + 1] - starts[i], shift - 8)


@cython.final
cdef class Packer:
    """Takes a list name by name, sorts it once, and writes its records behind what belongs before them."""

    cdef Sip _state
    cdef Item* _items
    cdef Py_ssize_t _count, _room
    cdef Above* _above
    cdef Py_ssize_t _above_count, _above_room
    cdef uint8_t* _flags
    cdef uint8_t* _categories
    cdef uint8_t* _used
    cdef Py_ssize_t _kinds, _kind_room
    cdef bint _sorted

    def __cinit__(self, bytes key not None):
        if PyBytes_GET_SIZE(key) != 16:
            raise ArtifactError("a fingerprint key is 16 bytes")
        self._state = sip_key(PyBytes_AS_STRING(key))

    def __dealloc__(self):
        free(self._items)
        free(self._above)
        free(self._flags)
        free(self._categories)
        free(self._used)

    def __len__(self):
        return self._count

    def kind(self, uint8_t flags, uint8_t category):
        """The number of a further kind of entry.

        Raises:
            ArtifactError: Flags or category are none.
        """
        cdef Py_ssize_t room
        if flags & ~(RULE_SUBTREE | RULE_EXCEPTION) or not 0 < category <= CATEGORIES:
            raise ArtifactError(f"no kind of entry has flags {flags:#04x} and category {category}")
        if self._kinds == self._kind_room:
            room = max(64, 2 * self._kind_room)
            self._flags = <uint8_t*>_grown(self._flags, room, 1)
            self._categories = <uint8_t*>_grown(self._categories, room, 1)
            self._used = <uint8_t*>_grown(self._used, room, 1)
            self._kind_room = room
        self._flags[self._kinds] = flags
        self._categories[self._kinds] = category
        self._used[self._kinds] = 0
        self._kinds += 1
        return self._kinds - 1

    def used(self):
        """The kinds that an entry has."""
        cdef Py_ssize_t i
        return [i for i in range(self._kinds) if self._used[i]]

    def add(self, str name not None, Py_ssize_t kind):
        """Adds an entry.

        Raises:
            ArtifactError: The name cannot be put on the wire, or there is no such kind.
        """
        cdef Py_ssize_t size = 0
        cdef const char* data = PyUnicode_AsUTF8AndSize(name, &size)
        self._add(data, size, kind)

    def add_lines(self, bytes lines not None, list kinds not None):
        """Adds an entry for each line: a name, a tab, an index into `kinds`, and whatever a further tab begins.

        Returns:
            How many lines there are.

        Raises:
            ArtifactError: A line is malformed; it is named by its number, from 1.
        """
        cdef const char* at = PyBytes_AS_STRING(lines)
        cdef const char* stop = at + PyBytes_GET_SIZE(lines)
        cdef const char* end
        cdef const char* tab
        cdef Py_ssize_t line = 0, number, most = len(kinds)
        while at < stop:
            line += 1
            end = <const char*>memchr(at, c"\n", stop - at)
            tab = <const char*>memchr(at, c"\t", (stop if end == NULL else end) - at)
            if end == NULL or tab == NULL:
                raise ArtifactError(f"line {line}: not a name, a tab and a kind")
            number = 0
            tab += 1
            if not c"0" <= tab[0] <= c"9":
                raise ArtifactError(f"line {line}: no kind")
            while c"0" <= tab[0] <= c"9" and number < most:
                number = 10 * number + (tab[0] - c"0")
                tab += 1
            if number >= most or tab[0] not in b"\t\n":
                raise ArtifactError(f"line {line}: no kind")
            try:
                self._add(at, <const char*>memchr(at, c"\t", end - at) - at, kinds[number])
            except ArtifactError as error:
                raise ArtifactError(f"line {line}: {error}") from error
            at = end + 1
        return line

    cdef int _add(self, const char* name, Py_ssize_t size, Py_ssize_t kind) except -1:
        cdef uint8_t label[64]
        cdef Sip state = self._state
        cdef Py_ssize_t at = size + 1
        cdef Item* item
        cdef Above* above
        if not 0 <= kind < self._kinds:
            raise ArtifactError(f"no kind {kind}")
        if self._sorted:
            raise ArtifactError("the list is sorted already")
        if size > MAX_NAME:
            raise ArtifactError("a name is at most 253 bytes")
        if self._count == MOST:
            raise ArtifactError(f"more than {MOST} entries")
        if self._count == self._room:
            self._items = <Item*>_grown(self._items, max(FIRST_ROOM, 2 * self._room), sizeof(Item))
            self._room = max(FIRST_ROOM, 2 * self._room)
        while at > 0:
            at = last_label(name, at - 1, label)
            if at < 0:
                raise ArtifactError("a name in A-labels is ASCII" if at == -2 else "a label is 1 to 63 bytes")
            sip_label(&state, label, 1 + label[0])
            if at > 0 and self._flags[kind] & RULE_EXCEPTION:
                if self._above_count == self._above_room:
                    self._more_above()
                above = &self._above[self._above_count]
                above.fingerprint = sip_value(&state)
                above.text = _text(self._state, name + at, size - at)
                above.category = self._categories[kind]
                self._above_count += 1
        item = &self._items[self._count]
        item.fingerprint = sip_value(&state)
        item.text = _text(self._state, name, size)
        item.kind = <uint32_t>kind
        self._used[kind] = 1
        self._count += 1
        return 0

    cdef int _more_above(self) except -1:
        # Excepted names have the same ones above them over and over: room is made only where they are distinct.
        self._tidy()
        if self._above_count >= self._above_room // 2:
            self._above = <Above*>_grown(self._above, max(FIRST_ROOM, 2 * self._above_room), sizeof(Above))
            self._above_room = max(FIRST_ROOM, 2 * self._above_room)
        return 0

    cdef void _tidy(self) noexcept nogil:
        # Sorts the ancestors, and drops what is repeated.
        cdef Py_ssize_t i, kept = 0
        if self._above_count == 0:
            return
        qsort(self._above, self._above_count, sizeof(Above), _compare_above)
        for i in range(self._above_count):
            if kept == 0 or _compare_above(&self._above[i], &self._above[kept - 1]):
                self._above[kept] = self._above[i]
                kept += 1
        self._above_count = kept

    def sort(self, bytes orders not None):
        """Sorts the entries into records, each once.

        Returns:
            How many records there are, and of how many names.

        Raises:
            FingerprintCollisionError: Two names have one fingerprint under this key.
        """
        cdef const uint32_t* indices = <const uint32_t*>PyBytes_AS_STRING(orders)
        cdef Py_ssize_t names = 0
        cdef bint clash
        if self._sorted or PyBytes_GET_SIZE(orders) != 4 * self._kinds:
            raise ArtifactError("a list is sorted once, with an order index for each kind")
        self._sorted = True
        with nogil:
            _sort(self._items, self._count, 56)
            self._tidy()
            clash = self._merge(indices, &names)
        if clash:
            raise FingerprintCollisionError("two names have one fingerprint under this key")
        if self._count:
            self._items = <Item*>_grown(self._items, self._count, RECORD_BYTES)
        return self._count, names

    cdef bint _merge(self, const uint32_t* orders, Py_ssize_t* names) noexcept nogil:
        # Turns sorted items into sorted records at the front of their own memory; whether two names collide.
        cdef Item* items = self._items
        cdef char* out = <char*>self._items
        cdef Py_ssize_t i = 0, end, k, kept = 0, above = 0
        cdef Record record
        while i < self._count:
            end = i + 1
            while end < self._count and items[end].fingerprint == items[i].fingerprint:
                if items[end].text != items[i].text:
                    return True
                end += 1
            names[0] += 1
            while above < self._above_count and self._above[above].fingerprint < items[i].fingerprint:
                above += 1
            for k in range(i, end):
                # A record is shorter than the item it stands in for, so it overwrites nothing that is still to be read.
                self._record(&items[k], above, orders, &record)
                memcpy(&items[k], &record, RECORD_BYTES)
            if end - i > 1:
                qsort(&items[i], end - i, sizeof(Item), compare_records)
            for k in range(i, end):
                if k == i or compare_records(&items[k], out + (kept - 1) * RECORD_BYTES):
                    memcpy(&record, &items[k], RECORD_BYTES)
                    memcpy(out + kept * RECORD_BYTES, &record, RECORD_BYTES)
                    kept += 1
            i = end
        self._count = kept
        return False

    cdef void _record(self, const Item* item, Py_ssize_t above, const uint32_t* orders, Record* record) noexcept nogil:
        # `above` is the first ancestor of an exception that may have the item's fingerprint.
        cdef uint8_t category = self._categories[item.kind]
        record.fingerprint = item.fingerprint
        record.flags = self._flags[item.kind]
        record.category = category
        memcpy(&record.order, &orders[item.kind], 4)
        if record.flags & (RULE_SUBTREE | RULE_EXCEPTION) != RULE_SUBTREE:
            return
        while above < self._above_count and self._above[above].fingerprint == item.fingerprint:
            if self._above[above].text == item.text and self._above[above].category == category:
                record.flags |= RULE_EXCEPTION_BELOW
                return
            above += 1

    def release(self, bytes prefix not None):
        """The sorted records behind `prefix`; the packer keeps them."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(prefix)
        cdef bytes data
        if not self._sorted:
            raise ArtifactError("the list is not sorted yet")
        data = PyBytes_FromStringAndSize(NULL, size + self._count * RECORD_BYTES)
        memcpy(PyBytes_AS_STRING(data), PyBytes_AS_STRING(prefix), size)
        if self._count:
            memcpy(PyBytes_AS_STRING(data) + size, self._items, self._count * RECORD_BYTES)
        return data


cdef void* _grown(void* memory, Py_ssize_t count, size_t size) except NULL:
    # What was there, in a larger place; the kernel moves large ones without copying them.
    cdef void* grown = realloc(memory, count * size)
    if grown == NULL:
        raise MemoryError
    return grown

"""Whether an upstream's answer speaks of what it was asked.

Holds always: a record of the answer section is taken only where its owner is the question's name or a name that an alias in
the same section leads to from there (RFC 2181 5.4.1): what else an upstream says there, nobody asked for.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from resolver._hot.cursor cimport NAME_MAX, Cursor, get16, read_name, skip, skip_name
from resolver._hot.wire cimport HEADER, RECORDS_MAX, TYPE_CNAME, TYPE_DNAME, TYPE_RRSIG, Query

cdef enum:
    LINKS_MAX = 64


cdef inline bint ends_with(const uint8_t *name, uint32_t size, const uint8_t *end, uint32_t end_size) noexcept nogil:
    """Whether a name in wire form is `end` or below it."""
    cdef uint32_t at = 0
    while at + end_size < size:
        at += name[at] + 1
    return at + end_size == size and memcmp(name + at, end, end_size) == 0


cdef bint in_chain(const uint8_t *packet, uint32_t size, const Query *query) noexcept nogil:
    """Whether every record of the answer section belongs to the chain that begins at the question's name.

    The packet has been walked by `read_response`; `query` is the question it answers. DNAME records stand above the names
    that they redirect, and so do their signatures.
    """
    cdef Cursor cursor
    cdef uint64_t taken[8]          # RECORDS_MAX bits
    cdef uint8_t name[256]
    cdef uint8_t next[256]
    cdef uint8_t owner[256]
    cdef uint32_t name_size = query.name_size, links = 0, i, count = get16(packet + 6), left = count
    cdef int next_size, owner_size, end_size
    cdef uint16_t rtype
    cdef bint same
    cdef Cursor data
    if count > RECORDS_MAX:
        return False
    for i in range(8):
        taken[i] = 0
    memcpy(name, query.name, name_size)
    while left and links < LINKS_MAX:
        next_size = 0
        cursor.data = packet
        cursor.size = size
        cursor.at = HEADER
        if not skip_name(&cursor) or not skip(&cursor, 4):
            return False
        for i in range(count):
            # Nearly every owner is a pointer to the question.
            if links == 0 and cursor.size - cursor.at > 12 and get16(packet + cursor.at) == (0xC000 | HEADER):
                cursor.at += 2
                same = True
                owner_size = <int>name_size
            else:
                owner_size = read_name(&cursor, owner)
                if owner_size < 0:
                    return False
                same = <uint32_t>owner_size == name_size and memcmp(owner, name, name_size) == 0
            if cursor.size - cursor.at < 10:
                return False
            rtype = get16(packet + cursor.at)
            if same or (
                    (rtype == TYPE_DNAME or (rtype == TYPE_RRSIG and cursor.size - cursor.at >= 12 and get16(packet + cursor.at + 10) == TYPE_DNAME))
                    and ends_with(name, name_size, owner, owner_size)):
                if not (taken[i >> 6] >> (i & 63)) & 1:
                    taken[i >> 6] |= <uint64_t>1 << (i & 63)
                    left -= 1
                data = cursor
                data.at += 10
                if same and rtype == TYPE_CNAME:
                    next_size = read_name(&data, next)
                    if next_size < 0:
                        return False
                elif rtype == TYPE_DNAME and not same and next_size == 0:
                    # The CNAME that is made from it may be missing: it leads there all the same.
                    end_size = read_name(&data, owner)
                    if end_size < 0:
                        return False
                    if name_size - owner_size + end_size <= NAME_MAX:
                        next_size = <int>name_size - owner_size + end_size
                        memcpy(next, name, name_size - owner_size)
                        memcpy(next + name_size - owner_size, owner, end_size)
            if not skip(&cursor, 10 + <uint32_t>get16(packet + cursor.at + 8)):
                return False
        if next_size == 0:
            break
        memcpy(name, next, next_size)
        name_size = <uint32_t>next_size
        links += 1
    return left == 0

"""Answers to names that are made another's alias here (SafeSearch, the operator's own CNAME).

Holds always: such an answer is the alias and whatever the target's own answer says, its RCODE too (RFC 6604), written
anew for the question that was asked; it never carries AD, since nobody signed the alias.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy

from resolver._hot.answers cimport write_truncated
from resolver._hot.cursor cimport Cursor, get16, holds, put16, put32, read_name, skip, skip_name
from resolver._hot.wire cimport (
    CLASS_IN, EDE_NONE, HEADER, NOERROR, OPT_BYTES, OPTION_EDE, SERVFAIL, TC, TYPE_CNAME, TYPE_DNAME, TYPE_OPT, TYPE_SOA, Query,
    split_labels, write_error, write_opt, write_start)

cdef enum:
    TYPE_NS = 2
    TYPE_MD = 3
    TYPE_MF = 4
    TYPE_MB = 7
    TYPE_MG = 8
    TYPE_MR = 9
    TYPE_PTR = 12
    TYPE_MINFO = 14
    TYPE_MX = 15
    TYPE_RP = 17
    TYPE_AFSDB = 18
    TYPE_RT = 21
    TYPE_SRV = 33
    EDE_BYTES = 6


cdef void ask_target(Query *target, uint8_t *packet, const Query *query, const uint8_t *name, uint32_t size) noexcept nogil:
    """Makes the same question of another name (in wire form) in `packet`, which holds 271 bytes and is kept by `target`."""
    memcpy(packet, query.packet, HEADER)
    memcpy(packet + HEADER, name, size)
    memcpy(packet + HEADER + size, query.packet + query.question_end - 4, 4)
    memcpy(target, query, sizeof(Query))
    target.packet = packet
    target.size = HEADER + size + 4
    target.question_end = <uint16_t>target.size
    target.name_size = <uint8_t>size
    memcpy(target.name, name, size)
    split_labels(target.name, size, target.label_at, &target.labels)


cdef uint32_t write_alias(uint8_t *out, uint32_t limit, const Query *query, const uint8_t *target, uint32_t target_size,
                          uint32_t ttl, const uint8_t *said, uint32_t size) noexcept nogil:
    """The alias from the question's name to `target`, and what the target's answer says; truncated beyond `limit`.

    `said` is an answer of ours to the same question of the target, or NULL where the alias alone is asked for. Needs
    max(limit, 512) bytes.
    """
    cdef Cursor cursor
    cdef uint32_t at = write_start(out, query, 0, NOERROR), owner, section, count
    cdef uint16_t ede = EDE_NONE
    cdef int step
    if at + 12 + target_size + OPT_BYTES > limit:
        return write_truncated(out, query)
    put16(out + 6, 1)
    put16(out + at, 0xC000 | HEADER)
    put16(out + at + 2, TYPE_CNAME)
    put16(out + at + 4, CLASS_IN)
    put32(out + at + 6, ttl)
    put16(out + at + 10, target_size)
    owner = at + 12
    memcpy(out + owner, target, target_size)
    at = owner + target_size
    if said == NULL:
        return write_opt(out, at, query, NOERROR, EDE_NONE)
    if get16(said + 2) & TC:
        return write_truncated(out, query)
    out[3] |= said[3] & 15
    cursor.data = said
    cursor.size = size
    cursor.at = HEADER
    if not skip_name(&cursor) or not skip(&cursor, 4):
        return write_error(out, query, SERVFAIL, EDE_NONE)
    for section in range(3):
        count = get16(said + 6 + 2 * section)
        while count:
            count -= 1
            step = copy_record(&cursor, out, &at, limit, target, target_size, owner, &ede)
            if step == COPY_NO_ROOM:
                return write_truncated(out, query)
            if step == COPY_MALFORMED:
                return write_error(out, query, SERVFAIL, EDE_NONE)
            if step == COPY_DONE:
                put16(out + 6 + 2 * section, get16(out + 6 + 2 * section) + 1)
    if query.edns and at + OPT_BYTES + (0 if ede == EDE_NONE else EDE_BYTES) > limit:
        return write_truncated(out, query)
    return write_opt(out, at, query, NOERROR, ede)


cdef enum:
    COPY_DONE = 0
    COPY_LEFT_OUT = 1           # OPT: every hop has its own
    COPY_NO_ROOM = 2
    COPY_MALFORMED = 3


cdef int copy_record(Cursor *cursor, uint8_t *out, uint32_t *end, uint32_t limit, const uint8_t *target,
                     uint32_t target_size, uint32_t target_at, uint16_t *ede) noexcept nogil:
    """Copies the record at the cursor to `end`, its names in full: what they pointed to stands elsewhere now."""
    cdef uint8_t name[256]
    cdef int size = read_name(cursor, name)
    cdef uint32_t at = end[0], begin, data, stop, ahead = 0, names = 0
    cdef uint16_t rtype
    if size < 0 or not holds(cursor, 10) or cursor.size - cursor.at - 10 < get16(cursor.data + cursor.at + 8):
        return COPY_MALFORMED
    rtype = get16(cursor.data + cursor.at)
    stop = cursor.at + 10 + get16(cursor.data + cursor.at + 8)
    if rtype == TYPE_OPT:
        if stop - cursor.at >= 16 and get16(cursor.data + cursor.at + 10) == OPTION_EDE:
            ede[0] = get16(cursor.data + cursor.at + 14)
        cursor.at = stop
        return COPY_LEFT_OUT
    if <uint32_t>size == target_size and memcmp(name, target, size) == 0:
        put16(name, 0xC000 | target_at)
        size = 2
    if at + size + 10 > limit:
        return COPY_NO_ROOM
    memcpy(out + at, name, size)
    memcpy(out + at + size, cursor.data + cursor.at, 8)
    begin = at + size + 8
    at = begin + 2
    cursor.at += 10
    # Types whose data may hold compressed names: those of RFC 1035, and those that senders compress all the same
    # (RFC 3597 4).
    if (rtype == TYPE_CNAME or rtype == TYPE_NS or rtype == TYPE_PTR or rtype == TYPE_DNAME or rtype == TYPE_MD
            or rtype == TYPE_MF or rtype == TYPE_MB or rtype == TYPE_MG or rtype == TYPE_MR):
        names = 1
    elif rtype == TYPE_SOA or rtype == TYPE_MINFO or rtype == TYPE_RP:
        names = 2
    elif rtype == TYPE_MX or rtype == TYPE_AFSDB or rtype == TYPE_RT:
        names = 1
        ahead = 2
    elif rtype == TYPE_SRV:
        names = 1
        ahead = 6
    if stop - cursor.at < ahead:
        return COPY_MALFORMED
    if at + ahead > limit:
        return COPY_NO_ROOM
    memcpy(out + at, cursor.data + cursor.at, ahead)
    at += ahead
    cursor.at += ahead
    while names:
        names -= 1
        size = read_name(cursor, name)
        if size < 0 or cursor.at > stop:
            return COPY_MALFORMED
        if at + size > limit:
            return COPY_NO_ROOM
        memcpy(out + at, name, size)
        at += size
    data = stop - cursor.at
    if at + data > limit:
        return COPY_NO_ROOM
    memcpy(out + at, cursor.data + cursor.at, data)
    at += data
    cursor.at = stop
    put16(out + begin, at - begin - 2)
    end[0] = at
    return COPY_DONE

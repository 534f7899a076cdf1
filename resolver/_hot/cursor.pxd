# The one reader of bytes that came from outside. Invariant: at <= size; every step checks before it reads and
# answers False (or -1) where the packet ends early or lies, leaving the cursor unusable.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    NAME_MAX = 255
    LABEL_MAX = 63
    LABELS_MAX = 127
    POINTER_HOPS_MAX = 32

cdef struct Cursor:
    const uint8_t *data
    uint32_t size
    uint32_t at


cdef inline uint16_t get16(const uint8_t *at) noexcept nogil:
    return <uint16_t>((at[0] << 8) | at[1])


cdef inline uint32_t get32(const uint8_t *at) noexcept nogil:
    return (<uint32_t>at[0] << 24) | (<uint32_t>at[1] << 16) | (<uint32_t>at[2] << 8) | at[3]


cdef inline void put16(uint8_t *at, uint32_t value) noexcept nogil:
    at[0] = <uint8_t>(value >> 8)
    at[1] = <uint8_t>value


cdef inline void put32(uint8_t *at, uint32_t value) noexcept nogil:
    put16(at, value >> 16)
    put16(at + 2, value)


cdef inline uint8_t lowered(uint8_t byte) noexcept nogil:
    # Branch-free: sets bit 5 for A to Z alone.
    return byte | (<uint8_t>(<uint8_t>(byte - 65) < 26) << 5)


cdef inline bint holds(const Cursor *cursor, uint32_t count) noexcept nogil:
    return count <= cursor.size - cursor.at


cdef inline bint skip(Cursor *cursor, uint32_t count) noexcept nogil:
    if not holds(cursor, count):
        return False
    cursor.at += count
    return True


cdef inline bint skip_name(Cursor *cursor) noexcept nogil:
    # Past a name as it stands, compressed or not; where a pointer leads is not looked at.
    cdef uint8_t size
    cdef uint32_t total = 0
    while holds(cursor, 1):
        size = cursor.data[cursor.at]
        if size >= 0xC0:
            return skip(cursor, 2)
        if size > LABEL_MAX:
            return False
        total += size + 1
        if total > NAME_MAX or not skip(cursor, size + 1):
            return False
        if size == 0:
            return True
    return False


cdef inline int read_name(Cursor *cursor, uint8_t *name) noexcept nogil:
    # The name at the cursor in wire form, lowercased and uncompressed, into name[255]; its size, or -1. Pointers must
    # lead strictly backwards (RFC 1035 4.1.4), so that a loop cannot be written.
    cdef uint32_t at = cursor.at, end = 0, floor = cursor.at, total = 0, hops = 0, target
    cdef uint8_t size
    cdef uint32_t i
    while True:
        if at >= cursor.size:
            return -1
        size = cursor.data[at]
        if size >= 0xC0:
            if cursor.size - at < 2:
                return -1
            target = get16(cursor.data + at) & 0x3FFF
            if end == 0:
                end = at + 2
            hops += 1
            if target >= floor or hops > POINTER_HOPS_MAX:
                return -1
            at = floor = target
            continue
        if size > LABEL_MAX or total + size + 1 > NAME_MAX or cursor.size - at < <uint32_t>size + 1:
            return -1
        name[total] = size
        for i in range(1, size + 1):
            name[total + i] = lowered(cursor.data[at + i])
        total += size + 1
        at += size + 1
        if size == 0:
            cursor.at = end if end else at
            return <int>total

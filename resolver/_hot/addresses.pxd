# Addresses that a public name has no business to carry: those of the asker's own network, or of the asker.
#
# Holds always: no byte outside `length` is read; what cannot be read whole counts as private, since some client may read
# it otherwise.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from resolver._hot.cursor cimport get16, get32

cdef enum:
    HINT_IPV4 = 4               # SvcParamKeys of RFC 9460 7.3
    HINT_IPV6 = 6


cdef inline bint private4(uint32_t address) noexcept nogil:
    # RFC 1918, 6598 (shared, 100.64/10), loopback, link-local, and "this network", which reaches the asker as well.
    cdef uint32_t first = address >> 24
    return (
        first == 10 or first == 127 or first == 0 or address >> 16 == 0xC0A8 or address >> 20 == 0xAC1
        or address >> 22 == 0x191 or address >> 16 == 0xA9FE)


cdef inline bint private6(const uint8_t *address) noexcept nogil:
    # ULA (RFC 4193), link- and site-local; IPv4 within ::/96 (with it :: and ::1), ::ffff:0:0/96, the well-known prefix of
    # NAT64 (RFC 6052) and 6to4 (RFC 3056), where that is private.
    cdef uint32_t first = get32(address)
    if address[0] & 0xFE == 0xFC or (address[0] == 0xFE and address[1] & 0x80):
        return True
    if first >> 16 == 0x2002:
        return private4(get32(address + 2))
    if first == 0x0064FF9B or first == 0:
        if get32(address + 4) == 0 and (get32(address + 8) == 0 or (first == 0 and get32(address + 8) == 0xFFFF)):
            return private4(get32(address + 12))
    return False


cdef inline bint private_hints(const uint8_t *data, uint32_t length) noexcept nogil:
    # Of SVCB and HTTPS (RFC 9460 2.2): priority, target, parameters. A target is never compressed there.
    cdef uint32_t at = 2, size, i
    cdef uint16_t key
    while at < length and data[at]:
        # A pointer or a label beyond its bound: no name that the standard knows.
        if data[at] > 63:
            return True
        at += data[at] + 1
    at += 1
    while at < length:
        if length - at < 4:
            return True
        key = get16(data + at)
        size = get16(data + at + 2)
        at += 4
        if length - at < size:
            return True
        if key == HINT_IPV4:
            if size & 3:
                return True
            for i in range(size // 4):
                if private4(get32(data + at + 4 * i)):
                    return True
        elif key == HINT_IPV6:
            if size & 15:
                return True
            for i in range(size // 16):
                if private6(data + at + 16 * i):
                    return True
        at += size
    return at > length

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from resolver._hot.cursor cimport put32
from resolver._hot.wire cimport Query

cdef enum:
    COOKIE_OPTION_BYTES = 28    # code, length, client cookie, server cookie of version 1
    CLIENT_COOKIE = 8
    SERVER_COOKIE = 16
    COOKIE_SECRETS_MAX = 3
    BADCOOKIE = 23

cdef enum Cookie:
    COOKIE_NONE = 0             # the query carries no cookie
    COOKIE_CLIENT = 1           # a client cookie alone: its source may be forged
    COOKIE_VALID = 2            # made here not long ago: its source is real
    COOKIE_RENEW = 3            # the same, but due for a new one
    COOKIE_BAD = 4              # not made here, for another address, or too old; its source may be forged

cdef struct Secret:
    uint64_t key0, key1

cdef class Cookies:
    cdef Secret secrets[3]
    cdef uint32_t secret_count
    cdef int check(self, const Query *query, const uint8_t *address, uint32_t address_size, int64_t now) noexcept nogil
    cdef uint32_t write(self, uint8_t *out, uint32_t at, const Query *query, int checked, const uint8_t *address,
                        uint32_t address_size, int64_t now) noexcept nogil
    cdef uint32_t answer_bare(self, uint8_t *out, const uint8_t *packet, uint32_t size, const uint8_t *address,
                              uint32_t address_size, int64_t now) noexcept nogil


cdef inline bint source_proven(int checked) noexcept nogil:
    return checked == COOKIE_VALID or checked == COOKIE_RENEW


cdef inline uint32_t address_bytes(uint64_t high, uint64_t low, uint8_t *address) noexcept nogil:
    # What a cookie is bound to: 4 bytes of an IPv4 address (mapped), 16 of any other. Needs 16 bytes; their count.
    put32(address + 8, <uint32_t>(low >> 32))
    put32(address + 12, <uint32_t>low)
    if high == 0 and low >> 32 == 0xFFFF:
        put32(address, <uint32_t>low)
        return 4
    put32(address, <uint32_t>(high >> 32))
    put32(address + 4, <uint32_t>high)
    return 16

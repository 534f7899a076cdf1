# Questions in random case (draft-vixie-dnsext-dns0x20): eight octets at a time, without a branch on any.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef inline uint64_t load_word(const uint8_t *at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


cdef inline uint64_t beginning(uint64_t word, uint32_t count) noexcept nogil:
    # The first octets of a word in memory, up to eight (little-endian, as all we run on).
    return word if count >= 8 else word & ((<uint64_t>1 << 8 * count) - 1)


cdef inline uint64_t capitals(uint64_t word, uint64_t bits) noexcept nogil:
    # Of eight lowercased octets at a time, the bits that make some letters capitals: which ones, eight of the bits say;
    # whoever goes on to the next octets turns them by one. Octets of labels' sizes and beyond ASCII are no letters.
    cdef uint64_t seven = word & <uint64_t>0x7F7F7F7F7F7F7F7F
    cdef uint64_t letters = ((seven + <uint64_t>0x1F1F1F1F1F1F1F1F) & ~(seven + <uint64_t>0x0505050505050505) & ~word
                             & <uint64_t>0x8080808080808080)
    return (letters >> 2) & bits


cdef inline uint64_t turned(uint64_t bits) noexcept nogil:
    return bits << 1 | bits >> 63

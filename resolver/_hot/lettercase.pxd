# Questions in random case (draft-vixie-dnsext-dns0x20): eight octets at a time, without a branch on any.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef inline uint64_t load_word(const uint8_t *at, uint32_t size) noexcept nogil:
    cdef uint64_t word = 0
    if size >= 8:
        memcpy(&word, at, 8)
    else:
        memcpy(&word, at, size)
    return word


cdef inline uint64_t capitals(uint64_t word, uint64_t bits, uint32_t turn) noexcept nogil:
    # Of eight lowercased octets at a time, the bits that make some letters capitals: which ones, `bits` says, another
    # eight of its 64 for each turn. Octets of labels' sizes and beyond ASCII are no letters.
    cdef uint64_t seven = word & <uint64_t>0x7F7F7F7F7F7F7F7F
    cdef uint64_t letters = ((seven + <uint64_t>0x1F1F1F1F1F1F1F1F) & ~(seven + <uint64_t>0x0505050505050505) & ~word
                             & <uint64_t>0x8080808080808080)
    return (letters >> 2) & (bits << turn | bits >> ((64 - turn) & 63))

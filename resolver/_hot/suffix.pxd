# A rolling hash over a name's labels from the root down, for tables whose contents we chose ourselves. What it finds is
# compared in full, or a collision is harmless. Never for tables that clients fill: those use SipHash.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from blocklist_sync.artifact._snapshot cimport _tail, lachan_multiply_high


cdef inline uint64_t suffix_mix(uint64_t a, uint64_t b) noexcept nogil:
    return (a * b) ^ lachan_multiply_high(a, b)


cdef inline uint64_t suffix_label(uint64_t hash, const uint8_t *label) noexcept nogil:
    # `label` is its length byte and its lowercased bytes, which stand in a name: its end byte follows.
    cdef uint32_t size = <uint32_t>label[0] + 1
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, label, 8)
        hash = suffix_mix(hash ^ word, <uint64_t>0x9E3779B97F4A7C15)
        label += 8
        size -= 8
    return suffix_mix(hash ^ _tail(label, size), <uint64_t>0xD6E8FEB86659FD93 ^ size)

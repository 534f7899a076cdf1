from libc.stdint cimport int32_t, uint32_t, uint64_t

cdef struct Range:
    # Addresses from here to the next range's start, host order, IPv4 mapped.
    uint64_t high, low
    int32_t value               # -1: no network covers them

cdef class Networks:
    cdef Range *ranges
    cdef uint32_t count

    cdef inline int find(self, uint64_t high, uint64_t low) noexcept nogil:
        # The value of the longest network that covers an address, or -1. The first range starts at zero.
        cdef uint32_t at = 0, rest = self.count, half
        cdef const Range *middle
        while rest > 1:
            half = rest >> 1
            middle = &self.ranges[at + half]
            # Without a branch: which half holds an address cannot be predicted.
            at += half * (<uint32_t>(middle.high < high) | (<uint32_t>(middle.high == high) & <uint32_t>(middle.low <= low)))
            rest -= half
        return self.ranges[at].value

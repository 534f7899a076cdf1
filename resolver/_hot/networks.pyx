"""Which of many networks an address belongs to, in as many steps as their count has bits.

Holds always: the longest network that covers an address decides, and of two that are the same the first; nested networks
were cut into ranges that do not overlap when the table was made, and the table never changes.
"""

cimport cython
from libc.stdlib cimport calloc, free

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from resolver._hot.cursor cimport get32

cdef enum:
    NETWORKS_MAX = 65536
    VALUE_MAX = 0x7FFFFFFF


@cython.boundscheck(True)
@cython.wraparound(True)
cdef int _start(list ranges, object place, object value) except -1:
    """From `place` on, addresses have this value."""
    if ranges[-1][0] == place:
        ranges.pop()
    if not ranges or ranges[-1][1] != value:
        ranges.append((place, value))
    return 0


@cython.boundscheck(True)
@cython.wraparound(True)
def _cut(list networks):
    """The networks as ranges: (first address, value) in order, from zero on; -1 where no network is.

    Raises:
        ValueError: A network is none, or there are too many.
    """
    if len(networks) > NETWORKS_MAX:
        raise ValueError(f"{len(networks)} networks; {NETWORKS_MAX} are the most")
    values = {}
    for i, (address, length, value) in enumerate(networks):
        if len(address) != 16 or not 0 <= length <= 128 or not 0 <= value <= VALUE_MAX:
            raise ValueError(f"network {i}: 16 bytes, a length up to 128 and a value that is not negative are expected")
        size = 1 << 128 - length
        values.setdefault((int.from_bytes(address, "big") // size * size, -size), value)
    ranges = [(0, -1)]
    covering = []               # (end, value) of the networks around, the innermost last
    # An outer network before those inside it.
    for (first, size), value in sorted(values.items()):
        while covering and covering[-1][0] <= first:
            end, _ = covering.pop()
            _start(ranges, end, covering[-1][1] if covering else -1)
        _start(ranges, first, value)
        covering.append((first - size, value))
    while covering:
        end, _ = covering.pop()
        if end < 1 << 128:
            _start(ranges, end, covering[-1][1] if covering else -1)
    return ranges


cdef class Networks:
    """The table.

    Args:
        networks: First 16 bytes of an address (IPv4 mapped), prefix length of these 128 bits, and a value from 0 on.

    Raises:
        ValueError: A network is none, or there are too many.
    """

    def __cinit__(self, list networks not None):
        cdef uint32_t i
        ranges = _cut(networks)
        self.ranges = <Range *>calloc(len(ranges), sizeof(Range))
        if self.ranges == NULL:
            raise MemoryError
        for i, (first, value) in enumerate(ranges):
            self.ranges[i].high = first >> 64
            self.ranges[i].low = first & 0xFFFFFFFFFFFFFFFF
            self.ranges[i].value = value
        self.count = len(ranges)

    def __dealloc__(self):
        free(self.ranges)

    def find_address(self, bytes address not None):
        """The value of the longest network that covers an address, or -1.

        Raises:
            ValueError: It has not 16 bytes.
        """
        if PyBytes_GET_SIZE(address) != 16:
            raise ValueError("an address has 16 bytes")
        cdef const unsigned char *at = <const unsigned char *>PyBytes_AS_STRING(address)
        return self.find(<uint64_t>get32(at) << 32 | get32(at + 4), <uint64_t>get32(at + 8) << 32 | get32(at + 12))

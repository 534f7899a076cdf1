from libc.stdint cimport uint8_t, uint32_t

cdef enum:
    ROUTES_MAX = 8192
    ROUTE_SLOTS = 32768

cdef class Routes:
    cdef readonly uint32_t count
    cdef uint32_t deepest       # labels of the longest name
    cdef uint32_t *slots        # offset in `names` + 1; 0: empty
    cdef uint8_t *names         # group, size, name in wire form, one after the other
    cdef uint32_t slot(self, uint32_t hash, const uint8_t *name, uint32_t size) noexcept nogil
    cdef uint32_t group_of(self, const uint8_t *name, uint32_t name_size, const uint8_t *label_at, uint32_t labels) noexcept nogil

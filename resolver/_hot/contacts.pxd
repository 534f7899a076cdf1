from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    TEXT_MAX = 1024
    FIRST_CODE = 15             # Blocked, Censored, Filtered: those that a contact goes with
    LAST_CODE = 17

cdef class Contacts:
    cdef uint8_t text[3][TEXT_MAX]
    cdef uint16_t length[3]
    cdef uint32_t tell(self, uint8_t *out, uint32_t size, uint32_t limit) noexcept nogil

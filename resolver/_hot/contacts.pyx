"""Whom to turn to, told beside an extended error (draft-ietf-dnsop-structured-dns-error) to clients that ask for it.

Holds always: an answer is only ever grown by a text that was given whole, within its bound, inside an option that is
there; what is no answer of ours with such an option stays as it is.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memmove

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from resolver._hot.cursor cimport get16, put16
from resolver._hot.wire cimport MESSAGE_MAX, OPT_BYTES, OPTION_EDE, find_opt


cdef class Contacts:
    """Texts, made once.

    Args:
        texts: By the code of the extended error (15, 16 or 17), the text that goes with it; TEXT_MAX bytes at most.

    Raises:
        ValueError: A code is none of these, or a text is too long.
    """

    def __cinit__(self, texts):
        self.length[0] = self.length[1] = self.length[2] = 0
        for code, text in texts.items():
            if not FIRST_CODE <= code <= LAST_CODE:
                raise ValueError(f"no contact goes with extended error {code}")
            if len(text) > TEXT_MAX:
                raise ValueError(f"extended error {code}: a text of {len(text)} bytes; {TEXT_MAX} are the most")
            memcpy(self.text[code - FIRST_CODE], PyBytes_AS_STRING(text), len(text))
            self.length[code - FIRST_CODE] = len(text)

    cdef uint32_t tell(self, uint8_t *out, uint32_t size, uint32_t limit) noexcept nogil:
        """Puts the text behind the code of an answer of ours, where it has one and there is room; the new size."""
        cdef uint32_t opt = find_opt(out, size), at, option, length
        cdef uint16_t code
        if opt == 0:
            return size
        # OPT is the last record, so that its options end where the answer does.
        at = opt + OPT_BYTES
        while size - at >= 6:
            option = get16(out + at + 2)
            code = get16(out + at + 4)
            if get16(out + at) == OPTION_EDE and option == 2 and FIRST_CODE <= code <= LAST_CODE:
                length = self.length[code - FIRST_CODE]
                at += 6
                if size + length > limit:
                    return size
                memmove(out + at + length, out + at, size - at)
                memcpy(out + at, self.text[code - FIRST_CODE], length)
                put16(out + at - 4, <uint16_t>(2 + length))
                put16(out + opt + 9, <uint16_t>(get16(out + opt + 9) + length))
                return size + length
            if option > size - at - 4:
                return size
            at += 4 + option
        return size

    def told(self, bytes answer not None):
        """An answer with the text that goes with its extended error; for tests."""
        cdef uint8_t out[MESSAGE_MAX]
        cdef uint32_t size = <uint32_t>min(PyBytes_GET_SIZE(answer), MESSAGE_MAX)
        memcpy(out, PyBytes_AS_STRING(answer), size)
        return PyBytes_FromStringAndSize(<char *>out, self.tell(out, size, MESSAGE_MAX))

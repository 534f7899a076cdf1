"""Whether what we send to an upstream comes back to us: a name that we alone can make, and an answer that we alone can give.

Holds always: only a name that carries our mark is answered here, so that two edges that forward to each other do not take
the other's question for their own; only the answer that belongs to the question counts, so that nobody else can have an
upstream refused by asking us for its name.

The name is `lachan-loop-check.` and 32 letters under the root: a nonce, and its mark under a key that all workers of this
machine share. No such name exists anywhere, and none is of a kind that resolvers answer by themselves.
"""

from libc.string cimport memcmp

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from blocklist_sync.artifact._snapshot cimport Sip, sip_label, sip_start, sip_value
from resolver._hot.cursor cimport put16
from resolver._hot.wire cimport CLASS_IN, EDE_NONE, NOERROR, write_opt, write_start

cdef enum:
    TYPE_TXT = 16
    HALF = 16                   # letters of a 64-bit number
    NONCE_AT = 19               # in the name
    MARK_AT = 35
    PURPOSE_NAME = 1
    PURPOSE_ANSWER = 2


cdef inline void spell(uint64_t value, uint8_t *letters) noexcept nogil:
    # Four bits a letter, a to p: what a resolver may do to the case of a name changes nothing.
    cdef uint32_t i
    for i in range(HALF):
        letters[i] = <uint8_t>(97 + (value >> (60 - 4 * i) & 15))


cdef class Loops:
    """The key.

    Args:
        key: 16 bytes, the same in all workers of this machine and nowhere else.

    Raises:
        ValueError: The key has another length.
    """

    def __cinit__(self, bytes key not None):
        if PyBytes_GET_SIZE(key) != 16:
            raise ValueError("a key has 16 bytes")
        self.key0 = int.from_bytes(key[:8], "little")
        self.key1 = int.from_bytes(key[8:], "little")

    cdef bytes question(self, uint64_t nonce):
        """A query whose name carries the nonce."""
        cdef uint8_t letters[2 * HALF]
        spell(nonce, letters)
        spell(self.mark(nonce, PURPOSE_NAME), letters + HALF)
        name = b"\x11lachan-loop-check\x20" + PyBytes_FromStringAndSize(<char *>letters, 2 * HALF) + b"\0"
        return b"\0\0\1\0\0\1\0\0\0\0\0\0" + name + b"\0\x10\0\1"

    cdef uint64_t mark(self, uint64_t nonce, uint64_t purpose) noexcept nogil:
        cdef Sip sip
        cdef uint64_t words[2]
        words[0] = nonce
        words[1] = purpose
        sip_start(&sip, self.key0, self.key1)
        sip_label(&sip, <uint8_t *>words, sizeof(words))
        return sip_value(&sip)

    cdef bint ours(self, const Query *query, uint64_t *nonce) noexcept nogil:
        """Whether a query is one that we have sent; its nonce."""
        cdef uint8_t expected[HALF]
        cdef uint32_t i
        cdef uint8_t letter
        if query.name_size != LOOP_NAME or query.qtype != TYPE_TXT or memcmp(query.name, b"\x11lachan-loop-check\x20", NONCE_AT) != 0:
            return False
        nonce[0] = 0
        for i in range(HALF):
            letter = <uint8_t>(query.name[NONCE_AT + i] - 97)
            if letter > 15:
                return False
            nonce[0] = nonce[0] << 4 | letter
        spell(self.mark(nonce[0], PURPOSE_NAME), expected)
        return memcmp(query.name + MARK_AT, expected, HALF) == 0

    cdef uint32_t answer(self, const Query *query, uint8_t *out) noexcept nogil:
        """The answer to a query that we have sent, 0 to any other: needs question_end + 46 bytes."""
        cdef uint64_t nonce
        cdef uint32_t at
        if not self.ours(query, &nonce):
            return 0
        at = write_start(out, query, 0, NOERROR)
        put16(out + 6, 1)
        put16(out + at, 0xC00C)
        put16(out + at + 2, TYPE_TXT)
        put16(out + at + 4, CLASS_IN)
        put16(out + at + 6, 0)
        put16(out + at + 8, 0)
        put16(out + at + 10, HALF + 1)
        out[at + 12] = HALF
        spell(self.mark(nonce, PURPOSE_ANSWER), out + at + 13)
        return write_opt(out, at + 13 + HALF, query, NOERROR, EDE_NONE)

    cdef bint proven(self, const Query *query, const uint8_t *packet, uint32_t size) noexcept nogil:
        """Whether an answer to our query is one that we have given."""
        cdef uint8_t expected[HALF]
        cdef uint64_t nonce
        cdef uint32_t at = query.question_end
        if not self.ours(query, &nonce):
            return False
        spell(self.mark(nonce, PURPOSE_ANSWER), expected)
        while at + HALF <= size:
            if memcmp(packet + at, expected, HALF) == 0:
                return True
            at += 1
        return False

"""What the edge says of itself and of its own, under the guide: names, cookies, local answers, aliases.

Holds always: as in fuzz_targets.pyx.
"""

from fuzz_guide cimport guide_begin, guide_data, guide_end, guide_next, guide_room, must, reread
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from resolver._hot.alias cimport write_alias
from resolver._hot.cookies cimport (
    CLIENT_COOKIE, COOKIE_BAD, COOKIE_CLIENT, COOKIE_NONE, COOKIE_OPTION_BYTES, COOKIE_VALID, SERVER_COOKIE, Cookies)
from resolver._hot.cursor cimport LABELS_MAX, NAME_MAX, Cursor, get16, lowered, read_name, skip_name
from resolver._hot.locals cimport DENIAL_BYTES, NONCE_MIN, WAY_ANSWER, WAY_ASK, WAY_REWRITE, Locals, Way
from resolver._hot.wire cimport (
    AA, HEADER, MESSAGE_MAX, OPT_BYTES, READ_OK, Query, Response, read_query, read_response, split_labels)

cdef enum:
    KIND_NAME = 0
    KIND_COOKIE = 1
    KIND_LOCAL = 2
    KIND_ALIAS = 3
    NOW = 1700000000            # seconds since 1970

KINDS = {"name": KIND_NAME, "cookie": KIND_COOKIE, "local": KIND_LOCAL, "alias": KIND_ALIAS}


cdef class Bench:
    """What the targets need: secrets of cookies, and names of our own."""

    cdef Cookies cookies
    cdef Locals locals
    cdef Query query

    def __cinit__(self, Cookies cookies not None, Locals locals not None):
        self.cookies = cookies
        self.locals = locals

    def run(self, str kind):
        """Until the time is up."""
        cdef int number = KINDS[kind]
        cdef int32_t size
        with nogil:
            while True:
                size = guide_next()
                if size < 0:
                    break
                guide_begin()
                self.one(number, guide_data(), <uint32_t>size)
                guide_end()

    def target(self, str kind):
        """One input at a time, of exactly so many octets."""
        cdef int number = KINDS[kind]

        def run(bytes data not None):
            cdef uint32_t size = <uint32_t>PyBytes_GET_SIZE(data)
            self.one(number, <const uint8_t *>PyBytes_AS_STRING(data), size)

        return run

    cdef void one(self, int kind, const uint8_t *data, uint32_t size) noexcept nogil:
        if size < 2:
            return
        if kind == KIND_NAME:
            self.one_name(data + 2, size - 2, get16(data))
        elif kind == KIND_COOKIE:
            self.one_cookie(data + 2, size - 2, data)
        elif kind == KIND_LOCAL:
            self.one_local(data + 2, size - 2, data)
        else:
            self.one_alias(data + 2, size - 2, data)

    # Names ----------------------------------------------------------------------------------------------------------

    cdef void one_name(self, const uint8_t *data, uint32_t size, uint32_t at) noexcept nogil:
        """The two readers agree where a name ends; what was read is a name, and reads as itself."""
        cdef uint8_t *name = guide_room(0, NAME_MAX)
        cdef uint8_t again[NAME_MAX]
        cdef uint8_t label_at[128]
        cdef uint8_t labels
        cdef Cursor cursor, other
        cdef int length
        cdef uint32_t i
        cursor.data = data
        cursor.size = size
        cursor.at = at if at <= size else size
        other = cursor
        length = read_name(&cursor, name)
        if length < 0:
            return
        must(1 <= length <= NAME_MAX and name[length - 1] == 0, "a name ends with the root")
        must(skip_name(&other) and other.at == cursor.at, "both readers go as far")
        must(cursor.at <= size, "no name ends beyond the packet")
        must(split_labels(name, length, label_at, &labels) and labels <= LABELS_MAX, "a name that was read has labels")
        for i in range(<uint32_t>length):
            must(name[i] == lowered(name[i]), "it is lowercased")
        cursor.data = name
        cursor.size = <uint32_t>length
        cursor.at = 0
        must(read_name(&cursor, again) == length and memcmp(again, name, length) == 0, "it reads as itself")

    # Cookies --------------------------------------------------------------------------------------------------------

    cdef void one_cookie(self, const uint8_t *data, uint32_t size, const uint8_t *control) noexcept nogil:
        """`control`: the client's address, and its kind. What was made here is known again, here and for an hour."""
        cdef Query *query = &self.query
        cdef uint8_t address[16]
        cdef uint8_t asked[HEADER + 5 + OPT_BYTES + COOKIE_OPTION_BYTES]
        cdef uint32_t address_size = 16 if control[1] & 1 else 4, written
        cdef int checked
        cdef uint8_t *out
        memset(address, control[0], 16)
        out = guide_room(0, HEADER + OPT_BYTES + COOKIE_OPTION_BYTES)
        written = self.cookies.answer_bare(out, data, size, address, address_size, NOW)
        if written:
            must(written == HEADER + OPT_BYTES + COOKIE_OPTION_BYTES, "a cookie alone has its size")
            must(memcmp(out, data, 2) == 0 and out[2] & 0x80 and get16(out + 10) == 1 and get16(out + 4) == 0, "and its header")
        if read_query(data, size, query) != READ_OK:
            return
        checked = self.cookies.check(query, address, address_size, NOW)
        must((checked == COOKIE_NONE) == (query.cookie_size == 0), "no cookie is none")
        must((checked == COOKIE_CLIENT) == (query.cookie_size == CLIENT_COOKIE), "eight octets are the client's")
        out = guide_room(0, COOKIE_OPTION_BYTES)
        written = self.cookies.write(out, 0, query, checked, address, address_size, NOW)
        must(written == (COOKIE_OPTION_BYTES if checked != COOKIE_NONE else 0), "who has one gets one")
        if checked == COOKIE_NONE:
            return
        memset(asked, 0, sizeof(asked))
        asked[5] = asked[11] = asked[HEADER + 2] = asked[HEADER + 4] = 1
        asked[HEADER + 5 + 2] = 41
        asked[HEADER + 5 + 10] = COOKIE_OPTION_BYTES
        memcpy(asked + HEADER + 5 + OPT_BYTES, out, COOKIE_OPTION_BYTES)
        must(read_query(asked, sizeof(asked), query) == READ_OK, "what was written can be read")
        must(query.cookie_size == CLIENT_COOKIE + SERVER_COOKIE, "whole")
        must(self.holds(query, address, address_size, NOW) == COOKIE_VALID, "it holds")
        must(self.holds(query, address, address_size, NOW + 7200) == COOKIE_BAD, "not for ever")
        must(self.holds(query, address, address_size, NOW - 7200) == COOKIE_BAD, "nor from the future")
        address[control[1] >> 1 & 3] ^= 1
        must(self.holds(query, address, address_size, NOW) == COOKIE_BAD, "nor from elsewhere")
        address[control[1] >> 1 & 3] ^= 1
        asked[HEADER + 5 + OPT_BYTES + 4 + (control[1] >> 3) % (CLIENT_COOKIE + SERVER_COOKIE)] ^= 0x40
        must(self.holds(query, address, address_size, NOW) == COOKIE_BAD, "nor changed in one bit")

    cdef int holds(self, const Query *query, const uint8_t *address, uint32_t address_size, int64_t now) noexcept nogil:
        return self.cookies.check(query, address, address_size, now)

    # Names of our own -----------------------------------------------------------------------------------------------

    cdef void one_local(self, const uint8_t *data, uint32_t size, const uint8_t *control) noexcept nogil:
        """`control`: the client's profile, and the room for the answer."""
        cdef Query *query = &self.query
        cdef uint8_t label_at[128]
        cdef uint8_t labels
        cdef Way way
        cdef uint32_t limit = 512 if control[1] & 1 else 1232 if control[1] & 2 else MESSAGE_MAX, written
        cdef uint8_t *out
        if read_query(data, size, query) != READ_OK:
            return
        must(<uint32_t>query.question_end + DENIAL_BYTES <= 512, "a denial always fits")
        out = guide_room(0, limit)
        written = self.locals.answer(out, query, control[0] & 7, limit, &way)
        must((way.kind == WAY_ANSWER) == (written != 0), "an answer, or another way")
        if written:
            reread(query, out, written, limit, AA)
        elif way.kind == WAY_REWRITE:
            must(split_labels(way.target, way.target_size, label_at, &labels), "an alias leads to a name")
        elif way.kind == WAY_ASK:
            must(query.name[0] >= NONCE_MIN, "a nonce is long")

    # Aliases --------------------------------------------------------------------------------------------------------

    cdef void one_alias(self, const uint8_t *said, uint32_t size, const uint8_t *control) noexcept nogil:
        """`control`: the client's EDNS, and the room. An alias of ours, in front of whatever was said of its target."""
        cdef Query *query = &self.query
        cdef Response response
        cdef Cursor cursor
        cdef uint8_t asked[HEADER + 19 + OPT_BYTES]
        cdef uint8_t name[256]
        cdef uint32_t limit = 512 if control[1] & 1 else 1232 if control[1] & 2 else MESSAGE_MAX, written
        cdef int name_size
        cdef uint8_t *out
        if not read_response(said, size, &response):
            return
        cursor.data = said
        cursor.size = size
        cursor.at = HEADER
        name_size = read_name(&cursor, name)
        if name_size < 0:
            return
        memset(asked, 0, sizeof(asked))
        asked[2] = 1
        asked[5] = 1
        memcpy(asked + HEADER, b"\5aLias\7example\0", 15)
        memcpy(asked + HEADER + 15, said + cursor.at, 4)
        asked[HEADER + 19 + 2] = 41
        asked[11] = control[0] & 1
        if read_query(asked, sizeof(asked) if control[0] & 1 else HEADER + 19, query) != READ_OK:
            return      # of type 0, say
        out = guide_room(0, limit)
        reread(query, out, write_alias(out, limit, query, name, name_size, 60, said, size), limit)
        out = guide_room(0, limit)
        reread(query, out, write_alias(out, limit, query, name, name_size, 60, NULL, 0), limit)

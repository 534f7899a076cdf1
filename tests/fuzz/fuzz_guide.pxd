# What all compiled targets share: the guide, and what must hold of every answer of ours.

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from resolver._hot.cursor cimport get16
from resolver._hot.wire cimport HEADER, Query, Response, read_response, same_question

cdef extern from "guide.h" nogil:
    int guide_open(const char *path, uint64_t seed, uint32_t size_max, double seconds)
    void guide_seed(const uint8_t *data, uint32_t size)
    void guide_word(const uint8_t *data, uint32_t size)
    int32_t guide_next()
    const uint8_t *guide_data()
    void guide_begin()
    void guide_end()
    uint8_t *guide_room(int which, uint32_t size)
    void guide_fail(const char *what)


cdef inline void must(bint condition, const char *what) noexcept nogil:
    if not condition:
        guide_fail(what)


cdef inline void reread(const Query *query, const uint8_t *out, uint32_t size, uint32_t room, uint16_t flags=0) noexcept nogil:
    # An answer of ours answers the query, fits its room, and can be read by our own reader to its last octet; of AA, TC
    # below an answer's own, and the reserved bit, none is set but `flags`.
    cdef Response response
    must(size <= room, "an answer fits the room that its writer asks for")
    must(read_response(out, size, &response), "an answer of ours is well-formed")
    must(same_question(query, out, size), "an answer of ours repeats the question")
    must(get16(out) == query.id and response.flags & 0x8000 and not response.flags & 0x7C40 & ~flags, "its header is an answer's")
    must(memcmp(out + HEADER, query.packet + HEADER, query.name_size) == 0, "its letters are the client's")

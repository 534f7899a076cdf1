"""The compiled core's own functions under the guide: no Python object is made for an input.

Holds always: what a function may write to is exactly as large as its comment asks for, so that a sanitizer sees the
first byte beyond; what it wrote is read again, and must be what the standards allow.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from resolver._hot.answers cimport (
    Kept, normalise, targets_listed, write_judged, write_kept, write_truncated)
from resolver._hot.cache cimport FOUND_NOTHING, PAYLOAD_MAX, Cache, Entry
from resolver._hot.cookies cimport (
    CLIENT_COOKIE, COOKIE_BAD, COOKIE_CLIENT, COOKIE_NONE, COOKIE_OPTION_BYTES, COOKIE_VALID, SERVER_COOKIE, Cookies)
from resolver._hot.cursor cimport LABELS_MAX, NAME_MAX, Cursor, get16, lowered, put16, read_name, skip, skip_name
from resolver._hot.locals cimport DENIAL_BYTES, NONCE_MIN, WAY_ANSWER, WAY_ASK, WAY_REWRITE, Locals, Way
from resolver._hot.policy cimport (
    ACTION_NODATA, ACTION_NXDOMAIN, ACTION_PASS, ACTION_REFUSED, ACTION_SHADOW, Decision, Policy)
from resolver._hot.wire cimport (
    AA, BADVERS, EDE_NONE, EDE_PROHIBITED, FORMERR, HEADER, MESSAGE_MAX, NOTIMP, NXDOMAIN, OPT_BYTES, READ_BADVERS, READ_DROP,
    READ_FORMERR, READ_NOTIMP, READ_OK, REFUSED, TTLS_MAX, TYPE_CNAME, Query, Reading, Response, pad, read_query,
    read_response, same_question, split_labels, write_any, write_bare, write_error)

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

cdef enum:
    KIND_QUERY = 0
    KIND_RESPONSE = 1
    KIND_CHAIN = 2
    KIND_NAME = 3
    KIND_COOKIE = 4
    KIND_LOCAL = 5
    CHAIN_BYTES = 16384
    NOW = 1700000000            # seconds since 1970

KINDS = {
    "query": KIND_QUERY, "response": KIND_RESPONSE, "chain": KIND_CHAIN, "name": KIND_NAME, "cookie": KIND_COOKIE,
    "local": KIND_LOCAL,
}


cdef inline void must(bint condition, const char *what) noexcept nogil:
    if not condition:
        guide_fail(what)


def start(str path, uint64_t seed, uint32_t size_max, double seconds, list seeds, list words):
    """Opens the state file and takes seeds and words."""
    if guide_open(path.encode(), seed, size_max, seconds):
        raise OSError(f"{path}: the guide cannot use it")
    for data in seeds:
        guide_seed(<const uint8_t *>PyBytes_AS_STRING(data), <uint32_t>PyBytes_GET_SIZE(data))
    for data in words:
        guide_word(<const uint8_t *>PyBytes_AS_STRING(data), <uint32_t>PyBytes_GET_SIZE(data))


def drive(object target not None):
    """Runs a Python target under the guide."""
    cdef int32_t size
    while True:
        size = guide_next()
        if size < 0:
            return
        data = PyBytes_FromStringAndSize(<const char *>guide_data(), size)
        guide_begin()
        target(data)
        guide_end()


cdef class Bench:
    """What the targets need: two policies' worth of rules in one, a cache, secrets of cookies, names of our own."""

    cdef Policy policy
    cdef Cache cache
    cdef Cookies cookies
    cdef Locals locals
    cdef Query query
    cdef Response response
    cdef uint8_t question[300]
    cdef uint8_t packet[CHAIN_BYTES]
    cdef uint32_t turn

    def __cinit__(self, Policy policy not None, Cache cache not None, Cookies cookies not None, Locals locals not None):
        self.policy = policy
        self.cache = cache
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
        if kind == KIND_QUERY:
            self.one_query(data, size)
        elif kind == KIND_RESPONSE:
            if size >= 4:
                self.one_response(data + 4, size - 4, data)
        elif kind == KIND_CHAIN:
            if size >= 4:
                self.one_response(self.packet, self.build(data + 4, size - 4), data)
        elif kind == KIND_NAME:
            if size >= 2:
                self.one_name(data + 2, size - 2, get16(data))
        elif kind == KIND_COOKIE:
            if size >= 2:
                self.one_cookie(data + 2, size - 2, data)
        elif size >= 2:
            self.one_local(data + 2, size - 2, data)

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
            self.reread_as(out, written, limit, AA)
        elif way.kind == WAY_REWRITE:
            must(split_labels(way.target, way.target_size, label_at, &labels), "an alias leads to a name")
        elif way.kind == WAY_ASK:
            must(query.name[0] >= NONCE_MIN, "a nonce is long")

    # Queries --------------------------------------------------------------------------------------------------------

    cdef void one_query(self, const uint8_t *data, uint32_t size) noexcept nogil:
        cdef Query *query = &self.query
        cdef Reading reading = read_query(data, size, query)
        cdef uint8_t label_at[128]
        cdef uint8_t labels
        cdef uint32_t profile, action, end = query.question_end
        cdef Decision decision
        cdef uint8_t *out
        if reading == READ_DROP:
            return
        if reading == READ_FORMERR or reading == READ_NOTIMP:
            out = guide_room(0, HEADER)
            must(write_bare(out, data, FORMERR) == HEADER, "a bare answer is a header")
            return
        must(query.name_size >= 1 and end == HEADER + query.name_size + 4 and end <= size, "the question ends where its name does")
        must(split_labels(query.name, query.name_size, label_at, &labels), "a name that was read has labels")
        must(labels == query.labels and memcmp(label_at, query.label_at, labels) == 0, "labels are where they were found")
        must(query.udp_size >= 512, "a client takes 512 octets")
        must(query.cookie_size == 0 or query.cookie_at + query.cookie_size <= size, "a cookie is in the packet")
        out = guide_room(0, end + 17)
        self.reread(out, write_error(out, query, BADVERS if reading == READ_BADVERS else REFUSED, EDE_PROHIBITED), end + 17)
        out = guide_room(0, end + 11)
        self.reread(out, write_truncated(out, query), end + 11)
        out = guide_room(0, end + 39)
        self.reread(out, write_any(out, query), end + 39)
        for profile in range(self.policy.profile_count):
            self.policy.decide(query.name, query.label_at, query.labels, profile, &decision)
            if decision.action == ACTION_PASS:
                continue
            must(decision.depth >= 2 and decision.depth <= query.labels, "a listed name is a suffix of the name")
            for action in range(ACTION_NXDOMAIN, ACTION_REFUSED + 1):
                decision.action = <uint8_t>action
                out = guide_room(0, end + 65)
                self.reread(out, self.policy.write(out, query, &decision), end + 65)

    cdef void reread(self, const uint8_t *out, uint32_t size, uint32_t room) noexcept nogil:
        """An answer of ours answers the query in `query` and can be read by our own reader to its last octet."""
        self.reread_as(out, size, room, 0)

    cdef void reread_as(self, const uint8_t *out, uint32_t size, uint32_t room, uint16_t flags) noexcept nogil:
        """The same where some flags more may be set."""
        cdef Response response
        must(size <= room, "an answer fits the room that its writer asks for")
        must(read_response(out, size, &response), "an answer of ours is well-formed")
        must(same_question(&self.query, out, size), "an answer of ours repeats the question")
        must(get16(out) == self.query.id and response.flags & 0x8000 and not response.flags & 0x7C40 & ~flags, "its header is an answer's")
        must(memcmp(out + HEADER, self.query.packet + HEADER, self.query.name_size) == 0, "its letters are the client's")

    # Responses ------------------------------------------------------------------------------------------------------

    cdef void one_response(self, const uint8_t *packet, uint32_t size, const uint8_t *control) noexcept nogil:
        """`control`: the client's EDNS and flags, the room, the profile, the answer's age."""
        cdef Response *response = &self.response
        cdef Query *query = &self.query
        cdef Kept kept
        cdef Entry entry
        cdef Decision decision
        cdef uint32_t i, limit, written, profile, end
        cdef uint64_t fingerprint
        cdef bint listed, asked_listed
        cdef uint8_t *out
        cdef uint8_t *copy
        if not read_response(packet, size, response):
            return
        must(response.end <= size and response.question_end <= response.end, "what is kept is in the packet")
        for i in range(min(<uint32_t>response.ttl_count, <uint32_t>TTLS_MAX)):
            must(<uint32_t>response.ttl_at[i] + 6 <= response.end, "a TTL is in what is kept")
        # Asked for just this, in letters of its own.
        end = response.question_end
        if end > sizeof(self.question) - 11:
            return
        memset(self.question, 0, HEADER)
        put16(self.question, 0x1234)
        put16(self.question + 2, (control[0] & 0x30) | 0x100)
        put16(self.question + 4, 1)
        memcpy(self.question + HEADER, packet + HEADER, end - HEADER)
        i = end
        if control[0] & 1:
            put16(self.question + 10, 1)
            memcpy(self.question + end, b"\0\0\x29\x04\xd0\0\0\0\0\0\0", 11)
            self.question[end + 7] = control[0] & 0x80
            i += 11
        if read_query(self.question, i, query) != READ_OK or query.question_end != end:
            return      # compressed, say: it answers nothing that was asked
        must(same_question(query, packet, size), "a question is its own")
        copy = guide_room(1, size)
        memcpy(copy, packet, size)
        normalise(copy, response)
        kept.packet = copy
        kept.size = response.end
        kept.ttls = <const uint8_t *>response.ttl_at
        kept.ttl_count = response.ttl_count if response.ttl_count <= TTLS_MAX else 0
        kept.age = control[2]
        kept.ttl_max = 86400
        kept.ede = EDE_NONE
        limit = 512 if control[1] & 1 else 1232 if control[1] & 2 else MESSAGE_MAX
        out = guide_room(0, limit)
        written = write_kept(out, limit, query, &kept)
        self.reread(out, written, limit)
        profile = (control[1] >> 4) % self.policy.profile_count
        fingerprint = self.policy.decide(query.name, query.label_at, query.labels, profile, &decision)
        asked_listed = decision.action != ACTION_PASS       # answered before anybody else is asked
        listed = response.targets and targets_listed(self.policy, copy, response.end)
        if listed:
            out = guide_room(0, MESSAGE_MAX)
            written = write_judged(out, self.policy, profile, query, &kept, &decision)
            if written:
                self.reread(out, written, MESSAGE_MAX)
            else:
                out = guide_room(0, MESSAGE_MAX)
                written = write_kept(out, MESSAGE_MAX, query, &kept)
        else:
            out = guide_room(0, MESSAGE_MAX)
            written = write_kept(out, MESSAGE_MAX, query, &kept)
        if not asked_listed:
            self.judge(out, written, profile)
        if query.edns and written + 472 < MESSAGE_MAX:
            out = guide_room(0, MESSAGE_MAX)
            written = write_kept(out, MESSAGE_MAX - 500, query, &kept)
            written = pad(out, written, MESSAGE_MAX)
            self.reread(out, written, MESSAGE_MAX)
            must(written % 468 == 0, "a padded answer fills its block")
        if response.ttl and response.end <= PAYLOAD_MAX:
            self.turn += 1
            if self.cache.put(fingerprint, query, control[0] & 1, 1000, copy, response, response.ttl, 0):
                must(self.cache.get(fingerprint, query, control[0] & 1, 1000, False, &entry) != FOUND_NOTHING, "what was put is found")
                must(entry.head.packet_size == response.end and memcmp(entry.packet, copy, response.end) == 0, "as it was put")
                must(memcmp(entry.ttls, <const uint8_t *>response.ttl_at, 2 * response.ttl_count) == 0, "with its TTLs")
                must(self.cache.get(fingerprint, query, control[0] & 1, 1000 + response.ttl, False, &entry) == FOUND_NOTHING, "until it expires")

    cdef void judge(self, const uint8_t *out, uint32_t size, uint32_t profile) noexcept nogil:
        """No link of the chain that a client can follow leads to data of a name listed for it."""
        cdef uint8_t name[256]
        cdef uint8_t target[256]
        cdef uint8_t label_at[128]
        cdef uint8_t labels
        cdef int name_size = self.query.name_size, target_size
        cdef Cursor cursor
        cdef Decision decision
        cdef uint32_t hops = 0, count
        cdef bint blocked = False
        memcpy(name, self.query.name, name_size)
        while hops < 20:
            hops += 1
            cursor.data = out
            cursor.size = size
            cursor.at = HEADER
            skip_name(&cursor)
            skip(&cursor, 4)
            count = get16(out + 6)
            while count:
                count -= 1
                target_size = read_name(&cursor, target)
                if target_size < 0:
                    return      # nobody can read on
                if target_size == name_size and memcmp(target, name, name_size) == 0:
                    must(not blocked, "a listed name's data is not shown")
                    if get16(out + cursor.at) == TYPE_CNAME:
                        break
                if not skip(&cursor, 10 + <uint32_t>get16(out + cursor.at + 8)):
                    return
            else:
                return
            cursor.at += 10
            name_size = read_name(&cursor, name)
            if name_size < 0 or not split_labels(name, name_size, label_at, &labels):
                return
            self.policy.decide(name, label_at, labels, profile, &decision)
            blocked = decision.action == ACTION_NXDOMAIN or decision.action == ACTION_NODATA

    # Chains ---------------------------------------------------------------------------------------------------------

    cdef uint32_t build(self, const uint8_t *data, uint32_t size) noexcept nogil:
        """A response whose records the bytes choose: names out of a short list, so that they meet; its size."""
        cdef uint8_t *out = self.packet
        cdef uint32_t at = HEADER, taken, counts[3]
        cdef uint8_t op, section = 0
        cdef uint32_t length_at
        memset(counts, 0, sizeof(counts))
        memset(out, 0, HEADER)
        out[0] = 0x12
        out[1] = 0x34
        put16(out + 2, 0x8180)
        put16(out + 4, 1)
        if size < 2:
            return HEADER
        at = self.name(at, data[0] & 0x1F)
        put16(out + at, TYPES[data[1] & 7])
        put16(out + at + 2, 1)
        at += 4
        taken = 2
        while taken + 4 <= size and at < CHAIN_BYTES - 1400:
            op = data[taken]
            if op & 0x80 and section < 2:
                section += 1
            counts[section] += 1
            at = self.name(at, data[taken + 1])
            put16(out + at, TYPES[op & 7])
            put16(out + at + 2, 3 if op == 0x7F else 1)
            memset(out + at + 4, 0, 2)
            out[at + 6] = data[taken + 3]
            out[at + 7] = 60
            length_at = at + 8
            at += 10
            if (op & 7) < 4:
                if (op & 7) >= 2:
                    put16(out + at, op >> 3 & 1)
                    at += 2
                at = self.name(at, data[taken + 2])
                if (op & 7) >= 2 and op & 0x40:
                    memcpy(out + at, b"\0\1\0\3\2h2", 7)
                    at += 7
            elif (op & 7) == 6:
                at = self.name(at, data[taken + 2])
                at = self.name(at, data[taken + 3])
                memset(out + at, 1, 20)
                at += 20
            else:
                memset(out + at, 7, data[taken + 2] & 63)
                at += data[taken + 2] & 63
            put16(out + length_at, at - length_at - 2 + (1 if op == 0x3F else 0))
            taken += 4
        put16(out + 6, counts[0])
        put16(out + 8, counts[1])
        put16(out + 10, counts[2])
        return at

    cdef uint32_t name(self, uint32_t at, uint8_t which) noexcept nogil:
        """Writes a name of the list, compressed where `which` says so and there is something before; the new end."""
        cdef uint32_t size
        if which & 0x80 and at > HEADER + 5:
            # To the question, its parent, or wherever.
            put16(self.packet + at, 0xC000 | (HEADER if which & 1 else HEADER + self.packet[HEADER] + 1 if which & 2 else (at - (which & 0x7F)) & 0x3FFF))
            return at + 2
        if which & 0x40:
            size = 1 + (which & 0x3F) % 63
            self.packet[at] = <uint8_t>size
            memset(self.packet + at + 1, 97 + (which & 3), size)
            at += size + 1
        size = NAME_SIZES[which & 15]
        memcpy(self.packet + at, &NAMES[(which & 15) * 256], size)
        return at + size


cdef uint16_t[8] TYPES = [5, 39, 64, 65, 1, 46, 6, 16]
cdef uint8_t[4096] NAMES
cdef uint32_t[16] NAME_SIZES


def name_list(list names):
    """The sixteen names that chains are made of, in wire form."""
    for i in range(16):
        data = names[i % len(names)]
        memcpy(&NAMES[i * 256], <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        NAME_SIZES[i] = <uint32_t>PyBytes_GET_SIZE(data)

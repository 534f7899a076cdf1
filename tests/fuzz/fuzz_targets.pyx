"""The compiled core's own functions under the guide: no Python object is made for an input.

Holds always: what a function may write to is exactly as large as its comment asks for, so that a sanitizer sees the
first byte beyond; what it wrote is read again, and must be what the standards allow.
"""

from fuzz_guide cimport (
    guide_begin, guide_data, guide_end, guide_next, guide_open, guide_room, guide_seed, guide_word, must, reread)
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from resolver._hot.answers cimport (
    Kept, normalise, targets_listed, write_judged, write_kept, write_truncated)
from resolver._hot.cache cimport FOUND_NOTHING, PAYLOAD_MAX, Cache, Entry
from resolver._hot.cursor cimport Cursor, get16, put16, read_name, skip, skip_name
from resolver._hot.policy cimport (
    ACTION_NODATA, ACTION_NXDOMAIN, ACTION_PASS, ACTION_REFUSED, ACTION_SHADOW, Decision, Policy)
from resolver._hot.wire cimport (
    BADVERS, EDE_CACHED_ERROR, EDE_NO_REACHABLE_AUTHORITY, EDE_NONE, EDE_PROHIBITED, FORMERR, HEADER, MESSAGE_MAX, NOTIMP, NXDOMAIN, READ_BADVERS, READ_DROP,
    READ_FORMERR, READ_NOTIMP, READ_OK, REFUSED, TTLS_MAX, TYPE_CNAME, Query, Reading, Response, pad, read_query,
    read_response, same_question, split_labels, write_any, write_bare, write_error)

cdef enum:
    KIND_QUERY = 0
    KIND_RESPONSE = 1
    KIND_CHAIN = 2
    CHAIN_BYTES = 16384

KINDS = {"query": KIND_QUERY, "response": KIND_RESPONSE, "chain": KIND_CHAIN}


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
    """What the targets need: two policies' worth of rules in one, and a cache."""

    cdef Policy policy
    cdef Cache cache
    cdef Query query
    cdef Response response
    cdef uint8_t question[300]
    cdef uint8_t packet[CHAIN_BYTES]
    cdef uint32_t turn

    def __cinit__(self, Policy policy not None, Cache cache not None):
        self.policy = policy
        self.cache = cache

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
        elif size >= 4:
            self.one_response(self.packet, self.build(data + 4, size - 4), data)

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
        reread(query, out, write_error(out, query, BADVERS if reading == READ_BADVERS else REFUSED, EDE_PROHIBITED), end + 17)
        out = guide_room(0, end + 11)
        reread(query, out, write_truncated(out, query), end + 11)
        out = guide_room(0, end + 39)
        reread(query, out, write_any(out, query), end + 39)
        for profile in range(self.policy.profile_count):
            self.policy.decide(query.name, query.label_at, query.labels, profile, &decision)
            if decision.action == ACTION_PASS:
                continue
            must(decision.depth >= 2 and decision.depth <= query.labels, "a listed name is a suffix of the name")
            for action in range(ACTION_NXDOMAIN, ACTION_REFUSED + 1):
                decision.action = <uint8_t>action
                out = guide_room(0, end + 65)
                reread(query, out, self.policy.write(out, query, &decision), end + 65)

    # Responses ------------------------------------------------------------------------------------------------------

    cdef void one_response(self, const uint8_t *packet, uint32_t size, const uint8_t *control) noexcept nogil:
        """`control`: the client's EDNS and flags, the room, the profile, the answer's age."""
        cdef Response *response = &self.response
        cdef Query *query = &self.query
        cdef Kept kept
        cdef Entry entry
        cdef Decision decision
        cdef uint32_t i, limit, written, profile, end, ttl
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
        kept.ede = EDE_CACHED_ERROR if control[0] & 2 else EDE_NONE
        kept.cause = EDE_NO_REACHABLE_AUTHORITY if control[0] & 6 == 6 else EDE_NONE
        limit = 512 if control[1] & 1 else 1232 if control[1] & 2 else MESSAGE_MAX
        out = guide_room(0, limit)
        written = write_kept(out, limit, query, &kept)
        reread(query, out, written, limit)
        profile = (control[1] >> 4) % self.policy.profile_count
        fingerprint = self.policy.decide(query.name, query.label_at, query.labels, profile, &decision)
        asked_listed = decision.action != ACTION_PASS       # answered before anybody else is asked
        listed = response.targets and targets_listed(self.policy, copy, response.end)
        if listed:
            out = guide_room(0, MESSAGE_MAX)
            written = write_judged(out, self.policy, profile, query, &kept, &decision)
            if written:
                reread(query, out, written, MESSAGE_MAX)
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
            reread(query, out, written, MESSAGE_MAX)
            must(written % 468 == 0, "a padded answer fills its block")
        ttl = min(response.ttl, <uint32_t>86400)
        if ttl and response.end <= PAYLOAD_MAX:
            self.turn += 1
            if self.cache.put(fingerprint, query, control[0] & 1, 1000, copy, response, ttl, 0):
                must(self.cache.get(fingerprint, query, control[0] & 1, 1000, False, &entry) != FOUND_NOTHING, "what was put is found")
                must(entry.head.packet_size == response.end and memcmp(entry.packet, copy, response.end) == 0, "as it was put")
                must(memcmp(entry.ttls, <const uint8_t *>response.ttl_at, 2 * response.ttl_count) == 0, "with its TTLs")
                must(self.cache.get(fingerprint, query, control[0] & 1, 1000 + ttl, False, &entry) == FOUND_NOTHING, "until it expires")

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

"""What becomes of an upstream's answer, or of none: kept, told to everyone who waits, or asked for elsewhere.

Holds always: whoever waits is told something in the end, once; what was known before goes before a failure (RFC 8767);
a question of our own tells nobody anything. `Engine` brings the answers in.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from resolver._hot.alias cimport write_alias
from resolver._hot.answers cimport normalise, targets_listed, write_kept
from resolver._hot.cache cimport FOUND_NOTHING, FOUND_STALE, KEY_OWN, PAYLOAD_MAX, Entry, Found
from resolver._hot.chain cimport in_chain
from resolver._hot.contacts cimport Contacts
from resolver._hot.cookies cimport COOKIE_CLIENT, COOKIE_OPTION_BYTES
from resolver._hot.counters cimport CELL_UPSTREAM_FAILURES, DROP_SEND
from resolver._hot.cursor cimport get16, get32, put16, put32
from resolver._hot.forward cimport KIND_HEALTH, KIND_LOOP, LEGS, NO_ALIAS, NOBODY, Leg, Waiter
from resolver._hot.settle cimport COUNT_AS_WRITTEN, DOT, UDP
from resolver._hot.wire cimport (
    EDE_NO_REACHABLE_AUTHORITY, EDE_NONE, FORMERR, NOTIMP, READ_OK, REFUSED, SERVFAIL, TC, UDP_LIMIT, Response, pad, read_query,
    read_response, write_error)

cdef enum:
    FAILURE_SECONDS = 5         # RFC 9520 3.2: a failure is kept so long, one right after it twice as long,
    FAILURE_SECONDS_MOST = 300  # and so on up to this
    UNBELIEVABLE = 0xFFFF       # beyond every response code
    RECHECK_SECONDS = 30        # RFC 8767 5: between attempts to refresh what has expired


cdef class Concluder(Settler):
    """A `Settler` that hears upstreams and has a way out."""

    def __cinit__(self, *parts):
        self.settled = []
        self.datagrams = Datagrams()
        self.contacts = Contacts({})

    cdef void conclude(self, uint32_t leg, uint32_t size, bint datagram) noexcept:
        """Weighs the answer in `response` that a leg brought; keeps it, tells it, or tries elsewhere."""
        cdef uint32_t at = leg // LEGS
        cdef Pending *pending = &self.forwarder.pendings[at]
        cdef uint32_t upstream = pending.legs[leg % LEGS].upstream
        cdef Response response
        cdef Kept kept
        cdef uint32_t verdict = 0, ttl
        cdef bint late
        if not read_response(self.response, size, &response):
            # Id and question were right, the rest is not a message: as if it had not come.
            if not datagram:
                self.fail(leg)
            return
        self.forwarder.heard(upstream, self.now_us - pending.legs[leg % LEGS].sent_at)
        if pending.kind:
            if pending.kind == KIND_LOOP:
                self.forwarder.upstreams[upstream].looped = self.forwarder.loops.proven(&pending.query, self.response, size)
            self.forwarder.unlist(at)
            self.finish(at)
            return
        if response.flags & TC:
            if datagram:
                self.forwarder.to_stream(at, leg % LEGS, self.now_us)
            else:
                # A stream has room for all of it: who cuts an answer short there has none.
                self.fail(leg)
            return
        if response.answers and not in_chain(self.response, size, &pending.query):
            # It speaks of names that nobody asked about: such an answer is worth no more than none.
            response.rcode = UNBELIEVABLE
        if response.rcode == SERVFAIL or response.rcode == REFUSED or response.rcode == NOTIMP or response.rcode == FORMERR or response.rcode > 15:
            self.counters.add(CELL_UPSTREAM_FAILURES)
            # Another upstream may know better; where there is none, what was known last is better than this.
            if self.forwarder.abandon(at, leg % LEGS):
                return
            if self.forwarder.untried(at) and self.forwarder.send(at, self.now_us):
                return
            if response.rcode > 15:
                self.give_up(at)
                return
            self.forwarder.unlist(at)
            if self.fall_back(at):
                self.finish(at)
                return
            if response.rcode == SERVFAIL:
                response.ttl = self.failure_ttl(pending)
        late = self.forwarder.linger(at, leg % LEGS)
        normalise(self.response, &response)
        if response.targets:
            verdict = self.policy.epoch << 1 | targets_listed(self.policy, self.response, response.end)
        ttl = self.bound(&response)
        if ttl and response.end <= PAYLOAD_MAX:
            self.cache.put(pending.fingerprint, &pending.query, pending.bits, self.now, self.response, &response, ttl, verdict)
        kept.packet = self.response
        kept.size = response.end
        kept.ttls = <const uint8_t *>response.ttl_at
        kept.ttl_count = response.ttl_count if response.ttl_count <= 128 else 0
        kept.age = 0
        kept.ttl_max = self.ttl_max
        kept.ede = kept.cause = EDE_NONE
        kept.private = response.private and self.policy.shields
        self.tell(pending, &kept, verdict & 1 or kept.private)
        if late:
            self.guard.give(pending.shares)
            self.forwarder.release(at)
        else:
            self.finish(at)

    cdef uint32_t bound(self, const Response *response) noexcept nogil:
        """Holds the times in `response` to the settings; seconds that it is kept.

        What is told of how long a name does not exist is as long as it is kept here (RFC 2308 5).
        """
        cdef uint32_t i, ttl = response.ttl
        if response.negative:
            ttl = min(ttl, self.ttl_negative)
            put32(self.response + response.soa_ttl_at, min(response.negative_ttl, self.ttl_negative))
        elif response.positive and ttl < self.ttl_min:
            ttl = self.ttl_min
            for i in range(response.ttl_count):
                if get32(self.response + response.ttl_at[i]) < ttl:
                    put32(self.response + response.ttl_at[i], ttl)
        return min(ttl, self.ttl_max)

    cdef void ask_upstream(self, uint32_t upstream, uint32_t kind, bytes question) noexcept:
        """Asks an upstream something of our own, for which nobody waits."""
        cdef Query query
        cdef uint32_t at
        if read_query(<const uint8_t *>PyBytes_AS_STRING(question), <uint32_t>PyBytes_GET_SIZE(question), &query) != READ_OK:
            return
        at = self.forwarder.begin(0, &query, KEY_OWN, self.now_us)
        if at == NOBODY:
            return
        self.forwarder.pendings[at].kind = <uint8_t>kind
        if not self.forwarder.send_to(at, upstream, self.now_us):
            self.finish(at)

    cdef void fail(self, uint32_t leg) noexcept:
        """A stream failed: the question is on its way by another leg, or tried again, or given up."""
        cdef uint32_t at = leg // LEGS
        cdef const Leg *one = &self.forwarder.pendings[at].legs[leg % LEGS]
        self.forwarder.failed(one.upstream, self.now_us - one.sent_at, self.now_us)
        if not self.forwarder.abandon(at, leg % LEGS):
            self.again(at)

    cdef void again(self, uint32_t at) noexcept:
        """Nothing came of a try: the next one, or nobody answers.

        A stream is no place of chance: where it failed, only another upstream can do better.
        """
        if self.forwarder.pendings[at].kind or (self.forwarder.pendings[at].streamed and not self.forwarder.untried(at)) or not self.forwarder.send(at, self.now_us):
            self.give_up(at)

    cdef void give_up(self, uint32_t at) noexcept:
        """Nobody answers this question: what was known last, or SERVFAIL, to all who wait and who ask right after."""
        cdef Pending *pending = &self.forwarder.pendings[at]
        cdef Response response
        cdef uint8_t packet[272]
        self.forwarder.unlist(at)
        if pending.kind:
            if pending.kind == KIND_HEALTH:
                self.forwarder.still_down(pending.legs[0].upstream, self.now_us)
            self.finish(at)
            return
        self.counters.add(CELL_UPSTREAM_FAILURES)
        if self.fall_back(at):
            self.finish(at)
            return
        memset(&response, 0, sizeof(Response))
        memcpy(packet, pending.question, pending.query.question_end)
        put16(packet + 2, 0x8000 | SERVFAIL)
        memcpy(packet + 4, b"\0\1\0\0\0\0\0\0", 8)
        response.end = pending.query.question_end
        response.rcode = SERVFAIL
        response.unheard = True
        self.cache.put(pending.fingerprint, &pending.query, pending.bits, self.now, packet, &response, self.failure_ttl(pending), 0)
        self.tell(pending, NULL, False)
        self.finish(at)

    cdef bint fall_back(self, uint32_t at) noexcept:
        """Tells all who wait what was known before (RFC 8767); False where nothing better than a failure is kept.

        What has not expired stays as it is: a failure to renew it early is no reason to forget it.
        """
        cdef Pending *pending = &self.forwarder.pendings[at]
        cdef Entry entry
        cdef Kept kept
        cdef bint listed
        cdef Found found = self.cache.get(pending.fingerprint, &pending.query, pending.bits, self.now, True, &entry)
        if found == FOUND_NOTHING or entry.packet[3] & 15 == SERVFAIL:
            return False
        self.cache.spare(&entry, self.now + RECHECK_SECONDS)
        listed = self.keep(&entry, found == FOUND_STALE, &kept)
        self.tell(pending, &kept, listed)
        self.forwarder.release(at)
        return True

    cdef uint32_t failure_ttl(self, const Pending *pending) noexcept nogil:
        """Seconds that a failure is kept: twice as long as one that came to its end a moment ago (RFC 9520 3.2)."""
        cdef Entry entry
        cdef uint32_t before
        cdef Found found = self.cache.get(pending.fingerprint, &pending.query, pending.bits, self.now, True, &entry)
        if found == FOUND_NOTHING or entry.packet[3] & 15 != SERVFAIL:
            return FAILURE_SECONDS
        before = entry.head.expires_at - entry.head.stored_at
        # Whoever asks again only after a long time found no failure in between, as far as anybody knows.
        if found == FOUND_STALE and self.now - entry.head.expires_at > before + FAILURE_SECONDS:
            return FAILURE_SECONDS
        return min(2 * before, <uint32_t>FAILURE_SECONDS_MOST)

    cdef void tell(self, const Pending *pending, const Kept *kept, bint listed) noexcept:
        """Answers everyone who waits, each under its own profile and with its own id, case, size and OPT."""
        cdef uint32_t place = pending.waiters, size, limit
        cdef Waiter *waiter
        cdef Query query
        cdef uint8_t *out
        cdef bint datagram, alias
        memcpy(&query, &pending.query, sizeof(Query))
        while place != NOBODY:
            waiter = &self.forwarder.waiters[place]
            place = waiter.next
            alias = waiter.alias_ttl != NO_ALIAS
            query.packet = pending.question
            if not alias:
                query.packet = waiter.question
            query.question_end = pending.query.question_end
            query.id = get16(waiter.question)
            query.flags = waiter.flags
            query.edns = waiter.edns
            query.want_dnssec = waiter.want_dnssec
            query.udp_size = waiter.udp_size
            datagram = waiter.client.transport == UDP
            query.cookie_size = 8 if waiter.cookie and self.guard.cookies is not None else 0
            query.cookie_at = waiter.question_end
            limit = MESSAGE_MAX
            out = self.scratch
            if datagram:
                limit = query.udp_size if query.udp_size < UDP_LIMIT else UDP_LIMIT
                if query.cookie_size:
                    limit -= COOKIE_OPTION_BYTES
                out = self.room(waiter.client.fd)
            if alias:
                size = self.answer_to(&query, waiter.profile, MESSAGE_MAX, kept, listed, self.said)
                query.packet = waiter.question
                query.question_end = waiter.question_end
                size = write_alias(out, limit, &query, pending.query.name, pending.query.name_size,
                                   <uint32_t>waiter.alias_ttl, self.said, size)
            else:
                size = self.answer_to(&query, waiter.profile, limit, kept, listed, out)
            self.told(&waiter.client, waiter.profile, COUNT_AS_WRITTEN, size, out)
            query.padded = waiter.padded
            query.structured = waiter.structured
            self.send_to(&waiter.client, &query, size, out)

    cdef uint32_t answer_to(self, const Query *query, uint32_t profile, uint32_t limit, const Kept *kept, bint listed,
                            uint8_t *out) noexcept nogil:
        """What one client is told; SERVFAIL where nothing was heard."""
        if kept == NULL:
            return write_error(out, query, SERVFAIL, EDE_NO_REACHABLE_AUTHORITY)
        if listed:
            return self.write_for(query, profile, limit, kept, out)
        return write_kept(out, limit, query, kept)

    # The way out ---------------------------------------------------------------------------------------------------------

    cdef void send_to(self, const Client *client, const Query *query, uint32_t size, uint8_t *out) noexcept:
        """Sends an answer that came late, with what its client and its transport want behind it."""
        if query.cookie_size and size + COOKIE_OPTION_BYTES <= MESSAGE_MAX:
            # What it proved then does not matter now: a fresh one is as good.
            size = self.guard.prove(out, size, query, client, COOKIE_CLIENT, self.wall)
        if client.transport == UDP:
            self.datagrams.post(client, size)
            return
        if query.structured and client.transport >= DOT:
            size = self.contacts.tell(out, size, MESSAGE_MAX)
        if query.padded and client.transport >= DOT:
            size = pad(out, size, MESSAGE_MAX)
        self.settled.append((client.token, PyBytes_FromStringAndSize(<char *>out, size)))

    cdef uint8_t *room(self, int fd) noexcept nogil:
        """Where the next answer by this socket is written: OUT_BYTES."""
        if self.datagrams.full_for(fd):
            self.flush()
        return self.datagrams.next_out()

    cdef void flush(self) noexcept nogil:
        """Sends what is queued and counts what could not be."""
        cdef uint32_t dropped = self.datagrams.flush()
        while dropped:
            self.counters.drop(DROP_SEND)
            dropped -= 1

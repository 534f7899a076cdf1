"""Questions on their way to upstreams: who waits for them, by which socket and id they left, and when to try again.

Holds always: an answer counts only if it came by the connected socket that the question left by, with its random id and
its whole question in the case it was asked in (RFC 5452); no two questions on their way share socket and id; every table
is bounded and made once; an identical question joins the one on its way; a question that is given up is told to everyone
who waits.

A question is on its way by one or two legs, one for each upstream that is asked at the moment. Decides nothing about
answers: the engine does, and owns the order.
"""

import os

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from resolver._hot.cache cimport KEY_CD, KEY_DO
from resolver._hot.cursor cimport get16, put16
from resolver._hot.lettercase cimport beginning, capitals, load_word, turned
from resolver._hot.socket cimport ECONNREFUSED, MSG_DONTWAIT, MSG_NOSIGNAL, errno, send
from resolver._hot.upstreams cimport NO_UPSTREAM, PORTS_MAX, STRATEGY_PARALLEL, UPSTREAMS_MAX, Port, Upstream
from resolver._hot.wire cimport AD, CD, HEADER, RD, TYPE_OPT, UDP_LIMIT, same_question

cdef enum:
    QUEUE_STREAM = 3            # behind the tries over UDP
    QUEUE_CHECK = 2             # the longest of those
    QUARANTINE_SECONDS = 30
    DRAWS = 32
    LATE = 15                   # of so many and one questions that two were asked, one waits for both


cdef class Forwarder(Upstreams):
    """The tables.

    Args:
        timeout_ms: How long the first try waits; the second waits twice as long, the third four times.
        stream_ms: How long an answer over a stream may take.
        routes: Which group of upstreams answers for which names; the first for all, where None.
        mixed_case: Whether questions go in random case to upstreams that keep it (draft-vixie-dnsext-dns0x20).
        loops: What tells questions of our own that come back; of a key of its own, where None.
    """

    def __cinit__(self, int64_t timeout_ms, int64_t stream_ms, Routes routes=None, bint mixed_case=True, Loops loops=None):
        cdef uint32_t i
        self.routes = Routes([]) if routes is None else routes
        self.loops = Loops(os.urandom(16)) if loops is None else loops
        self.mixed_case = mixed_case
        self.pendings = <Pending *>calloc(PENDING_MAX, sizeof(Pending))
        self.waiters = <Waiter *>calloc(WAITERS_MAX, sizeof(Waiter))
        self.by_id = <uint32_t *>calloc(BUCKETS, sizeof(uint32_t))
        self.by_key = <uint32_t *>calloc(BUCKETS, sizeof(uint32_t))
        self.quarantine = <uint64_t *>calloc(QUARANTINE, sizeof(uint64_t))
        if not (self.pendings and self.waiters and self.by_id and self.by_key and self.quarantine):
            raise MemoryError("no room for the tables of the forwarder")
        for i in range(BUCKETS):
            self.by_id[i] = self.by_key[i] = NOBODY
        for i in range(PENDING_MAX):
            self.pendings[i].key_next = i + 1 if i + 1 < PENDING_MAX else NOBODY
        for i in range(WAITERS_MAX):
            self.waiters[i].next = i + 1 if i + 1 < WAITERS_MAX else NOBODY
        for i in range(QUEUES):
            self.oldest[i] = self.newest[i] = NOBODY
        for i in range(TRIES_MAX):
            self.timeout[i] = timeout_ms * 1000 << i
        self.timeout[QUEUE_STREAM] = stream_ms * 1000
        self.secret = <uint64_t>self.random32() << 32 | self.random32()

    def __dealloc__(self):
        free(self.pendings)
        free(self.waiters)
        free(self.by_id)
        free(self.by_key)
        free(self.quarantine)

    cdef uint32_t key_bucket(self, uint64_t fingerprint, uint32_t qtype, uint32_t bits) noexcept nogil:
        return <uint32_t>(((fingerprint ^ self.secret ^ (<uint64_t>qtype << 20 | bits)) * <uint64_t>0x9E3779B97F4A7C15) >> 50)

    cdef uint32_t join(self, uint64_t fingerprint, const Query *query, uint16_t bits) noexcept nogil:
        """The same question on its way already, or NOBODY."""
        cdef uint32_t at = self.by_key[self.key_bucket(fingerprint, query.qtype, bits)]
        cdef const Pending *pending
        while at != NOBODY:
            pending = &self.pendings[at]
            if (pending.fingerprint == fingerprint and pending.bits == bits and pending.kind == KIND_CLIENT and pending.query.qtype == query.qtype
                    and pending.query.name_size == query.name_size
                    and memcmp(pending.query.name, query.name, query.name_size) == 0):
                return at
            at = pending.key_next
        return NOBODY

    cdef uint32_t begin(self, uint64_t fingerprint, const Query *query, uint16_t bits, int64_t now) noexcept nogil:
        """A new question, not sent yet; NOBODY where the table is full."""
        cdef uint32_t at = self.free_pending, bucket
        cdef Pending *pending
        if at == NOBODY:
            return NOBODY
        pending = &self.pendings[at]
        self.free_pending = pending.key_next
        self.outstanding += 1
        pending.generation += 1
        pending.fingerprint = fingerprint
        pending.bits = bits
        pending.tries = pending.kind = 0
        pending.tried = 0
        pending.listed = pending.stale_told = pending.streamed = False
        pending.legs[0].state = pending.legs[1].state = LEG_NONE
        pending.begun_at = now
        pending.shares[0] = pending.shares[1] = 0
        pending.waiters = NOBODY
        pending.waiter_count = 0
        memcpy(&pending.query, query, sizeof(Query))
        memcpy(pending.question, query.packet, HEADER)
        memcpy(pending.question + HEADER, query.name, query.name_size)      # lowercased: one form for all who join
        memcpy(pending.question + HEADER + query.name_size, query.packet + HEADER + query.name_size, 4)
        pending.query.packet = pending.question
        pending.query.size = query.question_end
        bucket = self.key_bucket(fingerprint, query.qtype, bits)
        pending.key_next = self.by_key[bucket]
        self.by_key[bucket] = at
        return at

    cdef bint wait(self, uint32_t at, const Query *query, const Client *client, uint32_t profile,
                   int64_t alias_ttl) noexcept nogil:
        """Adds a client, who asked `query`, to a question; False where there is no room."""
        cdef Pending *pending = &self.pendings[at]
        cdef uint32_t place = self.free_waiter
        cdef Waiter *waiter
        if place == NOBODY or pending.waiter_count == WAITERS_EACH:
            return False
        waiter = &self.waiters[place]
        self.free_waiter = waiter.next
        waiter.next = pending.waiters
        pending.waiters = place
        pending.waiter_count += 1
        waiter.client = client[0]
        waiter.profile = profile
        waiter.flags = query.flags
        waiter.udp_size = query.udp_size
        waiter.question_end = query.question_end
        waiter.alias_ttl = alias_ttl
        waiter.edns = query.edns
        waiter.want_dnssec = query.want_dnssec
        waiter.padded = query.padded
        waiter.structured = query.structured
        memcpy(waiter.question, query.packet, query.question_end)
        waiter.cookie = query.cookie_size != 0
        if waiter.cookie:
            memcpy(waiter.question + query.question_end, query.packet + query.cookie_at, 8)
        return True

    cdef bint send(self, uint32_t at, int64_t now) noexcept nogil:
        """Sends the question's next try, to as many upstreams as its group's strategy says; False where none is left.

        Where `crowded` says so, the reason is that upstreams have too much to do.
        """
        cdef Pending *pending = &self.pendings[at]
        cdef uint32_t group = pending.bits >> GROUP_SHIFT, chosen, legs = 0, queue = QUEUE_STREAM
        cdef uint32_t wanted = LEGS if self.groups[group].strategy == STRATEGY_PARALLEL else 1
        self.crowded = False
        if pending.tries == TRIES_MAX:
            return False
        while legs < wanted:
            chosen = self.choose(group, pending.tried)
            if chosen == NO_UPSTREAM:
                if legs or pending.tried == 0 or self.crowded:
                    break
                # All have been asked: once more from the first on.
                pending.tried = 0
                continue
            if not self.launch(at, legs, chosen, now):
                self.crowded = True
                break
            if pending.legs[legs].state == LEG_DATAGRAM:
                queue = pending.tries
            legs += 1
        if legs == 0:
            return False
        pending.tries += 1
        pending.streamed = queue == QUEUE_STREAM
        self.enlist(at, queue, now)
        return True

    cdef bint send_to(self, uint32_t at, uint32_t upstream, int64_t now) noexcept nogil:
        """Sends a question of our own to this upstream, once."""
        cdef Pending *pending = &self.pendings[at]
        if not self.launch(at, 0, upstream, now):
            return False
        pending.tries = TRIES_MAX
        self.enlist(at, QUEUE_CHECK if pending.legs[0].state == LEG_DATAGRAM else QUEUE_STREAM, now)
        return True

    cdef bint launch(self, uint32_t at, uint32_t leg, uint32_t upstream, int64_t now) noexcept nogil:
        """Sends a question to an upstream from a random socket under a random id, or hands it out; False where it cannot."""
        cdef Pending *pending = &self.pendings[at]
        cdef Leg *one = &pending.legs[leg]
        cdef uint8_t packet[QUESTION_MAX + 11]
        cdef uint32_t size = pending.query.question_end, i, bucket
        cdef int fd
        cdef uint64_t word, bits
        if self.upstreams[upstream].count and not self.draw(one, upstream, now):
            return False
        pending.tried |= <uint16_t>(1 << upstream)
        one.upstream = <uint8_t>upstream
        one.sent_at = now
        self.upstreams[upstream].asked += 1
        self.upstreams[upstream].outstanding += 1
        if self.upstreams[upstream].count == 0:
            self.hand(at, leg, now)
            return True
        one.state = LEG_DATAGRAM
        self.ports[one.port].busy += 1
        bucket = id_bucket(one.port, one.id)
        one.id_next = self.by_id[bucket]
        self.by_id[bucket] = at * LEGS + leg
        memcpy(packet, pending.question, size)
        if one.case_bits:
            # Words may reach beyond the name, in the query and here: what follows it is written anew.
            bits = one.case_bits
            i = 0
            while i < pending.query.name_size:
                word = load_word(pending.query.name + i)
                word ^= capitals(word, bits)
                memcpy(packet + HEADER + i, &word, 8)
                bits = turned(bits)
                i += 8
            memcpy(packet + size - 4, pending.question + size - 4, 4)
        put16(packet, one.id)
        put16(packet + 2, RD | AD | (CD if pending.bits & KEY_CD else 0))
        memcpy(packet + 4, b"\0\1\0\0\0\0\0\1", 8)
        packet[size] = 0
        put16(packet + size + 1, TYPE_OPT)
        put16(packet + size + 3, UDP_LIMIT)
        put16(packet + size + 5, 0)
        put16(packet + size + 7, 0x8000 if pending.bits & KEY_DO else 0)
        put16(packet + size + 9, 0)
        # A socket that an ICMP error struck tells it once, then works: the try after the error is the real one.
        fd = self.ports[one.port].fd
        if send(fd, packet, size + 11, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 and errno == ECONNREFUSED:
            send(fd, packet, size + 11, MSG_DONTWAIT | MSG_NOSIGNAL)
        return True

    cdef bint draw(self, Leg *leg, uint32_t upstream, int64_t now) noexcept nogil:
        """Draws socket, id and case; again while something on its way has the two, or something that timed out had them."""
        cdef const Upstream *one = &self.upstreams[upstream]
        cdef const Leg *other
        cdef uint32_t draws, i, other_at, port, id
        for draws in range(DRAWS):
            i = self.random32()
            id = i & 0xFFFF
            port = one.first + (i >> 16) % one.count
            i = id_bucket(port, id)
            if self.quarantine[i & (QUARANTINE - 1)] >> 32 == (port << 16 | id) and \
                    <uint32_t>self.quarantine[i & (QUARANTINE - 1)] > <uint32_t>(now // 1000000):
                continue
            other_at = self.by_id[i]
            while other_at != NOBODY:
                other = &self.pendings[other_at // LEGS].legs[other_at % LEGS]
                if other.port == port and other.id == id:
                    break
                other_at = other.id_next
            if other_at != NOBODY:
                continue
            leg.port = <uint16_t>port
            leg.id = <uint16_t>id
            leg.case_bits = 0
            if self.mixes_case(upstream, now):
                # As many ways as an id and a port together, spread over as many letters as there may be.
                leg.case_bits = self.random32() * <uint64_t>0x9E3779B97F4A7C15
                leg.case_bits ^= leg.case_bits >> 32
            return True
        return False

    cdef void hand(self, uint32_t at, uint32_t leg, int64_t now) noexcept nogil:
        """Makes it a leg by a stream; `collect` tells of it."""
        cdef Leg *one = &self.pendings[at].legs[leg]
        one.state = LEG_STREAM
        one.sent_at = now
        one.handed += 1
        if not one.handing:
            one.handing = True
            self.handing[self.handing_count] = at * LEGS + leg
            self.handing_count += 1

    cdef void enlist(self, uint32_t at, uint32_t queue, int64_t now) noexcept nogil:
        """Puts a question behind those of its queue: each has one timeout, so the oldest is always first."""
        cdef Pending *pending = &self.pendings[at]
        pending.queued_at = now
        pending.queue = <uint8_t>queue
        pending.listed = True
        pending.newer = NOBODY
        pending.older = self.newest[queue]
        if pending.older != NOBODY:
            self.pendings[pending.older].newer = at
        else:
            self.oldest[queue] = at
        self.newest[queue] = at

    cdef void leave_queue(self, uint32_t at) noexcept nogil:
        cdef Pending *pending = &self.pendings[at]
        if not pending.listed:
            return
        pending.listed = False
        if pending.older != NOBODY:
            self.pendings[pending.older].newer = pending.newer
        else:
            self.oldest[pending.queue] = pending.newer
        if pending.newer != NOBODY:
            self.pendings[pending.newer].older = pending.older
        else:
            self.newest[pending.queue] = pending.older

    cdef void recall_leg(self, uint32_t at, uint32_t leg) noexcept nogil:
        """Takes a leg back: its id means nothing from now on."""
        cdef Leg *one = &self.pendings[at].legs[leg]
        cdef uint32_t *link
        if one.state == LEG_NONE:
            return
        self.upstreams[one.upstream].outstanding -= 1
        if one.state == LEG_DATAGRAM:
            link = &self.by_id[id_bucket(one.port, one.id)]
            while link[0] != at * LEGS + leg:
                link = &self.pendings[link[0] // LEGS].legs[link[0] % LEGS].id_next
            link[0] = one.id_next
            self.ports[one.port].busy -= 1
        one.state = LEG_NONE

    cdef void unlist(self, uint32_t at) noexcept nogil:
        """Takes a question's running try back, whole."""
        self.leave_queue(at)
        self.recall_leg(at, 0)
        self.recall_leg(at, 1)

    cdef bint abandon(self, uint32_t at, uint32_t leg) noexcept nogil:
        """Takes a leg back that brought nothing; whether the question is still on its way by another."""
        self.recall_leg(at, leg)
        if self.pendings[at].legs[1 - leg].state != LEG_NONE:
            return True
        self.leave_queue(at)
        return False

    cdef bint linger(self, uint32_t at, uint32_t leg) noexcept nogil:
        """Takes the legs of an answered question back; now and then not the other one, which makes it a late question.

        Of two that are asked at once, the slower one is never heard: who is silent would never be known.
        """
        if self.pendings[at].legs[1 - leg].state == LEG_DATAGRAM and self.random32() & LATE == 0:
            self.recall_leg(at, leg)
            self.pendings[at].kind = KIND_LATE
            return True
        self.unlist(at)
        return False

    cdef uint32_t match(self, uint32_t port, const uint8_t *packet, uint32_t size, int64_t now) noexcept nogil:
        """The leg that a datagram from `port` answers, or NOBODY: nothing of ours, late, or forged.

        Four octets behind `size` are readable, whatever they hold.
        """
        cdef uint32_t id, at, i = 0, name_size
        cdef uint64_t word, bits
        cdef Leg *leg
        cdef const Query *query
        if size < HEADER or (get16(packet + 2) & 0xF800) != 0x8000:
            return NOBODY
        id = get16(packet)
        at = self.by_id[id_bucket(port, id)]
        while at != NOBODY:
            leg = &self.pendings[at // LEGS].legs[at % LEGS]
            if leg.port == port and leg.id == id:
                break
            at = leg.id_next
        if at == NOBODY:
            return NOBODY
        query = &self.pendings[at // LEGS].query
        name_size = query.name_size
        if size < HEADER + name_size + 4:
            return NOBODY
        bits = leg.case_bits
        while i < name_size:
            # What follows a name is read with it and left out of the comparison.
            word = load_word(query.name + i)
            word ^= capitals(word, bits) ^ load_word(packet + HEADER + i)
            if beginning(word, name_size - i):
                break
            bits = turned(bits)
            i += 8
        if i >= name_size:
            packet += HEADER + name_size
            if get16(packet) != query.qtype or get16(packet + 2) != query.qclass or get16(packet - name_size - HEADER + 4) != 1:
                return NOBODY
            if leg.case_bits:
                self.kept_case(leg.upstream)
            return at
        if not same_question(query, packet, size):
            return NOBODY
        if leg.case_bits == 0:
            return at
        # Right but for the case: forged, or from an upstream that does not keep it, which is asked again without.
        if self.lost_case(leg.upstream, now):
            id = leg.upstream
            self.recall_leg(at // LEGS, at % LEGS)
            self.launch(at // LEGS, at % LEGS, id, now)
        return NOBODY

    cdef bint untried(self, uint32_t at) noexcept nogil:
        """Whether an upstream of its group has not been asked yet."""
        return self.choose(self.pendings[at].bits >> GROUP_SHIFT, self.pendings[at].tried) != NO_UPSTREAM

    cdef uint32_t overdue(self, int64_t now) noexcept nogil:
        """A question whose try has timed out, its legs taken back; NOBODY where there is none."""
        cdef uint32_t queue, at, leg
        cdef Pending *pending
        cdef Leg *one
        for queue in range(QUEUES):
            at = self.oldest[queue]
            while at != NOBODY and now - self.pendings[at].queued_at >= self.timeout[queue]:
                pending = &self.pendings[at]
                self.leave_queue(at)
                for leg in range(LEGS):
                    one = &pending.legs[leg]
                    if one.state == LEG_NONE or (one.state == LEG_STREAM and queue != QUEUE_STREAM):
                        continue
                    if one.state == LEG_DATAGRAM:
                        # Its answer may still come: nothing else goes by this socket and id for a while.
                        self.quarantine[id_bucket(one.port, one.id) & (QUARANTINE - 1)] = (
                            <uint64_t>(<uint32_t>one.port << 16 | one.id) << 32 | <uint32_t>(now // 1000000 + QUARANTINE_SECONDS))
                    self.failed(one.upstream, now - one.sent_at, now)
                    self.recall_leg(at, leg)
                if pending.legs[0].state == LEG_NONE and pending.legs[1].state == LEG_NONE:
                    return at
                # A stream has longer.
                self.enlist(at, QUEUE_STREAM, now)
                at = self.oldest[queue]
        return NOBODY

    cdef void to_stream(self, uint32_t at, uint32_t leg, int64_t now) noexcept nogil:
        """Its answer was truncated: asks the same upstream over TCP, and nobody else, who would truncate as well."""
        cdef Pending *pending = &self.pendings[at]
        cdef uint32_t upstream = pending.legs[leg].upstream
        self.unlist(at)
        pending.legs[leg].upstream = <uint8_t>upstream
        pending.streamed = True
        self.upstreams[upstream].outstanding += 1
        self.hand(at, leg, now)
        self.enlist(at, QUEUE_STREAM, now)

    cdef uint32_t collect(self) noexcept nogil:
        """A leg to be handed out, or NOBODY; each is told once."""
        cdef uint32_t at
        cdef Leg *leg
        while self.handing_count:
            self.handing_count -= 1
            at = self.handing[self.handing_count]
            leg = &self.pendings[at // LEGS].legs[at % LEGS]
            leg.handing = False
            if leg.state == LEG_STREAM:
                return at
        return NOBODY

    cdef uint64_t ticket(self, uint32_t leg) noexcept nogil:
        """The name of a leg: place in the table, its use, and which of the legs handed out it is."""
        cdef const Pending *pending = &self.pendings[leg // LEGS]
        return <uint64_t>pending.generation << 32 | <uint32_t>pending.legs[leg % LEGS].handed << 16 | leg

    cdef uint32_t holder(self, uint64_t ticket) noexcept nogil:
        """The leg that was handed out under this name, or NOBODY: it has run out."""
        cdef uint32_t leg = <uint32_t>(ticket & 0xFFFF)
        if leg >= LEGS_MAX or self.pendings[leg // LEGS].legs[leg % LEGS].state != LEG_STREAM or self.ticket(leg) != ticket:
            return NOBODY
        return leg

    cdef void release(self, uint32_t at) noexcept nogil:
        """Lets go of the clients of a question: they have been answered."""
        cdef Pending *pending = &self.pendings[at]
        cdef uint32_t place = pending.waiters, next
        while place != NOBODY:
            next = self.waiters[place].next
            self.waiters[place].next = self.free_waiter
            self.free_waiter = place
            place = next
        pending.waiters = NOBODY
        pending.waiter_count = 0

    cdef void end(self, uint32_t at) noexcept nogil:
        """Forgets a question whose try is taken back and whose clients have been answered."""
        cdef Pending *pending = &self.pendings[at]
        cdef uint32_t *link = &self.by_key[self.key_bucket(pending.fingerprint, pending.query.qtype, pending.bits)]
        while link[0] != at:
            link = &self.pendings[link[0]].key_next
        link[0] = pending.key_next
        self.release(at)
        pending.generation += 1
        pending.key_next = self.free_pending
        self.free_pending = at
        self.outstanding -= 1


cdef inline uint32_t id_bucket(uint32_t port, uint32_t id) noexcept nogil:
    # Both are random: no mixing needed beyond spreading the port over the high bits.
    return (id ^ (port * 2654435761u >> 16)) & (BUCKETS - 1)

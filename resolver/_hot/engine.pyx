"""The packet path of one worker: what happens to a query, in which order, on every transport.

Holds always: one call takes at most a batch and returns; a datagram that cannot be sent costs itself alone; no Python
object is made for a query that the core settles; whatever a client sends, the worst it gets is silence.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from resolver._hot.answers cimport (
    Kept, normalise, targets_listed, write_judged, write_kept, write_truncated)
from resolver._hot.cache cimport (
    FOUND_AGEING, FOUND_NOTHING, FOUND_STALE, KEY_CD, KEY_DO, PAYLOAD_MAX, Cache, Entry, Found)
from resolver._hot.counters cimport (
    CELL_CACHE_HITS, CELL_CACHE_MISSES, CELL_FORWARDED, CELL_UPSTREAM_FAILURES, DROP_ACL, DROP_MALFORMED, DROP_OVERLOAD, DROP_SEND,
    TRANSPORTS, Counters)
from resolver._hot.cursor cimport get16, get32, put16
from resolver._hot.datagrams cimport BATCH, Datagrams
from resolver._hot.forward cimport NOBODY, PENDING_MAX, Client, Forwarder, Pending, Waiter
from resolver._hot.policy cimport ACTION_PASS, ACTION_SHADOW, Decision, Policy
from resolver._hot.socket cimport (
    CLOCK_MONOTONIC_COARSE, CLOCK_REALTIME_COARSE, MSG_DONTWAIT, clock_gettime, epoll_event, epoll_wait, recv, timespec)
from resolver._hot.tally cimport Tally
from resolver._hot.wire cimport (
    BADVERS, CD, CLASS_IN, EDE_NO_REACHABLE_AUTHORITY, EDE_NONE, EDE_PROHIBITED, EDE_STALE, FORMERR, HEADER, MESSAGE_MAX, NOTIMP, READ_BADVERS,
    READ_DROP, READ_FORMERR, READ_NOTIMP, READ_OK, Reading, RD, REFUSED, SERVFAIL, TC, TYPE_ANY, UDP_CLASSIC, UDP_LIMIT, Query,
    Response, pad, read_query, read_response, write_any, write_bare, write_error)

cdef enum:
    ROUNDS = 8                  # batches a call takes before other work gets its turn
    UDP = 1
    DOT = 3                     # this and those above it are encrypted
    FAILURE_SECONDS = 5         # RFC 9520 3.2
    STALE_TTL = 30              # RFC 8767 4
    RECHECK_SECONDS = 30        # RFC 8767 5: between attempts to refresh what has expired
    PATIENCE_MS = 1800          # RFC 8767 5: the client response timer
    LAST_TRY = 2


cdef class Engine:
    """A worker's packet path over its parts.

    Args:
        policy: The rules to begin with; `use` swaps them.
        cache: The shared cache.
        counters: This worker's counters.
        tally: This worker's hits per listed name.
        forwarder: Questions on their way.
        ttl_max: Longest time an answer is kept and told, seconds.
    """

    cdef Policy policy
    cdef Cache cache
    cdef Counters counters
    cdef Tally tally
    cdef Forwarder forwarder
    cdef uint32_t ttl_max
    cdef uint32_t now           # seconds, monotonic
    cdef int64_t now_ms         # milliseconds, monotonic
    cdef int64_t wall           # seconds since 1970
    cdef bint pending           # the last query settled waits for an upstream
    cdef bint padding           # its client wants the answer's length hidden
    cdef Datagrams datagrams
    cdef uint8_t scratch[MESSAGE_MAX + 64]
    cdef uint8_t response[MESSAGE_MAX + 1]
    cdef list settled           # (token, answer) of streams
    cdef list truncated         # what Python asks over TCP

    def __cinit__(self, Policy policy not None, Cache cache not None, Counters counters not None, Tally tally not None,
                  Forwarder forwarder not None, uint32_t ttl_max):
        cdef int i
        self.policy = policy
        self.cache = cache
        self.counters = counters
        self.tally = tally
        self.forwarder = forwarder
        self.ttl_max = ttl_max
        self.settled = []
        self.truncated = []
        self.datagrams = Datagrams()
        self.clock()

    def use(self, Policy policy not None):
        """Swaps the rules: the next query is judged by the new ones, whatever the cache holds."""
        self.policy = policy

    @property
    def outstanding(self):
        """Questions on their way to upstreams."""
        return self.forwarder.outstanding

    # What comes in ----------------------------------------------------------------------------------------------------

    def drain(self, int fd, bint wildcard):
        """Takes what waits on a UDP socket, answers it, returns.

        Args:
            fd: The socket, not blocking.
            wildcard: It is bound to every address and tells (IP_PKTINFO) by which one a query came.
        """
        cdef Datagrams datagrams = self.datagrams
        cdef int count, i, rounds
        cdef uint32_t size
        cdef Client *client
        self.clock()
        for rounds in range(ROUNDS):
            count = datagrams.receive(fd, wildcard)
            if count < 0:
                return
            for i in range(count):
                client = &datagrams.clients[i]
                if client.transport != UDP:
                    # From port 0: nothing can be sent there.
                    self.counters.drop(DROP_MALFORMED)
                    continue
                size = self.settle(datagrams.packet(i), datagrams.size(i), client, self.room(fd))
                if size:
                    datagrams.post(client, size)
            self.flush()
            if count < BATCH:
                return

    def answer(self, bytes query not None, bytes address not None, uint32_t transport, uint64_t token, int profile=-1):
        """Settles a query that came by a stream.

        Args:
            query: The message without its length.
            address: The client's, 16 bytes, IPv4 mapped.
            transport: As lachan.compliance.v1.Transport numbers them.
            token: The caller's name for the query; `collect` tells it again.
            profile: The one that the client asked for by path or server name; -1 where its network decides.

        Returns:
            The answer, empty where there is none to be given, or None where it comes later by `collect`.

        Raises:
            ValueError: The address has another length, or the transport is none that is counted.
        """
        cdef Client client
        cdef uint32_t size
        cdef const uint8_t *at
        if PyBytes_GET_SIZE(address) != 16:
            raise ValueError("an address has 16 bytes")
        if profile >= <int>self.policy.profile_count:
            raise ValueError(f"there is no profile {profile}")
        if transport >= TRANSPORTS:
            raise ValueError(f"there is no transport {transport}")
        at = <const uint8_t *>PyBytes_AS_STRING(address)
        client.fd = -1
        client.transport = transport
        client.token = token
        client.profile = profile
        client.address_size = client.control_size = 0
        client.high = <uint64_t>get32(at) << 32 | get32(at + 4)
        client.low = <uint64_t>get32(at + 8) << 32 | get32(at + 12)
        self.clock()
        size = self.settle(<const uint8_t *>PyBytes_AS_STRING(query), <uint32_t>PyBytes_GET_SIZE(query), &client, self.scratch)
        if size == 0 and self.pending:
            return None
        if self.padding and transport >= DOT:
            size = pad(self.scratch, size, MESSAGE_MAX)
        return PyBytes_FromStringAndSize(<char *>self.scratch, size)

    def hear(self):
        """Takes what upstreams have answered, up to a few batches, and answers those who waited."""
        cdef epoll_event events[BATCH]
        cdef int count, i, rounds
        cdef ssize_t size
        cdef uint32_t port, at
        self.clock()
        for rounds in range(ROUNDS):
            count = epoll_wait(self.forwarder.fd, events, BATCH, 0)
            for i in range(count):
                port = events[i].data.u32
                size = recv(self.forwarder.ports[port].fd, self.response, MESSAGE_MAX, MSG_DONTWAIT)
                if size <= 0:
                    continue
                at = self.forwarder.match(port, self.response, <uint32_t>size)
                if at != NOBODY:
                    self.conclude(at, <uint32_t>size, True)
            if count < BATCH:
                break
        self.flush()

    def collect(self):
        """Answers to queries of streams that waited: (token, answer) each; empty where nobody answered them."""
        settled, self.settled = self.settled, []
        return settled

    def collect_truncated(self):
        """What to ask again over TCP: (ticket, upstream's number, question, KEY_ bits); `deliver` brings the answer."""
        truncated, self.truncated = self.truncated, []
        return truncated

    def deliver(self, uint64_t ticket, bytes response):
        """Brings what an upstream said over TCP, or None where it failed; a ticket that ran out is ignored."""
        cdef uint32_t at = <uint32_t>(ticket & 0xFFFFFFFF)
        cdef Pending *pending
        self.clock()
        if at >= PENDING_MAX:
            return
        pending = &self.forwarder.pendings[at]
        if pending.generation != ticket >> 32 or not pending.stream:
            return
        if response is not None and PyBytes_GET_SIZE(response) <= MESSAGE_MAX:
            memcpy(self.response, PyBytes_AS_STRING(response), PyBytes_GET_SIZE(response))
            self.conclude(at, <uint32_t>PyBytes_GET_SIZE(response), False)
        else:
            self.give_up(at)
        self.flush()

    def tick(self):
        """Tries again what timed out, and gives up what has no try left; due every few tens of milliseconds."""
        cdef uint32_t at
        self.clock()
        at = self.forwarder.oldest[LAST_TRY]
        while at != NOBODY and self.now_ms - self.forwarder.pendings[at].begun_at >= PATIENCE_MS:
            # Clients give up soon: what was known last is better than nothing.
            if self.forwarder.pendings[at].waiters != NOBODY:
                self.tell_stale(at)
            at = self.forwarder.pendings[at].newer
        while True:
            at = self.forwarder.overdue(self.now_ms)
            if at == NOBODY:
                break
            if self.forwarder.pendings[at].stream or not self.forwarder.send(at, self.now_ms):
                self.forwarder.pendings[at].tries = 0
                self.give_up(at)
        self.flush()

    # The order ----------------------------------------------------------------------------------------------------------

    cdef uint32_t settle(self, const uint8_t *packet, uint32_t size, Client *client, uint8_t *out) noexcept nogil:
        """Decides a query; the size of the answer in `out`, or 0: dropped, or on its way (`pending`).

        `out` has OUT_BYTES for UDP and MESSAGE_MAX for streams.
        """
        cdef Query query
        cdef Decision decision
        cdef uint32_t written
        cdef int profile
        cdef Reading reading
        self.pending = self.padding = False
        # 1. Whoever is no client of ours costs a lookup and nothing more.
        profile = self.policy.profile_of(client.high, client.low)
        if profile < 0 and not self.policy.refuse:
            self.counters.drop(DROP_ACL)
            return 0
        # 2. Nothing below may trust a byte that has not been read here.
        reading = read_query(packet, size, &query)
        if reading == READ_DROP:
            self.counters.drop(DROP_MALFORMED)
            return 0
        self.padding = query.padded
        if profile < 0:
            return self.told(client, 0, REFUSED, write_error(out, &query, REFUSED, EDE_PROHIBITED) if reading == READ_OK else write_bare(out, packet, REFUSED))
        if client.profile >= 0:
            profile = client.profile
        if reading == READ_FORMERR:
            return self.told(client, profile, FORMERR, write_bare(out, packet, FORMERR))
        if reading == READ_NOTIMP:
            return self.told(client, profile, NOTIMP, write_bare(out, packet, NOTIMP))
        if reading == READ_BADVERS:
            return self.told(client, profile, BADVERS, write_error(out, &query, BADVERS, EDE_NONE))
        # 3. The list speaks of the Internet's names only; of other classes we know nothing.
        if query.qclass != CLASS_IN:
            return self.told(client, profile, REFUSED, write_error(out, &query, REFUSED, EDE_NONE))
        # 4. Policy stands before the cache: an answer kept from yesterday cannot pass today's list.
        cdef uint64_t fingerprint = self.policy.decide(query.name, query.label_at, query.labels, profile, &decision)
        if decision.action != ACTION_PASS:
            self.hit(&decision)
            if decision.action != ACTION_SHADOW:
                return self.told(client, profile, 0xFFFF, self.policy.write(out, &query, &decision), out)
        # 5. Who does not ask for recursion asks what others asked before (cache snooping).
        if not query.flags & RD:
            return self.told(client, profile, REFUSED, write_error(out, &query, REFUSED, EDE_PROHIBITED))
        # 6. Types that mean more than one type: no recursion can answer them well.
        if query.qtype == TYPE_ANY:
            return self.told(client, profile, 0, write_any(out, &query))
        if 249 <= query.qtype <= 254:
            return self.told(client, profile, NOTIMP, write_error(out, &query, NOTIMP, EDE_NONE))
        # 7. What is known already.
        cdef uint16_t bits = (KEY_DO if query.want_dnssec else 0) | (KEY_CD if query.flags & CD else 0)
        cdef uint32_t limit = MESSAGE_MAX
        if client.transport == UDP:
            limit = query.udp_size if query.udp_size < UDP_LIMIT else UDP_LIMIT
        written = self.recall(&query, fingerprint, bits, profile, limit, out)
        if written:
            self.counters.add(CELL_CACHE_HITS)
            return self.told(client, profile, 0xFFFF, written, out)
        self.counters.add(CELL_CACHE_MISSES)
        # 8. The same question on its way already.
        cdef uint32_t at = self.forwarder.join(fingerprint, &query, bits)
        cdef bint fresh = at == NOBODY
        # 9. A question of its own.
        if fresh:
            at = self.forwarder.begin(fingerprint, &query, bits, self.now_ms)
            if at == NOBODY:
                self.counters.drop(DROP_OVERLOAD)
                return 0
        if not self.forwarder.wait(at, &query, client, profile):
            self.counters.drop(DROP_OVERLOAD)
            if fresh:
                self.forwarder.end(at)
            return 0
        if fresh:
            self.counters.add(CELL_FORWARDED)
            if not self.forwarder.send(at, self.now_ms):
                self.forwarder.end(at)
                return self.told(client, profile, SERVFAIL, write_error(out, &query, SERVFAIL, EDE_NO_REACHABLE_AUTHORITY))
        self.pending = True
        return 0

    cdef void hit(self, const Decision *decision) noexcept nogil:
        """Counts a query that met a listed name."""
        self.counters.blocked(decision.category, decision.action)
        self.tally.add(decision.fingerprint, self.wall)

    cdef uint32_t told(self, const Client *client, uint32_t profile, uint32_t rcode, uint32_t size, const uint8_t *out=NULL) noexcept nogil:
        """Counts an answer; its size. Where `rcode` is 0xFFFF, the answer itself tells."""
        self.counters.query(client.transport, profile, out[3] & 15 if rcode == 0xFFFF else rcode)
        return size

    cdef uint32_t recall(self, const Query *query, uint64_t fingerprint, uint16_t bits, uint32_t profile, uint32_t limit,
                         uint8_t *out) noexcept nogil:
        """The cache's answer for this client, or 0."""
        cdef Entry entry
        cdef Kept kept
        cdef Found found = self.cache.get(fingerprint, query, bits, self.now, False, &entry)
        if found == FOUND_NOTHING:
            return 0
        if found == FOUND_AGEING:
            self.refresh(query, fingerprint, bits)
        if self.keep(&entry, found == FOUND_STALE, &kept):
            return self.write_for(query, profile, limit, &kept, out)
        return write_kept(out, limit, query, &kept)

    cdef bint keep(self, const Entry *entry, bint stale, Kept *kept) noexcept nogil:
        """Makes a cached answer ready to be written; whether it leads to a name that is listed for somebody."""
        cdef uint32_t verdict
        kept.packet = entry.packet
        kept.size = entry.head.packet_size
        kept.ttls = entry.ttls
        kept.ttl_count = entry.head.ttl_count
        kept.age = 0 if stale else self.now - entry.head.stored_at
        kept.ttl_max = STALE_TTL if stale else self.ttl_max
        kept.ede = EDE_STALE if stale else EDE_NONE
        if not entry.head.targets:
            return False
        verdict = <uint32_t>entry.head.verdict
        if entry.head.verdict >> 32 != entry.head.sequence or verdict >> 1 != self.policy.epoch & 0x7FFFFFFF:
            verdict = self.policy.epoch << 1 | targets_listed(self.policy, kept.packet, kept.size)
            self.cache.judge(entry, verdict)
        return verdict & 1

    cdef void refresh(self, const Query *query, uint64_t fingerprint, uint16_t bits) noexcept nogil:
        """Asks again for an answer that many ask for, before it expires; nobody waits for it."""
        cdef uint32_t at
        if self.forwarder.join(fingerprint, query, bits) != NOBODY:
            return
        at = self.forwarder.begin(fingerprint, query, bits, self.now_ms)
        if at != NOBODY and not self.forwarder.send(at, self.now_ms):
            self.forwarder.end(at)

    cdef uint32_t write_for(self, const Query *query, uint32_t profile, uint32_t limit, const Kept *kept, uint8_t *out) noexcept nogil:
        """An answer that leads to a listed name, as the client's profile would have it."""
        cdef Decision decision
        cdef uint32_t written = write_judged(self.scratch, self.policy, profile, query, kept, &decision)
        if decision.action != ACTION_PASS:
            self.hit(&decision)
        if not written:
            return write_kept(out, limit, query, kept)
        if written > limit:
            return write_truncated(out, query)
        if out != self.scratch:
            memcpy(out, self.scratch, written)
        return written

    # What upstreams say -------------------------------------------------------------------------------------------------

    cdef void conclude(self, uint32_t at, uint32_t size, bint datagram) noexcept:
        """Weighs the answer in `response` to a question; keeps it, tells it, or tries elsewhere."""
        cdef Pending *pending = &self.forwarder.pendings[at]
        cdef Response response
        cdef Kept kept
        cdef uint32_t verdict = 0, ttl
        if not read_response(self.response, size, &response):
            # Id and question were right, the rest is not a message: as if it had not come.
            if not datagram:
                self.give_up(at)
            return
        self.forwarder.heard(at)
        if datagram and response.flags & TC:
            self.forwarder.to_stream(at, self.now_ms)
            self.truncated.append((<uint64_t>pending.generation << 32 | at, pending.upstream,
                                   PyBytes_FromStringAndSize(<char *>pending.question, pending.query.question_end), pending.bits))
            return
        if response.rcode == SERVFAIL or response.rcode == REFUSED or response.rcode == NOTIMP or response.rcode == FORMERR or response.rcode > 15:
            self.counters.add(CELL_UPSTREAM_FAILURES)
            # Another upstream may know better; where there is none, this answer is the answer.
            if datagram and self.forwarder.upstream_count > 1 and pending.tries < self.forwarder.upstream_count:
                self.forwarder.unlist(at)
                if self.forwarder.send(at, self.now_ms):
                    return
                pending.tries = 0
            if response.rcode > 15:
                self.give_up(at)
                return
        self.forwarder.unlist(at)
        if response.rcode == SERVFAIL and self.tell_stale(at):
            self.forwarder.end(at)
            return
        normalise(self.response, &response)
        if response.targets:
            verdict = self.policy.epoch << 1 | targets_listed(self.policy, self.response, response.end)
        ttl = response.ttl if response.ttl < self.ttl_max else self.ttl_max
        if ttl and response.end <= PAYLOAD_MAX:
            self.cache.put(pending.fingerprint, &pending.query, pending.bits, self.now, self.response, &response, ttl, verdict)
        kept.packet = self.response
        kept.size = response.end
        kept.ttls = <const uint8_t *>response.ttl_at
        kept.ttl_count = response.ttl_count if response.ttl_count <= 128 else 0
        kept.age = 0
        kept.ttl_max = self.ttl_max
        kept.ede = EDE_NONE
        self.tell(pending, &kept, verdict & 1)
        self.forwarder.end(at)

    cdef void give_up(self, uint32_t at) noexcept:
        """Nobody answers this question: what was known last, or SERVFAIL, to all who wait and who ask right after."""
        cdef Pending *pending = &self.forwarder.pendings[at]
        cdef Response response
        cdef uint8_t packet[272]
        if pending.tries:
            self.forwarder.unlist(at)
        self.counters.add(CELL_UPSTREAM_FAILURES)
        if self.tell_stale(at):
            self.forwarder.end(at)
            return
        memset(&response, 0, sizeof(Response))
        memcpy(packet, pending.question, pending.query.question_end)
        put16(packet + 2, 0x8000 | SERVFAIL)
        memcpy(packet + 4, b"\0\1\0\0\0\0\0\0", 8)
        response.end = pending.query.question_end
        self.cache.put(pending.fingerprint, &pending.query, pending.bits, self.now, packet, &response, FAILURE_SECONDS, 0)
        self.tell(pending, NULL, False)
        self.forwarder.end(at)

    cdef bint tell_stale(self, uint32_t at) noexcept:
        """Tells all who wait what was known before it expired (RFC 8767), where that is still kept."""
        cdef Pending *pending = &self.forwarder.pendings[at]
        cdef Entry entry
        cdef Kept kept
        cdef bint listed
        if self.cache.get(pending.fingerprint, &pending.query, pending.bits, self.now, True, &entry) != FOUND_STALE:
            return False
        self.cache.spare(&entry, self.now + RECHECK_SECONDS)
        listed = self.keep(&entry, True, &kept)
        self.tell(pending, &kept, listed)
        self.forwarder.release(at)
        return True

    cdef void tell(self, const Pending *pending, const Kept *kept, bint listed) noexcept:
        """Answers everyone who waits, each under its own profile and with its own id, case, size and OPT."""
        cdef uint32_t place = pending.waiters, size, limit
        cdef Waiter *waiter
        cdef Query query
        cdef uint8_t *out
        cdef bint datagram
        memcpy(&query, &pending.query, sizeof(Query))
        while place != NOBODY:
            waiter = &self.forwarder.waiters[place]
            place = waiter.next
            query.packet = waiter.question
            query.id = get16(waiter.question)
            query.flags = waiter.flags
            query.edns = waiter.edns
            query.want_dnssec = waiter.want_dnssec
            query.udp_size = waiter.udp_size
            datagram = waiter.client.transport == UDP
            limit = MESSAGE_MAX
            out = self.scratch
            if datagram:
                limit = query.udp_size if query.udp_size < UDP_LIMIT else UDP_LIMIT
                out = self.room(waiter.client.fd)
            if kept == NULL:
                size = write_error(out, &query, SERVFAIL, EDE_NO_REACHABLE_AUTHORITY)
            elif listed:
                size = self.write_for(&query, waiter.profile, limit, kept, out)
            else:
                size = write_kept(out, limit, &query, kept)
            self.told(&waiter.client, waiter.profile, 0xFFFF, size, out)
            if datagram:
                self.datagrams.post(&waiter.client, size)
            else:
                if waiter.padded and waiter.client.transport >= DOT:
                    size = pad(out, size, MESSAGE_MAX)
                self.settled.append((waiter.client.token, PyBytes_FromStringAndSize(<char *>out, size)))

    # Sockets and clocks -------------------------------------------------------------------------------------------------

    cdef void clock(self) noexcept nogil:
        """Reads the clocks once a call: a tick's worth of delay changes no answer."""
        cdef timespec now
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
        self.now = <uint32_t>now.tv_sec
        self.now_ms = <int64_t>now.tv_sec * 1000 + now.tv_nsec // 1000000
        clock_gettime(CLOCK_REALTIME_COARSE, &now)
        self.wall = now.tv_sec
        self.counters.at(self.wall)

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

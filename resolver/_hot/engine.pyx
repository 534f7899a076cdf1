"""A worker's engine: takes queries in batches and from streams, hears upstreams, sends what is to be said.

Holds always: one call takes at most a batch of batches and returns; a datagram that cannot be sent costs itself alone; no
Python object is made for a query that comes by UDP and is answered by it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from resolver._hot.alias cimport write_alias
from resolver._hot.answers cimport Kept, normalise, targets_listed, write_kept, write_truncated
from resolver._hot.cache cimport FOUND_NOTHING, FOUND_STALE, PAYLOAD_MAX, Entry, Found
from resolver._hot.contacts cimport Contacts
from resolver._hot.cookies cimport COOKIE_CLIENT, COOKIE_NONE, COOKIE_OPTION_BYTES
from resolver._hot.counters cimport CELL_UPSTREAM_FAILURES, DROP_MALFORMED, DROP_OVERLOAD, DROP_SEND, TRANSPORTS
from resolver._hot.cursor cimport get16, get32, put16
from resolver._hot.datagrams cimport BATCH, Datagrams
from resolver._hot.forward cimport NO_ALIAS, NOBODY, Client, Pending, Waiter
from resolver._hot.settle cimport COUNT_AS_WRITTEN, DOT, UDP, Settler
from resolver._hot.socket cimport MSG_DONTWAIT, epoll_event, epoll_wait, recv
from resolver._hot.wire cimport (
    EDE_NO_REACHABLE_AUTHORITY, EDE_NONE, FORMERR, HEADER, MESSAGE_MAX, NOTIMP, READ_OK, REFUSED, SERVFAIL, TC, UDP_LIMIT, Query,
    Response, pad, read_query, read_response, same_question, write_error)

cdef enum:
    ROUNDS = 8                  # batches a call takes before other work gets its turn
    FAILURE_SECONDS = 5         # RFC 9520 3.2: a failure is kept so long, one right after it twice as long,
    FAILURE_SECONDS_MOST = 300  # and so on up to this
    RECHECK_SECONDS = 30        # RFC 8767 5: between attempts to refresh what has expired
    PATIENCE_MS = 1800          # RFC 8767 5: the client response timer
    LAST_TRY = 2
    ASKED_MAX = 64              # queries that wait for Python

cdef struct Asked:
    uint32_t generation
    bint waits
    Client client

cdef class Engine(Settler):
    """A `Settler` with its sockets."""

    cdef Datagrams datagrams
    cdef uint8_t response[MESSAGE_MAX + 1]
    cdef Contacts contacts
    cdef list settled           # (token, answer) of streams
    cdef list asked             # what Python answers
    cdef Asked asked_by[ASKED_MAX]

    def __cinit__(self, *parts):
        self.settled = []
        self.asked = []
        self.datagrams = Datagrams()
        self.contacts = Contacts({})

    def refer_to(self, Contacts contacts not None):
        """Whom clients that ask for it, over an encrypted transport, are told to turn to where a name is blocked."""
        self.contacts = contacts

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
        cdef uint8_t *out
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
                out = self.room(fd)
                size = self.settle(datagrams.packet(i), datagrams.size(i), client, out)
                if size:
                    if self.checked != COOKIE_NONE:
                        size = self.guard.prove(out, size, &self.query, client, self.checked, self.wall)
                    datagrams.post(client, size)
                elif self.asks:
                    self.hand_over(datagrams.packet(i), datagrams.size(i), client)
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
        if size == 0 and self.asks:
            waits = self.hand_over(<const uint8_t *>PyBytes_AS_STRING(query), <uint32_t>PyBytes_GET_SIZE(query), &client)
            return None if waits else b""
        if size == 0 and self.pending:
            return None
        if size and self.checked != COOKIE_NONE and size + COOKIE_OPTION_BYTES <= MESSAGE_MAX:
            size = self.guard.prove(self.scratch, size, &self.query, &client, self.checked, self.wall)
        if size and self.query.structured and transport >= DOT:
            size = self.contacts.tell(self.scratch, size, MESSAGE_MAX)
        if size and self.query.padded and transport >= DOT:
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

    def collect_streamed(self):
        """What to ask over a stream: (ticket, upstream's number, question, KEY_ bits); `deliver` brings the answer.

        A question goes to a stream because its upstream is reached by nothing else, or because its answer was truncated.
        """
        cdef list streamed = []
        cdef uint32_t at = self.forwarder.collect()
        cdef const Pending *pending
        while at != NOBODY:
            pending = &self.forwarder.pendings[at]
            streamed.append((self.forwarder.ticket(at), pending.upstream,
                             PyBytes_FromStringAndSize(<char *>pending.question, pending.query.question_end), pending.bits))
            at = self.forwarder.collect()
        return streamed

    def deliver(self, uint64_t ticket, bytes response):
        """Brings what an upstream said over a stream, or None where it failed; a ticket that ran out is ignored."""
        cdef uint32_t at
        self.clock()
        at = self.forwarder.holder(ticket)
        if at == NOBODY:
            return
        if (response is not None and PyBytes_GET_SIZE(response) <= MESSAGE_MAX
                and same_question(&self.forwarder.pendings[at].query, <const uint8_t *>PyBytes_AS_STRING(response),
                                  <uint32_t>PyBytes_GET_SIZE(response))):
            memcpy(self.response, PyBytes_AS_STRING(response), PyBytes_GET_SIZE(response))
            self.conclude(at, <uint32_t>PyBytes_GET_SIZE(response), False)
        else:
            self.forwarder.failed(self.forwarder.pendings[at].upstream, self.now_ms)
            self.again(at)
        self.flush()

    def tick(self):
        """Tries again what timed out, and gives up what has no try left; due every few tens of milliseconds."""
        cdef uint32_t at
        self.clock()
        at = self.forwarder.oldest[LAST_TRY]
        while at != NOBODY and self.now_ms - self.forwarder.pendings[at].begun_at >= PATIENCE_MS:
            # Clients give up soon: what was known last is better than nothing.
            if self.forwarder.pendings[at].waiters != NOBODY:
                self.fall_back(at)
            at = self.forwarder.pendings[at].newer
        while True:
            at = self.forwarder.overdue(self.now_ms)
            if at == NOBODY:
                break
            self.again(at)
        self.flush()

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
                self.again(at)
            return
        self.forwarder.heard(at)
        if datagram and response.flags & TC:
            self.forwarder.hand_out(at, self.now_ms)
            return
        if response.rcode == SERVFAIL or response.rcode == REFUSED or response.rcode == NOTIMP or response.rcode == FORMERR or response.rcode > 15:
            self.counters.add(CELL_UPSTREAM_FAILURES)
            # Another upstream may know better; where there is none, what was known last is better than this.
            if self.forwarder.upstream_count > 1 and pending.tries < self.forwarder.upstream_count:
                self.forwarder.unlist(at)
                if self.forwarder.send(at, self.now_ms):
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
        self.forwarder.unlist(at)
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
        kept.private = response.private and self.policy.shields
        self.tell(pending, &kept, verdict & 1 or kept.private)
        self.finish(at)

    cdef void again(self, uint32_t at) noexcept:
        """The running try has failed: the next one, or nobody answers.

        A stream is no place of chance: where it failed, only another upstream can do better.
        """
        cdef Pending *pending = &self.forwarder.pendings[at]
        self.forwarder.unlist(at)
        if (pending.stream and pending.tried + 1 == 1 << self.forwarder.upstream_count) or not self.forwarder.send(at, self.now_ms):
            self.give_up(at)

    cdef void give_up(self, uint32_t at) noexcept:
        """Nobody answers this question: what was known last, or SERVFAIL, to all who wait and who ask right after."""
        cdef Pending *pending = &self.forwarder.pendings[at]
        cdef Response response
        cdef uint8_t packet[272]
        self.forwarder.unlist(at)
        self.counters.add(CELL_UPSTREAM_FAILURES)
        if self.fall_back(at):
            self.finish(at)
            return
        memset(&response, 0, sizeof(Response))
        memcpy(packet, pending.question, pending.query.question_end)
        put16(packet + 2, 0x8000 | SERVFAIL)
        memcpy(packet + 4, b"\0\1\0\0\0\0\0\0", 8)
        response.end = pending.query.question_end
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
            query.packet = &pending.question[0] if alias else &waiter.question[0]
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

    # What Python answers ------------------------------------------------------------------------------------------------

    cdef bint hand_over(self, const uint8_t *packet, uint32_t size, const Client *client) noexcept:
        """Leaves a query to Python; False where so many wait that there is no room: whoever asked may ask again."""
        cdef uint32_t at = 0
        while at < ASKED_MAX and self.asked_by[at].waits:
            at += 1
        if at == ASKED_MAX:
            self.counters.drop(DROP_OVERLOAD)
            return False
        self.asked_by[at].waits = True
        self.asked_by[at].generation += 1
        self.asked_by[at].client = client[0]
        self.asked.append((<uint64_t>self.asked_by[at].generation << 32 | at, PyBytes_FromStringAndSize(<char *>packet, size)))
        return True

    def collect_asked(self):
        """Queries for Python to answer: (ticket, message); each is to be told by `reply`, whatever comes of it."""
        asked, self.asked = self.asked, []
        return asked

    def reply(self, uint64_t ticket, bytes query not None, bytes response):
        """Tells the answer to a query that was handed over, or SERVFAIL for None; a ticket is told once.

        Args:
            ticket: As `collect_asked` told it.
            query: The message, as it told it.
            response: A whole message with its OPT last, where it has one; one too long for the client is truncated.
        """
        cdef uint32_t at = <uint32_t>(ticket & 0xFFFFFFFF), size, limit = MESSAGE_MAX
        cdef Client client
        cdef Query read
        cdef uint8_t *out = self.scratch
        cdef int profile
        self.clock()
        if at >= ASKED_MAX or not self.asked_by[at].waits or self.asked_by[at].generation != ticket >> 32:
            return
        self.asked_by[at].waits = False
        client = self.asked_by[at].client
        if read_query(<const uint8_t *>PyBytes_AS_STRING(query), <uint32_t>PyBytes_GET_SIZE(query), &read) != READ_OK:
            return
        if self.guard.cookies is None:
            read.cookie_size = 0
        if client.transport == UDP:
            limit = read.udp_size if read.udp_size < UDP_LIMIT else UDP_LIMIT
            if read.cookie_size:
                limit -= COOKIE_OPTION_BYTES
            out = self.room(client.fd)
        if response is None or PyBytes_GET_SIZE(response) < HEADER or PyBytes_GET_SIZE(response) > MESSAGE_MAX:
            size = write_error(out, &read, SERVFAIL, EDE_NONE)
        elif PyBytes_GET_SIZE(response) > limit:
            size = write_truncated(out, &read)
        else:
            size = <uint32_t>PyBytes_GET_SIZE(response)
            memcpy(out, PyBytes_AS_STRING(response), size)
        profile = client.profile if client.profile >= 0 else self.policy.profile_of(client.high, client.low)
        self.told(&client, profile if profile >= 0 else 0, COUNT_AS_WRITTEN, size, out)
        self.send_to(&client, &read, size, out)
        self.flush()

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

    # Sockets -------------------------------------------------------------------------------------------------------------

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

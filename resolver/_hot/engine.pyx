"""A worker's engine: takes queries in batches and from streams, hears upstreams, sends what is to be said.

Holds always: one call takes at most a batch of batches and returns; a datagram that cannot be sent costs itself alone; no
Python object is made for a query that comes by UDP and is answered by it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from resolver._hot.answers cimport write_truncated
from resolver._hot.cache cimport KEY_CD, KEY_DO
from resolver._hot.conclude cimport Concluder
from resolver._hot.contacts cimport Contacts
from resolver._hot.cookies cimport COOKIE_NONE, COOKIE_OPTION_BYTES
from resolver._hot.counters cimport DROP_MALFORMED, DROP_OVERLOAD, TRANSPORTS
from resolver._hot.cursor cimport get16, get32, put16
from resolver._hot.datagrams cimport BATCH, Datagrams
from resolver._hot.forward cimport KIND_HEALTH, KIND_LOOP, LEGS, NOBODY, QUEUES, Client, Pending
from resolver._hot.settle cimport COUNT_AS_WRITTEN, DOT, UDP, Seen
from resolver._hot.socket cimport MSG_DONTWAIT, epoll_event, epoll_wait, recv
from resolver._hot.upstreams cimport NO_UPSTREAM
from resolver._hot.wire cimport (
    EDE_NONE, HEADER, MESSAGE_MAX, READ_OK, SERVFAIL, UDP_LIMIT, Query, pad, read_query, same_question, write_error)

cdef enum:
    ROUNDS = 8                  # batches a call takes before other work gets its turn
    FEW = 8                     # so few of a batch: it was all there was
    PATIENCE = 1800000          # microseconds; RFC 8767 5: the client response timer
    LAST_TRY = 2                # and the queue of streams behind it
    ASKED_MAX = 64              # queries that wait for Python
    FRAMED_BYTES = 65536        # answers of a stream that one call writes, and the one that goes beyond
    LENGTH = 2                  # RFC 1035 4.2.2: each message of a stream stands behind its own

STREAM_DONE, STREAM_FULL, STREAM_NOISE = range(3)

cdef struct Asked:
    uint32_t generation
    bint waits
    Client client

cdef class Engine(Concluder):
    """A `Concluder` with its sockets."""

    cdef Seen batch[BATCH]
    cdef list asked             # what Python answers
    cdef object notified
    cdef Asked asked_by[ASKED_MAX]
    cdef uint8_t framed[FRAMED_BYTES + LENGTH + MESSAGE_MAX + 64]     # room as in `scratch` behind the last

    def __cinit__(self, *parts):
        self.asked = []

    def refer_to(self, Contacts contacts not None):
        """Whom clients that ask for it, over an encrypted transport, are told to turn to where a name is blocked."""
        self.contacts = contacts

    @property
    def outstanding(self):
        """Questions on their way to upstreams."""
        return self.forwarder.outstanding

    # What comes in ----------------------------------------------------------------------------------------------------

    def notify(self, notified not None):
        """Has this called after a batch that left something to Python: questions on their way, queries to answer."""
        self.notified = notified

    def drain(self, int fd, bint wildcard):
        """Takes what waits on a UDP socket, answers it, returns; what `notify` named is told of work for Python.

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
                break
            for i in range(count):
                self.look(datagrams.packet(i), datagrams.size(i), &datagrams.clients[i], &self.batch[i])
            for i in range(count):
                self.fetch(&self.batch[i])
            for i in range(count):
                client = &datagrams.clients[i]
                if client.transport != UDP:
                    # From port 0: nothing can be sent there.
                    self.counters.drop(DROP_MALFORMED)
                    continue
                out = self.room(fd)
                size = self.settle(&self.batch[i], client, out)
                if size:
                    if self.checked != COOKIE_NONE:
                        size = self.guard.prove(out, size, &self.batch[i].query, client, self.checked, self.wall)
                    datagrams.post_to(client, size)
                elif self.asks:
                    self.hand_over(datagrams.packet(i), datagrams.size(i), client)
            self.flush()
            # Where many came, more have come meanwhile: asking for them costs less than being woken for them.
            if count < FEW:
                break
        if self.notified is not None and (self.forwarder.outstanding or self.asked):
            self.notified()

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
        cdef uint32_t size = <uint32_t>PyBytes_GET_SIZE(query)
        cdef const uint8_t *packet = <const uint8_t *>PyBytes_AS_STRING(query)
        self.introduce(&client, address, transport, profile)
        client.token = token
        self.clock()
        self.look(packet, size, &client, &self.single)
        size = self.say(packet, size, &self.single, &client, self.scratch)
        return None if size == 0 and self.pending else PyBytes_FromStringAndSize(<char *>self.scratch, size)

    def answer_framed(self, data not None, size_t at, bytes address not None, uint32_t transport, uint64_t token, int profile,
                      uint32_t most):
        """Settles every complete message of what came by a stream, each behind its length (RFC 7766 8).

        Args:
            data: What came: bytes or a bytearray.
            at: Where its first message begins.
            address, transport, profile: As for `answer`.
            token: The caller's name for the first query that waits; those after it have the numbers that follow.
            most: How many of them may wait; what comes after is left.

        Returns:
            Where the first message begins that was left; the answers, each behind its length; how many queries wait; and
            STREAM_DONE, STREAM_FULL where there is more to settle, or STREAM_NOISE where what was taken last is no query.

        Raises:
            ValueError: As for `answer`.
        """
        cdef Client client
        cdef Py_buffer view
        cdef const uint8_t *packets[BATCH]
        cdef uint32_t sizes[BATCH]
        cdef uint32_t used = 0, waiting = 0, count, i, size
        cdef size_t ahead
        cdef int outcome = STREAM_DONE
        self.introduce(&client, address, transport, profile)
        self.clock()
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        while outcome == STREAM_DONE:
            # No more is looked at than may wait: what is looked at in vain would be looked at again.
            count, ahead = 0, at
            while count < BATCH and count < most - waiting and ahead + LENGTH <= <size_t>view.len:
                size = get16(<const uint8_t *>view.buf + ahead)
                if ahead + LENGTH + size > <size_t>view.len:
                    break
                packets[count] = <const uint8_t *>view.buf + ahead + LENGTH
                sizes[count] = size
                self.look(packets[count], size, &client, &self.batch[count])
                ahead += LENGTH + size
                count += 1
            if count == 0:
                break
            for i in range(count):
                self.fetch(&self.batch[i])
            for i in range(count):
                if used >= FRAMED_BYTES:
                    outcome = STREAM_FULL
                    break
                client.token = token + waiting
                size = self.say(packets[i], sizes[i], &self.batch[i], &client, self.framed + used + LENGTH)
                at += LENGTH + sizes[i]
                if size:
                    put16(self.framed + used, size)
                    used += LENGTH + size
                elif self.pending:
                    waiting += 1
                else:
                    outcome = STREAM_NOISE
                    break
        PyBuffer_Release(&view)
        return at, PyBytes_FromStringAndSize(<char *>self.framed, used), waiting, outcome

    cdef int introduce(self, Client *client, bytes address, uint32_t transport, int profile) except -1:
        """Writes down who asks by a stream; ValueError where there is no such client."""
        cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(address)
        if PyBytes_GET_SIZE(address) != 16:
            raise ValueError("an address has 16 bytes")
        if profile >= <int>self.policy.profile_count:
            raise ValueError(f"there is no profile {profile}")
        if transport >= TRANSPORTS:
            raise ValueError(f"there is no transport {transport}")
        client.fd = -1
        client.transport = transport
        client.profile = profile
        client.address_size = client.control_size = 0
        client.high = <uint64_t>get32(at) << 32 | get32(at + 4)
        client.low = <uint64_t>get32(at + 8) << 32 | get32(at + 12)
        return 0

    cdef uint32_t say(self, const uint8_t *packet, uint32_t size, const Seen *seen, const Client *client, uint8_t *out) noexcept:
        """What a query of a stream is told: its size; 0 where that comes later (`pending`), or never. `out` as `scratch`."""
        cdef uint32_t written = self.settle(seen, client, out)
        if written == 0:
            if self.asks:
                self.pending = self.hand_over(packet, size, client)
            return 0
        if self.checked != COOKIE_NONE and written + COOKIE_OPTION_BYTES <= MESSAGE_MAX:
            written = self.guard.prove(out, written, &seen.query, client, self.checked, self.wall)
        if client.transport >= DOT:
            if seen.query.structured:
                written = self.contacts.tell(out, written, MESSAGE_MAX)
            if seen.query.padded:
                written = pad(out, written, MESSAGE_MAX)
        return written

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
                at = self.forwarder.match(port, self.response, <uint32_t>size, self.now_us)
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
        cdef uint32_t leg = self.forwarder.collect()
        cdef const Pending *pending
        while leg != NOBODY:
            pending = &self.forwarder.pendings[leg // LEGS]
            streamed.append((self.forwarder.ticket(leg), pending.legs[leg % LEGS].upstream,
                             PyBytes_FromStringAndSize(<char *>pending.question, pending.query.question_end),
                             pending.bits & (KEY_DO | KEY_CD)))
            leg = self.forwarder.collect()
        return streamed

    def deliver(self, uint64_t ticket, bytes response):
        """Brings what an upstream said over a stream, or None where it failed; a ticket that ran out is ignored."""
        cdef uint32_t leg
        cdef Pending *pending
        self.clock()
        leg = self.forwarder.holder(ticket)
        if leg == NOBODY:
            return
        pending = &self.forwarder.pendings[leg // LEGS]
        if (response is not None and PyBytes_GET_SIZE(response) <= MESSAGE_MAX
                and same_question(&pending.query, <const uint8_t *>PyBytes_AS_STRING(response), <uint32_t>PyBytes_GET_SIZE(response))):
            memcpy(self.response, PyBytes_AS_STRING(response), PyBytes_GET_SIZE(response))
            self.conclude(leg, <uint32_t>PyBytes_GET_SIZE(response), False)
        else:
            self.fail(leg)
        self.flush()

    def tick(self):
        """Tries again what timed out, and gives up what has no try left; due every few tens of milliseconds."""
        cdef uint32_t at, queue
        cdef Pending *pending
        self.clock()
        for queue in range(LAST_TRY, QUEUES):
            at = self.forwarder.oldest[queue]
            while at != NOBODY:
                # Clients give up soon: what was known last is better than nothing.
                pending = &self.forwarder.pendings[at]
                if not pending.stale_told and self.now_us - pending.begun_at >= PATIENCE:
                    pending.stale_told = True
                    if pending.waiters != NOBODY:
                        self.fall_back(at)
                at = pending.newer
        while True:
            at = self.forwarder.overdue(self.now_us)
            if at == NOBODY:
                break
            self.again(at)
        self.flush()

    def check(self):
        """Asks upstreams that are down whether they are back; due every second."""
        cdef uint32_t upstream
        self.clock()
        while True:
            upstream = self.forwarder.due(self.now_us)
            if upstream == NO_UPSTREAM:
                break
            self.ask_upstream(upstream, KIND_HEALTH, b"\0\0\1\0\0\1\0\0\0\0\0\0" b"\0" b"\0\2\0\1")

    def check_loops(self, bint every):
        """Asks upstreams whether what is sent to them comes back to us: every one, or those where it did."""
        cdef uint32_t upstream
        cdef uint64_t nonce
        self.clock()
        for upstream in range(self.forwarder.upstream_count):
            if every or self.forwarder.upstreams[upstream].looped:
                nonce = <uint64_t>self.forwarder.random32() << 32 | self.forwarder.random32()
                self.ask_upstream(upstream, KIND_LOOP, self.forwarder.loops.question(nonce))

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

"""Questions on their way to upstreams: who waits for them, by which socket and id they left, and when to try again.

Holds always: an answer counts only if it came by the connected socket that the question left by, with its random id and
its whole question (RFC 5452); every table is bounded and made once; an identical question joins the one on its way; a
question that is given up is told to everyone who waits.

Decides nothing about answers: the engine does, and owns the order.
"""

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from resolver._hot.cursor cimport get16, put16
from resolver._hot.socket cimport (
    ECONNREFUSED, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN, MSG_DONTWAIT, MSG_NOSIGNAL, close, epoll_create1, epoll_ctl,
    epoll_event, errno, getrandom, send)
from resolver._hot.wire cimport AD, CD, HEADER, RD, TYPE_OPT, UDP_LIMIT, same_question
from resolver._hot.cache cimport KEY_CD, KEY_DO

cdef enum:
    QUEUE_STREAM = 3            # behind the tries over UDP
    FAILURES_DOWN = 8           # timeouts in a row that take an upstream out
    BACK_OFF_FIRST = 1000       # milliseconds
    BACK_OFF_MOST = 60000


cdef class Forwarder:
    """The tables.

    Args:
        timeout_ms: How long the first try waits; the second waits twice as long, the third four times.
        stream_ms: How long an answer over TCP may take.
    """

    def __cinit__(self, int64_t timeout_ms, int64_t stream_ms):
        cdef uint32_t i
        self.pendings = <Pending *>calloc(PENDING_MAX, sizeof(Pending))
        self.waiters = <Waiter *>calloc(WAITERS_MAX, sizeof(Waiter))
        self.by_id = <uint32_t *>calloc(BUCKETS, sizeof(uint32_t))
        self.by_key = <uint32_t *>calloc(BUCKETS, sizeof(uint32_t))
        self.fd = epoll_create1(EPOLL_CLOEXEC)
        if not (self.pendings and self.waiters and self.by_id and self.by_key) or self.fd < 0:
            raise MemoryError("no room for the tables of the forwarder")
        for i in range(BUCKETS):
            self.by_id[i] = self.by_key[i] = NOBODY
        for i in range(PENDING_MAX):
            self.pendings[i].key_next = i + 1 if i + 1 < PENDING_MAX else NOBODY
        for i in range(WAITERS_MAX):
            self.waiters[i].next = i + 1 if i + 1 < WAITERS_MAX else NOBODY
        for i in range(4):
            self.oldest[i] = self.newest[i] = NOBODY
        for i in range(TRIES_MAX):
            self.timeout[i] = timeout_ms << i
        self.timeout[QUEUE_STREAM] = stream_ms
        self.random_at = RANDOM_BYTES
        self.secret = <uint64_t>self.random32() << 32 | self.random32()

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.port_count):
            close(self.ports[i].fd)
        if self.fd > 0:
            close(self.fd)
        free(self.pendings)
        free(self.waiters)
        free(self.by_id)
        free(self.by_key)

    def add_upstream(self, list fds):
        """Takes over an upstream's connected UDP sockets, each on a random port of its own; its number.

        Without any it is reached by streams alone: every question to it is handed out.

        Raises:
            ValueError: There is no room for it.
        """
        cdef epoll_event event
        cdef uint32_t upstream = self.upstream_count
        if upstream == UPSTREAMS_MAX or self.port_count + len(fds) > PORTS_MAX:
            raise ValueError(f"{UPSTREAMS_MAX} upstreams with {PORTS_MAX} sockets in all are the most")
        self.upstreams[upstream].first = self.port_count
        self.upstreams[upstream].count = len(fds)
        for fd in fds:
            self.ports[self.port_count].fd = fd
            self.ports[self.port_count].upstream = <uint16_t>upstream
            event.events = EPOLLIN
            event.data.u32 = self.port_count
            if epoll_ctl(self.fd, EPOLL_CTL_ADD, fd, &event):
                raise OSError(errno, "epoll_ctl")
            self.port_count += 1
        self.upstream_count += 1
        return upstream

    def replace(self, uint32_t upstream, int fd):
        """Puts a fresh socket in the place of an idle one of the upstream's, which is closed; whether one was idle."""
        cdef epoll_event event
        cdef uint32_t offset = self.random32(), i, port
        cdef Upstream *group = &self.upstreams[upstream]
        if upstream >= self.upstream_count:
            raise ValueError(f"there is no upstream {upstream}")
        for i in range(group.count):
            port = group.first + (offset + i) % group.count
            if self.ports[port].busy == 0:
                event.events = EPOLLIN
                event.data.u32 = port
                if epoll_ctl(self.fd, EPOLL_CTL_ADD, fd, &event):
                    raise OSError(errno, "epoll_ctl")
                epoll_ctl(self.fd, EPOLL_CTL_DEL, self.ports[port].fd, NULL)
                close(self.ports[port].fd)
                self.ports[port].fd = fd
                return True
        return False

    def health(self):
        """Of each upstream, timeouts in a row and until when it is passed over (milliseconds, monotonic; 0: in use)."""
        return [(self.upstreams[i].failures, self.upstreams[i].down_until) for i in range(self.upstream_count)]

    cdef uint32_t random32(self) noexcept nogil:
        """From the system's random source, drawn a page at a time."""
        cdef uint32_t value
        if self.random_at + 4 > RANDOM_BYTES:
            # Up to 256 bytes arrive whole; more may be cut short by a signal.
            self.random_at = 0
            while self.random_at < RANDOM_BYTES:
                if getrandom(self.random + self.random_at, 256, 0) == 256:
                    self.random_at += 256
            self.random_at = 0
        memcpy(&value, self.random + self.random_at, 4)
        self.random_at += 4
        return value

    cdef uint32_t id_bucket(self, uint32_t port, uint32_t id) noexcept nogil:
        # Both are random: no mixing needed beyond spreading the port over the high bits.
        return (id ^ (port * 2654435761u >> 16)) & (BUCKETS - 1)

    cdef uint32_t key_bucket(self, uint64_t fingerprint, uint32_t qtype, uint32_t bits) noexcept nogil:
        return <uint32_t>(((fingerprint ^ self.secret ^ (<uint64_t>qtype << 20 | bits)) * <uint64_t>0x9E3779B97F4A7C15) >> 50)

    cdef uint32_t join(self, uint64_t fingerprint, const Query *query, uint16_t bits) noexcept nogil:
        """The same question on its way already, or NOBODY."""
        cdef uint32_t at = self.by_key[self.key_bucket(fingerprint, query.qtype, bits)]
        cdef const Pending *pending
        while at != NOBODY:
            pending = &self.pendings[at]
            if (pending.fingerprint == fingerprint and pending.bits == bits and pending.query.qtype == query.qtype
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
        pending.tries = 0
        pending.tried = 0
        pending.listed = pending.stream = False
        pending.begun_at = now
        pending.shares[0] = pending.shares[1] = 0
        pending.waiters = NOBODY
        pending.waiter_count = 0
        pending.port = <uint16_t>PORTS_MAX
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
        """Sends the question's next try, from a random socket under a random id, or hands it out; False where no try is left."""
        cdef Pending *pending = &self.pendings[at]
        cdef uint8_t packet[QUESTION_MAX + 11]
        cdef uint32_t size = pending.query.question_end, i, chosen, bucket
        cdef Upstream *upstream
        cdef Port *port
        if pending.tries == TRIES_MAX or self.upstream_count == 0:
            return False
        # The first that is in use and not tried yet; failing that the first not tried; failing that the first.
        chosen = self.upstream_count
        for i in range(self.upstream_count):
            if not pending.tried >> (i) & 1 and self.upstreams[i].down_until <= now:
                chosen = i
                break
        if chosen == self.upstream_count:
            for i in range(self.upstream_count):
                if not pending.tried >> (i) & 1:
                    chosen = i
                    break
            else:
                pending.tried = 0
                chosen = 0
        pending.tried |= <uint16_t>(1 << chosen)
        upstream = &self.upstreams[chosen]
        pending.upstream = <uint8_t>chosen
        pending.tries += 1
        if upstream.count == 0:
            self.hand_out(at, now)
            return True
        pending.stream = False
        i = self.random32()
        pending.id = <uint16_t>i
        pending.port = <uint16_t>(upstream.first + (i >> 16) % upstream.count)
        port = &self.ports[pending.port]
        port.busy += 1
        bucket = self.id_bucket(pending.port, pending.id)
        pending.id_next = self.by_id[bucket]
        self.by_id[bucket] = at
        memcpy(packet, pending.question, size)
        put16(packet, pending.id)
        put16(packet + 2, RD | AD | (CD if pending.bits & KEY_CD else 0))
        memcpy(packet + 4, b"\0\1\0\0\0\0\0\1", 8)
        packet[size] = 0
        put16(packet + size + 1, TYPE_OPT)
        put16(packet + size + 3, UDP_LIMIT)
        put16(packet + size + 5, 0)
        put16(packet + size + 7, 0x8000 if pending.bits & KEY_DO else 0)
        put16(packet + size + 9, 0)
        self.enlist(at, pending.tries - 1, now)
        # A socket that an ICMP error struck tells it once, then works: the try after the error is the real one.
        if send(port.fd, packet, size + 11, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 and errno == ECONNREFUSED:
            send(port.fd, packet, size + 11, MSG_DONTWAIT | MSG_NOSIGNAL)
        return True

    cdef void enlist(self, uint32_t at, uint32_t queue, int64_t now) noexcept nogil:
        """Puts a question behind those of its try: each queue has one timeout, so the oldest is always first."""
        cdef Pending *pending = &self.pendings[at]
        pending.sent_at = now
        pending.listed = True
        pending.newer = NOBODY
        pending.older = self.newest[queue]
        if pending.older != NOBODY:
            self.pendings[pending.older].newer = at
        else:
            self.oldest[queue] = at
        self.newest[queue] = at

    cdef void unlist(self, uint32_t at) noexcept nogil:
        """Takes a question's running try back: its id means nothing from now on."""
        cdef Pending *pending = &self.pendings[at]
        cdef uint32_t queue = QUEUE_STREAM if pending.stream else pending.tries - 1
        cdef uint32_t *link
        if not pending.listed:
            return
        pending.listed = False
        if pending.older != NOBODY:
            self.pendings[pending.older].newer = pending.newer
        else:
            self.oldest[queue] = pending.newer
        if pending.newer != NOBODY:
            self.pendings[pending.newer].older = pending.older
        else:
            self.newest[queue] = pending.older
        if pending.port < PORTS_MAX:
            link = &self.by_id[self.id_bucket(pending.port, pending.id)]
            while link[0] != at:
                link = &self.pendings[link[0]].id_next
            link[0] = pending.id_next
            self.ports[pending.port].busy -= 1
            pending.port = <uint16_t>PORTS_MAX

    cdef uint32_t match(self, uint32_t port, const uint8_t *packet, uint32_t size) noexcept nogil:
        """The question that a datagram from `port` answers, or NOBODY: nothing of ours, late, or forged."""
        cdef uint32_t id, at
        cdef const Pending *pending
        if size < HEADER or (get16(packet + 2) & 0xF800) != 0x8000:
            return NOBODY
        id = get16(packet)
        at = self.by_id[self.id_bucket(port, id)]
        while at != NOBODY:
            pending = &self.pendings[at]
            if pending.port == port and pending.id == id:
                return at if same_question(&pending.query, packet, size) else NOBODY
            at = pending.id_next
        return NOBODY

    cdef void heard(self, uint32_t at) noexcept nogil:
        """Its upstream answered."""
        cdef Upstream *upstream = &self.upstreams[self.pendings[at].upstream]
        upstream.failures = 0
        upstream.down_until = 0
        upstream.back_off = 0

    cdef void failed(self, uint32_t upstream, int64_t now) noexcept nogil:
        """An upstream let a question go unanswered."""
        cdef Upstream *one = &self.upstreams[upstream]
        one.failures += 1
        if one.failures >= FAILURES_DOWN and one.down_until <= now:
            one.back_off = min(2 * one.back_off, <int64_t>BACK_OFF_MOST) if one.back_off else BACK_OFF_FIRST
            one.down_until = now + one.back_off

    cdef uint32_t overdue(self, int64_t now) noexcept nogil:
        """A question whose try has timed out, its try taken back; NOBODY where there is none."""
        cdef uint32_t queue, at
        for queue in range(4):
            at = self.oldest[queue]
            if at != NOBODY and now - self.pendings[at].sent_at >= self.timeout[queue]:
                self.unlist(at)
                self.failed(self.pendings[at].upstream, now)
                return at
        return NOBODY

    cdef void hand_out(self, uint32_t at, int64_t now) noexcept nogil:
        """Makes the running try one by a stream, which has its own time; `collect` tells of it."""
        cdef Pending *pending = &self.pendings[at]
        self.unlist(at)
        pending.stream = True
        pending.handed += 1
        self.enlist(at, QUEUE_STREAM, now)
        if not pending.handing:
            pending.handing = True
            self.handing[self.handing_count] = at
            self.handing_count += 1

    cdef uint32_t collect(self) noexcept nogil:
        """A question to be handed out, or NOBODY; each is told once."""
        cdef uint32_t at
        while self.handing_count:
            self.handing_count -= 1
            at = self.handing[self.handing_count]
            self.pendings[at].handing = False
            if self.pendings[at].listed and self.pendings[at].stream:
                return at
        return NOBODY

    cdef uint64_t ticket(self, uint32_t at) noexcept nogil:
        """The name of the running try: question, its use of the table, and which of the tries handed out it is."""
        cdef const Pending *pending = &self.pendings[at]
        return <uint64_t>pending.generation << 32 | <uint32_t>pending.handed << 16 | at

    cdef uint32_t holder(self, uint64_t ticket) noexcept nogil:
        """The question whose running try was handed out under this name, or NOBODY: it has run out."""
        cdef uint32_t at = <uint32_t>(ticket & 0xFFFF)
        if at >= PENDING_MAX or not self.pendings[at].listed or not self.pendings[at].stream or self.ticket(at) != ticket:
            return NOBODY
        return at

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

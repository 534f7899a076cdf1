"""Upstreams: the sockets towards them, how each has fared, and which one is asked next.

Holds always: every table is bounded and made once; an upstream that is down or slow is asked again now and then, and one
answer brings it back; one whose questions come back to us is never asked; only a group's own upstreams are asked for its
names.

Time is an argument throughout: microseconds on a clock that only goes forward.
"""

from libc.string cimport memcpy, memset

from resolver._hot.socket cimport (
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN, close, epoll_create1, epoll_ctl, epoll_event, errno, getrandom)

STRATEGIES = {"strict": STRATEGY_STRICT, "random": STRATEGY_RANDOM, "fastest": STRATEGY_FASTEST, "parallel_best": STRATEGY_PARALLEL}

cdef enum:
    FAILURES_DOWN = 8           # in a row, that take an upstream out
    BACK_OFF_FIRST = 1000000    # microseconds
    BACK_OFF_MOST = 60000000
    SMOOTHING = 3               # a new time counts an eighth (RFC 6298 2.3)
    RTT_MOST = 10000000         # microseconds
    CURIOSITY = 31              # of so many and one choices by speed, one is by chance
    CASE_SCORE_MOST = 8
    CASE_MISMATCH = 4
    CASE_OFF = 600000000        # microseconds


cdef class Upstreams:
    """The tables; a `Forwarder` adds the questions."""

    def __cinit__(self, *parts, **others):
        self.fd = epoll_create1(EPOLL_CLOEXEC)
        if self.fd < 0:
            raise OSError(errno, "epoll_create1")
        self.random_at = RANDOM_BYTES

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.port_count):
            close(self.ports[i].fd)
        if self.fd > 0:
            close(self.fd)

    def add_upstream(self, list fds, uint32_t group=0, uint32_t most=0xFFFFFFFF):
        """Takes over an upstream's connected UDP sockets, each on a random port of its own; its number.

        Without any it is reached by streams alone: every question to it is handed out.

        Args:
            fds: The sockets.
            group: Which names it is asked for: those that `Routes` give this group.
            most: Bound on questions on their way to it.

        Raises:
            ValueError: There is no room for it.
        """
        cdef epoll_event event
        cdef uint32_t upstream = self.upstream_count
        if upstream == UPSTREAMS_MAX or self.port_count + len(fds) > PORTS_MAX:
            raise ValueError(f"{UPSTREAMS_MAX} upstreams with {PORTS_MAX} sockets in all are the most")
        if group >= GROUPS_MAX:
            raise ValueError(f"{GROUPS_MAX} groups are the most")
        self.upstreams[upstream].first = self.port_count
        self.upstreams[upstream].count = len(fds)
        self.upstreams[upstream].most = most
        for fd in fds:
            self.ports[self.port_count].fd = fd
            self.ports[self.port_count].upstream = <uint16_t>upstream
            event.events = EPOLLIN
            event.data.u32 = self.port_count
            if epoll_ctl(self.fd, EPOLL_CTL_ADD, fd, &event):
                raise OSError(errno, "epoll_ctl")
            self.port_count += 1
        self.groups[group].members |= <uint16_t>(1 << upstream)
        self.upstream_count += 1
        return upstream

    def use_strategy(self, uint32_t group, str strategy not None):
        """How a group's upstreams are chosen from; `strict` where nothing is said."""
        if group >= GROUPS_MAX:
            raise ValueError(f"{GROUPS_MAX} groups are the most")
        self.groups[group].strategy = STRATEGIES[strategy]

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
        """How each upstream has fared, by the names that `resolver.upstream.health` gives."""
        cdef uint32_t i
        cdef const Upstream *one
        found = []
        for i in range(self.upstream_count):
            one = &self.upstreams[i]
            found.append({
                "down": bool(one.down), "looped": bool(one.looped), "failures": one.failures, "outstanding": one.outstanding,
                "rtt": one.rtt / 1e6, "mixed_case": bool(self.mixed_case and one.case_off_until == 0),
                "asked": one.asked, "answered": one.answered, "failed": one.failed,
            })
        return found

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

    cdef uint32_t choose(self, uint32_t group, uint16_t tried) noexcept nogil:
        """Whom to ask next of a group, none of those `tried`; NO_UPSTREAM where nobody is left."""
        cdef uint16_t left = self.groups[group].members & ~tried, up = 0, down = 0
        cdef uint32_t i = 0
        cdef const Upstream *one
        self.crowded = False
        while left >> i:
            one = &self.upstreams[i]
            if left >> i & 1 and not one.looped:
                if one.outstanding >= one.most:
                    self.crowded = True
                elif one.down:
                    down |= <uint16_t>(1 << i)
                else:
                    up |= <uint16_t>(1 << i)
            i += 1
        # Those that are down are better than nobody.
        return self.pick(group, up if up else down)

    cdef uint32_t pick(self, uint32_t group, uint16_t candidates) noexcept nogil:
        """One of the candidates by the group's strategy."""
        cdef Strategy strategy = self.groups[group].strategy
        cdef uint32_t i = 0, count = 0, wanted = 0, chosen = NO_UPSTREAM, chance
        if candidates & (candidates - 1) and strategy != STRATEGY_STRICT:
            chance = self.random32()
            if strategy == STRATEGY_RANDOM or chance & CURIOSITY == 0:
                while candidates >> i:
                    count += candidates >> i & 1
                    i += 1
                wanted = (chance >> 8) % count
                i = 0
            else:
                # One whose time is not known comes first: that is how it becomes known.
                while candidates >> i:
                    if candidates >> i & 1 and (chosen == NO_UPSTREAM or self.upstreams[i].rtt < self.upstreams[chosen].rtt):
                        chosen = i
                    i += 1
                return chosen
        while candidates >> i:
            if candidates >> i & 1:
                if wanted == 0:
                    return i
                wanted -= 1
            i += 1
        return NO_UPSTREAM

    cdef void heard(self, uint32_t upstream, int64_t microseconds) noexcept nogil:
        """It answered, after so long."""
        cdef Upstream *one = &self.upstreams[upstream]
        one.answered += 1
        one.failures = 0
        one.down = False
        one.back_off = 0
        learn(one, microseconds)

    cdef void failed(self, uint32_t upstream, int64_t microseconds, int64_t now) noexcept nogil:
        """It let a question go unanswered for so long, or could not be asked."""
        cdef Upstream *one = &self.upstreams[upstream]
        one.failed += 1
        one.failures += 1
        learn(one, microseconds)
        if one.failures >= FAILURES_DOWN and not one.down:
            one.down = True
            one.back_off = BACK_OFF_FIRST
            one.check_at = now + one.back_off

    cdef void still_down(self, uint32_t upstream, int64_t now) noexcept nogil:
        """It did not answer when asked whether it is back: asked again after twice the time."""
        cdef Upstream *one = &self.upstreams[upstream]
        one.back_off = min(2 * one.back_off, <int64_t>BACK_OFF_MOST)
        one.check_at = now + one.back_off

    cdef uint32_t due(self, int64_t now) noexcept nogil:
        """A down upstream that is to be asked whether it is back, once a time; NO_UPSTREAM where none is."""
        cdef uint32_t i
        for i in range(self.upstream_count):
            if self.upstreams[i].down and self.upstreams[i].check_at <= now:
                self.upstreams[i].check_at = now + BACK_OFF_MOST
                return i
        return NO_UPSTREAM

    cdef void kept_case(self, uint32_t upstream) noexcept nogil:
        """Its answer repeated a question in the case it was asked in."""
        cdef Upstream *one = &self.upstreams[upstream]
        one.case_off_until = 0
        if one.case_score < CASE_SCORE_MOST:
            one.case_score += 1

    cdef bint lost_case(self, uint32_t upstream, int64_t now) noexcept nogil:
        """An answer of its was right but for the case; whether questions to it go in lower case from now on.

        One that never kept the case does not do so; one that did is more likely to be forged, unless it happens again.
        """
        cdef Upstream *one = &self.upstreams[upstream]
        if one.case_off_until <= now:
            one.case_score -= CASE_MISMATCH
            if one.case_score < 0:
                one.case_score = 0
                one.case_off_until = now + CASE_OFF
        return one.case_off_until > now


cdef inline void learn(Upstream *one, int64_t microseconds) noexcept nogil:
    cdef int64_t sample = microseconds
    if sample > RTT_MOST:
        sample = RTT_MOST
    if sample < 1:
        sample = 1
    one.rtt = <uint32_t>(one.rtt + ((sample - <int64_t>one.rtt) >> SMOOTHING)) if one.rtt else <uint32_t>sample

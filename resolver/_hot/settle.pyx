"""What happens to a query, in which order, on every transport: each step with its reason.

Holds always: no Python object is made here; whatever a client sends, the worst it gets is silence; policy is asked
before the cache, and about whatever the cache holds.
"""

from libc.string cimport memcpy

from resolver._hot.alias cimport ask_target, write_alias
from resolver._hot.answers cimport targets_listed, write_judged, write_kept, write_truncated
from resolver._hot.cache cimport (
    FOUND_AGEING, FOUND_NOTHING, FOUND_STALE, KEY_CD, KEY_DO, TRAIT_FAILED, TRAIT_PRIVATE, TRAIT_TARGETS, TRAIT_UNHEARD, Found)
from resolver._hot.cookies cimport COOKIE_NONE, COOKIE_OPTION_BYTES
from resolver._hot.counters cimport (
    CELL_ALLOWED, CELL_CACHE_HITS, CELL_CACHE_MISSES, CELL_FORWARDED, CELL_OVERRIDDEN, CELL_REBOUND, DROP_ACL, DROP_MALFORMED,
    DROP_OVERLOAD, DROP_RATE_LIMIT)
from resolver._hot.forward cimport GROUP_SHIFT, NO_ALIAS, NOBODY
from resolver._hot.limits cimport ADMIT_PASS, ADMIT_SLIP
from resolver._hot.locals cimport WAY_ANSWER, WAY_ASK, WAY_REWRITE, Way
from resolver._hot.loops cimport LOOP_NAME
from resolver._hot.policy cimport ACTION_NODATA, ACTION_OVERRIDDEN, ACTION_PASS, ACTION_SHADOW
from resolver._hot.socket cimport CLOCK_MONOTONIC, CLOCK_REALTIME_COARSE, clock_gettime, timespec
from resolver._hot.wire cimport (
    BADVERS, CD, CLASS_IN, EDE_BLOCKED, EDE_CACHED_ERROR, EDE_NO_REACHABLE_AUTHORITY, EDE_NONE, EDE_PROHIBITED, EDE_STALE,
    EDE_STALE_NXDOMAIN, FORMERR, MESSAGE_MAX, NOTIMP, NXDOMAIN, RD, READ_BADVERS, READ_DROP, READ_FORMERR, READ_NOTIMP, READ_OK,
    REFUSED, SERVFAIL, TYPE_ANY, TYPE_CNAME, UDP_LIMIT, Reading, read_query, write_any, write_bare, write_error)

cdef enum:
    STALE_TTL = 30              # RFC 8767 4


cdef class Settler:
    """A worker's packet path over its parts; `Engine` moves queries in and answers out.

    Args:
        policy: The rules to begin with.
        here: What is answered here.
        cache: The shared cache.
        counters: This worker's counters.
        tally: This worker's hits per listed name.
        guard: Who may ask how much.
        forwarder: Questions on their way.
        ttl_max: Longest time an answer is kept and told, seconds.
        ttl_min: Shortest time an answer that says what was asked for is kept and told, seconds.
        ttl_negative: Longest time that nothing of a name or type is kept and told, seconds.
    """

    def __cinit__(self, Policy policy not None, Locals here not None, Cache cache not None, Counters counters not None,
                  Tally tally not None, Guard guard not None, Forwarder forwarder not None, uint32_t ttl_max,
                  uint32_t ttl_min=0, uint32_t ttl_negative=3600):
        self.policy = policy
        self.here = here
        self.cache = cache
        self.counters = counters
        self.tally = tally
        self.census = Census()
        self.schools = self.met = 0
        self.guard = guard
        self.forwarder = forwarder
        self.ttl_max = ttl_max
        self.ttl_min = ttl_min
        self.ttl_negative = ttl_negative
        self.clock()

    def count_by(self, Census census not None):
        """Counts answers to schools apart as well."""
        self.census = census
        self.schools = census.schools
        self.met = 0

    def use(self, Policy policy not None):
        """Swaps the rules: the next query is judged by the new ones, whatever the cache holds."""
        self.policy = policy

    cdef void clock(self) noexcept nogil:
        """Reads the clocks once a call: a tick's worth of delay changes no answer."""
        cdef timespec now
        clock_gettime(CLOCK_MONOTONIC, &now)
        self.now = <uint32_t>now.tv_sec
        self.now_us = <int64_t>now.tv_sec * 1000000 + now.tv_nsec // 1000
        clock_gettime(CLOCK_REALTIME_COARSE, &now)
        self.wall = now.tv_sec
        self.counters.at(self.wall)

    cdef void look(self, const uint8_t *packet, uint32_t size, const Client *client, Seen *seen) noexcept nogil:
        """Reads a query, decides nothing, and has what `settle` will look up on its way from memory.

        A batch is looked at before its first query is settled: memory answers many as fast as one.
        """
        cdef Query *query = &seen.query
        # 1. Whoever is no client of ours costs a lookup and nothing more.
        seen.profile = self.policy.profile_of(client.high, client.low)
        if seen.profile < 0 and not self.policy.refuse:
            return
        seen.prefix = self.guard.expect(client)
        # 2. Nothing below may trust a byte that has not been read here.
        seen.reading = read_query(packet, size, query)
        if seen.reading == READ_OK and query.qclass == CLASS_IN:
            self.policy.trace(query.name, query.label_at, query.labels, seen.fingerprints)
            seen.tag = self.cache.tag(seen.fingerprints[0], query.qtype, self.key_bits(query))
            self.cache.expect(seen.tag)

    cdef void fetch(self, const Seen *seen) noexcept nogil:
        """The second look: has what the first one's places lead to on its way."""
        cdef uint64_t met
        if (seen.profile < 0 and not self.policy.refuse) or seen.reading != READ_OK or seen.query.qclass != CLASS_IN:
            return
        met = self.policy.meet(seen.fingerprints, seen.query.labels)
        if met:
            self.tally.fetch(met)
        else:
            self.cache.fetch(seen.tag)

    cdef uint32_t settle(self, const Seen *seen, const Client *client, uint8_t *out) noexcept nogil:
        """Decides a query that was looked at.

        Args:
            seen: The query.
            client: Who asked.
            out: Where the answer goes: OUT_BYTES for UDP, MESSAGE_MAX for streams.

        Returns:
            The answer's size; 0 where it was dropped, is on its way (`pending`), or is Python's to give (`asks`).
        """
        cdef const Query *query = &seen.query
        cdef Decision decision
        cdef Way way
        cdef uint32_t written, limit
        cdef uint64_t fingerprint = 0
        cdef int profile = seen.profile, admitted
        cdef Reading reading = seen.reading
        self.pending = self.asks = False
        self.checked = COOKIE_NONE
        if profile < 0 and not self.policy.refuse:
            self.counters.drop(DROP_ACL)
            return 0
        if reading == READ_DROP:
            self.counters.drop(DROP_MALFORMED)
            return 0
        # 3. A source that is proven cannot be somebody else's victim, nor can one that shook hands; others have a rate.
        if reading == READ_OK or reading == READ_BADVERS:
            self.checked = self.guard.check(query, client, self.wall)
        admitted = self.guard.admit(client, seen.prefix, self.checked, self.now_us // 1000)
        if admitted != ADMIT_PASS:
            self.counters.drop(DROP_RATE_LIMIT)
            return write_truncated(out, query) if admitted == ADMIT_SLIP and reading == READ_OK else 0
        if profile < 0:
            return self.told(client, 0, REFUSED, write_error(out, query, REFUSED, EDE_PROHIBITED) if reading == READ_OK else write_bare(out, query.packet, REFUSED))
        if client.profile >= 0:
            profile = client.profile
        if reading == READ_FORMERR:
            written = self.guard.prove_bare(out, query.packet, query.size, client, self.wall)
            if written:
                return self.told(client, profile, 0, written)
            return self.told(client, profile, FORMERR, write_bare(out, query.packet, FORMERR))
        if reading == READ_NOTIMP:
            return self.told(client, profile, NOTIMP, write_bare(out, query.packet, NOTIMP))
        if reading == READ_BADVERS:
            return self.told(client, profile, BADVERS, write_error(out, query, BADVERS, EDE_NONE))
        # 4. Where an answer by UDP ends.
        limit = MESSAGE_MAX
        if client.transport == UDP:
            limit = query.udp_size if query.udp_size < UDP_LIMIT else UDP_LIMIT
            if self.checked != COOKIE_NONE:
                limit -= COOKIE_OPTION_BYTES
        # 5. The list speaks of the Internet's names only; policy stands before the cache: an answer kept from yesterday
        #    cannot pass today's list.
        if query.qclass == CLASS_IN:
            fingerprint = seen.fingerprints[0]
            self.policy.judge(seen.fingerprints, query.labels, profile, &decision)
            if decision.action != ACTION_PASS:
                self.hit(&decision)
                if decision.action < ACTION_SHADOW:
                    return self.told(client, profile, COUNT_AS_WRITTEN, self.policy.write(out, query, &decision), out)
                self.met = 0
        # 6. What is known here and nowhere else.
        written = self.here.answer(out, query, profile, limit, &way)
        if way.kind == WAY_ANSWER:
            return self.told(client, profile, COUNT_AS_WRITTEN, written, out)
        if way.kind == WAY_ASK:
            self.asks = True
            return 0
        # 7. Of other classes we know nothing else.
        if query.qclass != CLASS_IN:
            return self.told(client, profile, REFUSED, write_error(out, query, REFUSED, EDE_NONE))
        if way.kind == WAY_REWRITE:
            written = self.follow(query, client, profile, limit, &way, out)
            return self.told(client, profile, COUNT_AS_WRITTEN, written, out) if written else 0
        # 8. Who does not ask for recursion asks what others asked before (cache snooping).
        if not query.flags & RD:
            return self.told(client, profile, REFUSED, write_error(out, query, REFUSED, EDE_PROHIBITED))
        # 9. Types that mean more than one type: no recursion can answer them well.
        if query.qtype == TYPE_ANY:
            return self.told(client, profile, 0, write_any(out, query))
        if 249 <= query.qtype <= 254:
            return self.told(client, profile, NOTIMP, write_error(out, query, NOTIMP, EDE_NONE))
        # 10. What others know.
        written = self.resolve(query, fingerprint, client, profile, limit, query, NO_ALIAS, out)
        return self.told(client, profile, COUNT_AS_WRITTEN, written, out) if written else 0

    cdef uint16_t key_bits(self, const Query *query) noexcept nogil:
        """What tells answers to one name and type apart in the cache."""
        cdef uint16_t bits = (KEY_DO if query.want_dnssec else 0) | (KEY_CD if query.flags & CD else 0)
        # Names of a group of upstreams are kept apart from those that others answer.
        if self.forwarder.routes.count:
            bits |= <uint16_t>(self.forwarder.routes.group_of(query.name, query.name_size, query.label_at, query.labels) << GROUP_SHIFT)
        return bits

    cdef uint32_t resolve(self, const Query *query, uint64_t fingerprint, const Client *client, uint32_t profile,
                          uint32_t limit, const Query *asked, int64_t alias_ttl, uint8_t *out) noexcept nogil:
        """Answers a question that the rules let pass, from the cache or by an upstream.

        Args:
            query: The question.
            fingerprint: Of its name.
            client: Who asked.
            profile: The client's.
            limit: The longest answer.
            asked: What the client asked; another than `query` where that is the target of an alias.
            alias_ttl: The alias's TTL, or NO_ALIAS.
            out: Where the answer goes.

        Returns:
            The answer's size; 0 where it comes later (`pending`), or never.
        """
        cdef uint16_t bits = self.key_bits(query)
        # What is known already.
        cdef uint32_t written = self.recall(query, fingerprint, bits, profile, limit, out)
        if written:
            self.counters.add(CELL_CACHE_HITS)
            return written
        self.counters.add(CELL_CACHE_MISSES)
        # The same question on its way already.
        cdef uint32_t at = self.forwarder.join(fingerprint, query, bits)
        cdef bint fresh = at == NOBODY
        # A question of its own, within its client's and its domain's share: random names must not crowd out others.
        if fresh:
            # What we asked an upstream ourselves, and what came back: it is told so, and asked no more.
            if query.name_size == LOOP_NAME:
                written = self.forwarder.loops.answer(query, out)
                if written:
                    return written
            at = self.forwarder.begin(fingerprint, query, bits, self.now_us)
            if at == NOBODY:
                return self.overloaded(query, client, out)
            if not self.guard.take(query, client, self.forwarder.pendings[at].shares):
                self.finish(at)
                return self.overloaded(query, client, out)
        if not self.forwarder.wait(at, asked, client, profile, alias_ttl):
            if fresh:
                self.finish(at)
            return self.overloaded(query, client, out)
        if fresh:
            self.counters.add(CELL_FORWARDED)
            if not self.forwarder.send(at, self.now_us):
                self.finish(at)
                if self.forwarder.crowded:
                    return self.overloaded(query, client, out)
                return write_error(out, query, SERVFAIL, EDE_NO_REACHABLE_AUTHORITY)
        self.pending = True
        return 0

    cdef uint32_t follow(self, const Query *query, const Client *client, uint32_t profile, uint32_t limit, const Way *way,
                         uint8_t *out) noexcept nogil:
        """An alias made here and what its target says; 0 where that comes later (`pending`), or never."""
        cdef Query *target = &self.target
        cdef Decision decision
        cdef uint32_t written = 0
        cdef uint64_t fingerprint
        # Who does not ask for recursion follows it on his own.
        if query.qtype == TYPE_CNAME or query.qtype == TYPE_ANY or not query.flags & RD:
            return write_alias(out, limit, query, way.target, way.target_size, way.ttl, NULL, 0)
        ask_target(target, self.target_packet, query, way.target, way.target_size)
        fingerprint = self.policy.decide(target.name, target.label_at, target.labels, profile, &decision)
        if decision.action != ACTION_PASS:
            self.hit(&decision)
            if decision.action < ACTION_SHADOW:
                written = self.policy.write(self.said, target, &decision)
            else:
                self.met = 0
        if not written:
            written = self.resolve(target, fingerprint, client, profile, MESSAGE_MAX, query, way.ttl, self.said)
        if not written:
            return 0
        return write_alias(out, limit, query, target.name, target.name_size, way.ttl, self.said, written)

    cdef uint32_t overloaded(self, const Query *query, const Client *client, uint8_t *out) noexcept nogil:
        """Too much waits: silence by UDP, where a forged source would cost a victim an answer; by streams, that it fails."""
        if client.transport == UDP:
            self.counters.drop(DROP_OVERLOAD)
            return 0
        return write_error(out, query, SERVFAIL, EDE_NONE)

    cdef void finish(self, uint32_t at) noexcept nogil:
        """Forgets a question, and gives its shares back."""
        self.guard.give(self.forwarder.pendings[at].shares)
        self.forwarder.end(at)

    cdef void hit(self, const Decision *decision) noexcept nogil:
        """Counts a query that met a listed name, or a name of the operator's own."""
        self.met = decision.category
        if decision.category:
            self.tally.add(decision.fingerprint, self.wall)
        elif decision.action >= ACTION_OVERRIDDEN:
            self.counters.add(CELL_OVERRIDDEN if decision.action == ACTION_OVERRIDDEN else CELL_ALLOWED)
            return
        self.counters.blocked(decision.category, decision.action)

    cdef uint32_t told(self, const Client *client, uint32_t profile, uint32_t rcode, uint32_t size, const uint8_t *out=NULL) noexcept nogil:
        """Counts an answer; its size. Where `rcode` is COUNT_AS_WRITTEN, the answer itself tells."""
        self.counters.query(client.transport, profile, out[3] & 15 if rcode == COUNT_AS_WRITTEN else rcode)
        # Called last, so that whoever is no school does not pay for a call.
        if self.schools:
            return self.told_school(client, size)
        return size

    cdef uint32_t told_school(self, const Client *client, uint32_t size) noexcept nogil:
        """Counts an answer by school, if its client is in one; its size."""
        self.census.saw(client.high, client.low, self.met, self.wall)
        self.met = 0
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
        """Makes a cached answer ready to be written; whether it has to be judged for whoever asks."""
        cdef uint32_t verdict
        kept.packet = entry.packet
        kept.size = entry.head.packet_size
        kept.ttls = entry.ttls
        kept.ttl_count = entry.head.ttl_count
        kept.age = 0 if stale else self.now - entry.head.stored_at
        kept.ttl_max = STALE_TTL if stale else self.ttl_max
        kept.ede = kept.cause = EDE_NONE
        if stale:
            kept.ede = EDE_STALE_NXDOMAIN if entry.packet[3] & 15 == NXDOMAIN else EDE_STALE
        if not entry.head.traits:
            return False
        if entry.head.traits & TRAIT_FAILED:
            # RFC 8914 4.14; a failure is kept no longer than it holds, so that it is never stale.
            kept.ede = EDE_CACHED_ERROR
            if entry.head.traits & TRAIT_UNHEARD:
                kept.cause = EDE_NO_REACHABLE_AUTHORITY
        kept.private = entry.head.traits & TRAIT_PRIVATE and self.policy.shields
        if not entry.head.traits & TRAIT_TARGETS:
            return kept.private
        verdict = <uint32_t>entry.head.verdict
        if entry.head.verdict >> 32 != entry.head.sequence or verdict >> 1 != self.policy.epoch & 0x7FFFFFFF:
            verdict = self.policy.epoch << 1 | targets_listed(self.policy, kept.packet, kept.size)
            self.cache.judge(entry, verdict)
        return verdict & 1 or kept.private

    cdef void refresh(self, const Query *query, uint64_t fingerprint, uint16_t bits) noexcept nogil:
        """Asks again for an answer that many ask for, before it expires; nobody waits for it."""
        cdef uint32_t at
        if self.forwarder.join(fingerprint, query, bits) != NOBODY:
            return
        at = self.forwarder.begin(fingerprint, query, bits, self.now_us)
        if at != NOBODY and not self.forwarder.send(at, self.now_us):
            self.finish(at)

    cdef uint32_t write_for(self, const Query *query, uint32_t profile, uint32_t limit, const Kept *kept, uint8_t *out) noexcept nogil:
        """An answer that leads to a listed name or into the client's own network, as the client's profile would have it."""
        cdef Decision decision
        cdef uint32_t written = write_judged(self.scratch, self.policy, profile, query, kept, &decision)
        if decision.action != ACTION_PASS:
            self.hit(&decision)
            if decision.action >= ACTION_SHADOW:
                self.met = 0
        if not written and kept.private and self.policy.rebound(query.name, query.label_at, query.labels, profile):
            # As if the name had no address: its owner must not reach into the network of whoever asks.
            self.counters.add(CELL_REBOUND)
            decision.action = ACTION_NODATA
            decision.denies_all = False
            decision.ede = EDE_BLOCKED
            return self.policy.write(out, query, &decision)
        if not written:
            return write_kept(out, limit, query, kept)
        if written > limit:
            return write_truncated(out, query)
        if out != self.scratch:
            memcpy(out, self.scratch, written)
        return written

"""Who may ask how much: cookies, rates and questions on their way, put together for the engine.

Holds always: what a forged source could have sent counts against the rate, what a proven one sent by UDP or anybody by a
stream does not; a share taken of a bound is given back with the question, once.
"""

from resolver._hot.cookies cimport COOKIE_NONE, COOKIE_OPTION_BYTES, address_bytes, source_proven
from resolver._hot.cursor cimport get16, put16
from resolver._hot.limits cimport ADMIT_PASS
from resolver._hot.wire cimport find_opt

cdef enum:
    UDP = 1


cdef class Guard:
    """The parts, each of which may be absent.

    Args:
        cookies: Proves sources (RFC 7873), or None.
        limits: Rates by the client's prefix.
        clients, domains: Questions on their way by the client's prefix and by the registrable domain.
        registrable: Tells a name's registrable domain.
        misses_per_domain: Bound on the latter.
    """

    def __cinit__(self, Cookies cookies, Limits limits not None, Outstanding clients not None, Outstanding domains not None,
                  Registrable registrable not None, uint32_t misses_per_domain):
        self.cookies = cookies
        self.limits = limits
        self.clients = clients
        self.domains = domains
        self.registrable = registrable
        self.misses_per_domain = misses_per_domain

    def use(self, Cookies cookies):
        """Swaps the secrets: what the ones before made may still hold by them."""
        self.cookies = cookies

    cdef int check(self, const Query *query, const Client *client, int64_t now) noexcept nogil:
        """What the query's cookie is worth."""
        cdef uint8_t address[16]
        cdef uint32_t size
        if query.cookie_size == 0 or self.cookies is None:
            return COOKIE_NONE
        size = address_bytes(client.high, client.low, address)
        return self.cookies.check(query, address, size, now)

    cdef uint64_t expect(self, const Client *client) noexcept nogil:
        """What `admit` will call the client's prefix; has its row on its way from memory. Streams have no rate: 0."""
        cdef uint64_t prefix
        if client.transport != UDP:
            return 0
        prefix = self.limits.key(client.high, client.low)
        self.limits.fetch(prefix)
        return prefix

    cdef int admit(self, const Client *client, uint64_t prefix, int checked, int64_t now_ms) noexcept nogil:
        """Whether a query is within its client's rate; `prefix` as `expect` called it."""
        if client.transport != UDP or source_proven(checked):
            return ADMIT_PASS
        return self.limits.admit(client.high, client.low, prefix, now_ms)

    cdef bint take(self, const Query *query, const Client *client, uint64_t *keys) noexcept nogil:
        """Takes a question's share of both bounds; False where one is reached. `keys` remember what to give back."""
        keys[0] = self.limits.key(client.high, client.low)
        keys[1] = self.registrable.key(query.name, query.label_at, query.labels)
        if not self.clients.acquire(keys[0], self.limits.misses(client.high, client.low)):
            keys[0] = keys[1] = 0
            return False
        if not self.domains.acquire(keys[1], self.misses_per_domain):
            self.clients.release(keys[0])
            keys[0] = keys[1] = 0
            return False
        return True

    cdef void give(self, uint64_t *keys) noexcept nogil:
        """Gives a question's share back; nothing where it had none."""
        if keys[0]:
            self.clients.release(keys[0])
            self.domains.release(keys[1])
            keys[0] = keys[1] = 0

    cdef uint32_t prove(self, uint8_t *out, uint32_t size, const Query *query, const Client *client, int checked,
                        int64_t now) noexcept nogil:
        """Puts the cookie that answers the query's into an answer of ours: needs COOKIE_OPTION_BYTES; the new size."""
        cdef uint8_t address[16]
        cdef uint32_t address_size, opt
        if checked == COOKIE_NONE:
            return size
        opt = find_opt(out, size)
        if opt == 0:
            return size
        address_size = address_bytes(client.high, client.low, address)
        put16(out + opt + 9, get16(out + opt + 9) + COOKIE_OPTION_BYTES)
        return self.cookies.write(out, size, query, checked, address, address_size, now)

    cdef uint32_t prove_bare(self, uint8_t *out, const uint8_t *packet, uint32_t size, const Client *client,
                             int64_t now) noexcept nogil:
        """The answer to a query that asks for nothing but a cookie, or 0."""
        cdef uint8_t address[16]
        cdef uint32_t address_size
        if self.cookies is None:
            return 0
        address_size = address_bytes(client.high, client.low, address)
        return self.cookies.answer_bare(out, packet, size, address, address_size, now)

"""DNS cookies as every member of an anycast set makes them (RFC 7873, RFC 9018): proof that a source address is real.

Holds always: a server cookie counts only under one of the secrets, for the address it came from, for an hour at most;
comparing it takes the same time whatever it holds; nothing is kept per client.
"""

from libc.stdint cimport int32_t, uint16_t
from libc.string cimport memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from blocklist_sync.artifact._snapshot cimport Sip, sip_label, sip_start, sip_value
from resolver._hot.cursor cimport get16, get32, put16, put32
from resolver._hot.wire cimport (
    CD, HEADER, OPT_BYTES, OPTION_COOKIE, QR, RA, RD, READ_OK, TYPE_OPT, UDP_LIMIT, read_query)

cdef enum:
    VERSION = 1
    AGE_MAX = 3600              # RFC 9018 4.3
    AGE_RENEW = 1800
    FUTURE_MAX = 300            # a sibling's clock may be ahead
    SECRET_BYTES = 16

COOKIE_STATES = ("none", "client", "valid", "renew", "bad")


cdef inline uint64_t digest(const Secret *secret, const uint8_t *client, const uint8_t *server, const uint8_t *address,
                            uint32_t address_size) noexcept nogil:
    """The hash over client cookie, version, reserved bytes, timestamp and client address (RFC 9018 4.4)."""
    cdef uint8_t data[32]
    cdef Sip sip
    memcpy(data, client, 8)
    memcpy(data + 8, server, 8)
    memcpy(data + 16, address, address_size)
    sip_start(&sip, secret.key0, secret.key1)
    sip_label(&sip, data, 16 + address_size)
    return sip_value(&sip)


cdef const uint8_t *whole(bytes address) except NULL:
    """An address's bytes; ValueError where it has another length."""
    if PyBytes_GET_SIZE(address) != 4 and PyBytes_GET_SIZE(address) != 16:
        raise ValueError("an address has 4 or 16 bytes")
    return <const uint8_t *>PyBytes_AS_STRING(address)


cdef class Cookies:
    """The secrets, the first of which makes new cookies; what another one made is renewed.

    Args:
        secrets: 16 bytes each, 1 to COOKIE_SECRETS_MAX of them.

    Raises:
        ValueError: There are too few or too many, or one has another length.
    """

    def __cinit__(self, tuple secrets not None):
        cdef uint32_t i
        if not 1 <= len(secrets) <= COOKIE_SECRETS_MAX:
            raise ValueError(f"{len(secrets)} secrets of cookies; 1 to {COOKIE_SECRETS_MAX} are possible")
        for i, secret in enumerate(secrets):
            if len(secret) != SECRET_BYTES:
                raise ValueError(f"a cookie's secret has {SECRET_BYTES} bytes, not {len(secret)}")
            self.secrets[i].key0 = int.from_bytes(secret[:8], "little")
            self.secrets[i].key1 = int.from_bytes(secret[8:], "little")
        self.secret_count = len(secrets)

    cdef int check(self, const Query *query, const uint8_t *address, uint32_t address_size, int64_t now) noexcept nogil:
        """What a query's cookie is worth: a `Cookie`. `address` has 4 or 16 bytes, `now` is seconds since 1970."""
        cdef const uint8_t *client = query.packet + query.cookie_at
        cdef const uint8_t *server = client + CLIENT_COOKIE
        cdef uint64_t theirs
        cdef int32_t age
        cdef uint32_t i
        if query.cookie_size == 0:
            return COOKIE_NONE
        if query.cookie_size == CLIENT_COOKIE:
            return COOKIE_CLIENT
        if query.cookie_size != CLIENT_COOKIE + SERVER_COOKIE or server[0] != VERSION:
            return COOKIE_BAD
        # Serial number arithmetic (RFC 1982): the stamp's 32 bits end in 2106.
        age = <int32_t>(<uint32_t>now - get32(server + 4))
        if age > AGE_MAX or age < -FUTURE_MAX:
            return COOKIE_BAD
        memcpy(&theirs, server + 8, 8)
        for i in range(self.secret_count):
            if digest(&self.secrets[i], client, server, address, address_size) == theirs:
                return COOKIE_RENEW if i or age > AGE_RENEW else COOKIE_VALID
        return COOKIE_BAD

    cdef uint32_t write(self, uint8_t *out, uint32_t at, const Query *query, int checked, const uint8_t *address,
                        uint32_t address_size, int64_t now) noexcept nogil:
        """Appends the option that answers the query's cookie, which `check` found to be `checked`; the new end.

        Needs COOKIE_OPTION_BYTES at `at`; OPT's length is the caller's. Nothing where the query has no cookie.
        """
        cdef uint64_t mine
        if checked == COOKIE_NONE:
            return at
        put16(out + at, OPTION_COOKIE)
        put16(out + at + 2, CLIENT_COOKIE + SERVER_COOKIE)
        at += 4
        if checked == COOKIE_VALID:
            memcpy(out + at, query.packet + query.cookie_at, CLIENT_COOKIE + SERVER_COOKIE)
            return at + CLIENT_COOKIE + SERVER_COOKIE
        memcpy(out + at, query.packet + query.cookie_at, CLIENT_COOKIE)
        at += CLIENT_COOKIE
        put32(out + at, <uint32_t>VERSION << 24)
        put32(out + at + 4, <uint32_t>now)
        mine = digest(&self.secrets[0], out + at - CLIENT_COOKIE, out + at, address, address_size)
        memcpy(out + at + 8, &mine, 8)
        return at + SERVER_COOKIE

    cdef uint32_t answer_bare(self, uint8_t *out, const uint8_t *packet, uint32_t size, const uint8_t *address,
                              uint32_t address_size, int64_t now) noexcept nogil:
        """The answer to a query without a question that asks for a cookie (RFC 7873 5.4), or 0: it is none.

        Needs HEADER + OPT_BYTES + COOKIE_OPTION_BYTES.
        """
        cdef uint8_t asked[HEADER + 5 + OPT_BYTES + 256]
        cdef Query query
        cdef int checked
        # QR, opcode, and the four counts: nothing but one additional record, which must be OPT.
        if (size < HEADER + OPT_BYTES or size > HEADER + OPT_BYTES + 256 or get16(packet + 2) & 0xF800
                or get32(packet + 4) or get32(packet + 8) != 1 or packet[HEADER] or get16(packet + HEADER + 1) != TYPE_OPT):
            return 0
        # Read as a query for the root's addresses: the reader of options is the one that there is.
        memcpy(asked, packet, HEADER)
        asked[5] = 1
        memcpy(asked + HEADER, b"\0\0\1\0\1", 5)
        memcpy(asked + HEADER + 5, packet + HEADER, size - HEADER)
        if read_query(asked, size + 5, &query) != READ_OK or query.cookie_size == 0:
            return 0
        checked = self.check(&query, address, address_size, now)
        memset(out, 0, HEADER + OPT_BYTES)
        memcpy(out, packet, 2)
        put16(out + 2, QR | RA | (query.flags & (RD | CD)) | (BADCOOKIE & 15 if checked == COOKIE_BAD else 0))
        out[11] = 1
        put16(out + HEADER + 1, TYPE_OPT)
        put16(out + HEADER + 3, UDP_LIMIT)
        out[HEADER + 5] = BADCOOKIE >> 4 if checked == COOKIE_BAD else 0
        put16(out + HEADER + 7, 0x8000 if query.want_dnssec else 0)
        put16(out + HEADER + 9, COOKIE_OPTION_BYTES)
        return self.write(out, HEADER + OPT_BYTES, &query, checked, address, address_size, now)

    # For what is not on the packet path -----------------------------------------------------------------------------

    def weigh(self, bytes query not None, bytes address not None, int64_t now):
        """What a query's cookie is worth, one of COOKIE_STATES, and the option that answers it.

        Args:
            query: A whole query.
            address: The client's, 4 or 16 bytes.
            now: Seconds since 1970.

        Raises:
            ValueError: The query cannot be read, or the address has another length.
        """
        cdef Query read
        cdef uint8_t out[COOKIE_OPTION_BYTES]
        cdef int checked
        cdef uint32_t size
        if read_query(<const uint8_t *>PyBytes_AS_STRING(query), <uint32_t>PyBytes_GET_SIZE(query), &read) != READ_OK:
            raise ValueError("the query cannot be read")
        cdef const uint8_t *at = whole(address)
        checked = self.check(&read, at, <uint32_t>PyBytes_GET_SIZE(address), now)
        size = self.write(out, 0, &read, checked, at, <uint32_t>PyBytes_GET_SIZE(address), now)
        return COOKIE_STATES[checked], PyBytes_FromStringAndSize(<char *>out, size)

    def bare(self, bytes packet not None, bytes address not None, int64_t now):
        """The answer to a query without a question that asks for a cookie; empty where it is none."""
        cdef uint8_t out[HEADER + OPT_BYTES + COOKIE_OPTION_BYTES]
        cdef const uint8_t *at = whole(address)
        cdef uint32_t size = self.answer_bare(out, <const uint8_t *>PyBytes_AS_STRING(packet),
                                              <uint32_t>PyBytes_GET_SIZE(packet), at, <uint32_t>PyBytes_GET_SIZE(address), now)
        return PyBytes_FromStringAndSize(<char *>out, size)

from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    HEADER = 12
    OPT_BYTES = 11
    OPTION_COOKIE = 10
    OPTION_PADDING = 12
    OPTION_EDE = 15
    PADDING_BLOCK = 468         # RFC 8467 4.1
    UDP_LIMIT = 1232        # flag day 2020, RFC 9715
    UDP_CLASSIC = 512
    MESSAGE_MAX = 65535
    RECORDS_MAX = 512
    TTLS_MAX = 128

cdef enum:
    TYPE_A = 1
    TYPE_CNAME = 5
    TYPE_SOA = 6
    TYPE_AAAA = 28
    TYPE_DNAME = 39
    TYPE_OPT = 41
    TYPE_RRSIG = 46
    TYPE_SVCB = 64
    TYPE_HTTPS = 65
    TYPE_ANY = 255
    CLASS_IN = 1

cdef enum:
    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16

cdef enum:
    # Flag bits of the header's second word.
    QR = 0x8000
    AA = 0x0400
    TC = 0x0200
    RD = 0x0100
    RA = 0x0080
    AD = 0x0020
    CD = 0x0010

cdef enum:
    # RFC 8914.
    EDE_NONE = 0xFFFF
    EDE_STALE = 3
    EDE_CACHED_ERROR = 13
    EDE_NOT_READY = 14
    EDE_BLOCKED = 15
    EDE_CENSORED = 16
    EDE_FILTERED = 17
    EDE_PROHIBITED = 18
    EDE_STALE_NXDOMAIN = 19
    EDE_NO_REACHABLE_AUTHORITY = 22

cdef struct Query:
    const uint8_t *packet
    uint32_t size
    uint16_t id
    uint16_t flags
    uint16_t qtype
    uint16_t qclass
    uint16_t question_end       # offset behind the question
    uint16_t udp_size           # what the client takes; 512 without EDNS
    uint8_t labels              # without the root
    uint8_t name_size           # with the root
    bint edns
    bint want_dnssec            # DO
    bint padded                 # carries the padding option (RFC 7830)
    bint structured             # carries an empty extended error: wants contacts with one (draft-ietf-dnsop-structured-dns-error)
    uint8_t cookie_size         # of the cookie option (RFC 7873); 0: none
    uint16_t cookie_at          # its offset in the packet
    uint8_t name[256]           # lowercased wire form
    uint8_t label_at[128]       # offset of each label in name, leftmost first

cdef enum Reading:
    READ_OK = 0
    READ_DROP = 1               # not worth an answer: short, or itself an answer
    READ_FORMERR = 2
    READ_NOTIMP = 3
    READ_BADVERS = 4

cdef struct Response:
    # What an upstream's answer holds, found in one walk.
    uint16_t rcode
    uint16_t flags
    uint16_t answers, authorities, additionals      # as kept: without OPT and what follows it
    uint32_t question_end
    uint32_t end                # behind the last record kept
    uint32_t ttl                # seconds that it may be cached; 0: not at all
    bint positive               # it says what was asked for
    bint negative               # it says that there is none, with an SOA
    uint32_t negative_ttl       # seconds: the SOA's TTL or its MINIMUM (RFC 2308 5)
    uint32_t soa_ttl_at
    bint targets                # carries CNAME, DNAME, SVCB or HTTPS
    bint private                # carries an address that no public name should have, or data that may hide one
    bint unheard                # nobody said it: a failure of ours
    uint16_t ttl_count
    uint16_t ttl_at[128]

cdef Reading read_query(const uint8_t *packet, uint32_t size, Query *query) noexcept nogil
cdef bint split_labels(const uint8_t *name, uint32_t size, uint8_t *label_at, uint8_t *labels) noexcept nogil
cdef bint read_response(const uint8_t *packet, uint32_t size, Response *response) noexcept nogil
cdef bint same_question(const Query *query, const uint8_t *packet, uint32_t size) noexcept nogil
cdef uint32_t write_start(uint8_t *out, const Query *query, uint16_t flags, uint16_t rcode) noexcept nogil
cdef uint32_t write_opt(uint8_t *out, uint32_t at, const Query *query, uint16_t rcode, uint16_t ede) noexcept nogil
cdef uint32_t write_error(uint8_t *out, const Query *query, uint16_t rcode, uint16_t ede) noexcept nogil
cdef uint32_t write_bare(uint8_t *out, const uint8_t *packet, uint16_t rcode) noexcept nogil
cdef uint32_t write_soa(uint8_t *out, uint32_t at, uint32_t owner, uint32_t ttl, uint32_t serial) noexcept nogil
cdef uint32_t write_address(uint8_t *out, uint32_t at, uint16_t rtype, uint32_t ttl, uint32_t owner, const uint8_t *address) noexcept nogil
cdef uint32_t find_opt(const uint8_t *out, uint32_t size) noexcept nogil
cdef uint32_t pad(uint8_t *out, uint32_t size, uint32_t limit) noexcept nogil
cdef uint32_t write_any(uint8_t *out, const Query *query) noexcept nogil

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from resolver._hot.wire cimport Query, Response

cdef enum:
    CLASSES = 3
    WAYS = 8
    PAYLOAD_MAX = 4096
    WRITERS = 264               # processes that write at once, each with a number of its own
    LINE_BYTES = 64             # for each of them: the place it is writing at, plus one; 0 for none

cdef enum:
    # Bits of a key that are not the name or the type.
    KEY_DO = 1
    KEY_CD = 2
    KEY_OWN = 4                 # a question of our own: no client joins it

cdef struct Slot:
    # 48 bytes, then name, packet, TTL offsets. Written under an odd sequence number only.
    uint32_t sequence
    uint32_t writer             # who claimed it last; changes with the sequence number, in one store
    uint64_t checksum           # keyed, over sequence, header and payload
    uint32_t stored_at          # seconds, monotonic
    uint32_t expires_at
    uint64_t verdict            # sequence << 32 | policy epoch << 1 | a target is listed under it: one word, never torn
    uint16_t qtype
    uint16_t bits               # KEY_DO | KEY_CD | upstream group << 8
    uint16_t packet_size
    uint16_t ttl_count
    uint8_t name_size
    uint8_t traits              # what policy looks at
    uint16_t pad
    uint32_t retry_at           # while expired: before this, monotonic seconds, upstreams are known not to answer

cdef enum:
    # Traits of a kept answer.
    TRAIT_TARGETS = 1           # it leads to other names
    TRAIT_PRIVATE = 2           # it carries an address of the asker's own network
    TRAIT_FAILED = 4            # it is a failure
    TRAIT_UNHEARD = 8           # of ours: nobody answered

cdef enum Found:
    # What the cache has for a question.
    FOUND_NOTHING = 0
    FOUND_FRESH = 1
    FOUND_AGEING = 2            # fresh, asked for often, and about to expire: time to ask again beforehand
    FOUND_STALE = 3             # expired; serves where no upstream answers (RFC 8767)

cdef struct Layer:
    # One size class: rows of WAYS tags, and as many slots.
    uint64_t *tags
    uint32_t *used              # per slot: bumped by a hit, taken down by the search for a victim
    uint8_t *slots
    uint32_t slot_size
    uint32_t rows

cdef struct Entry:
    # A stable copy of a slot.
    Slot head
    Slot *source                # where it was copied from, for judge()
    const uint8_t *packet
    const uint8_t *ttls         # ttl_count offsets, two bytes each, native order
    uint32_t uses               # 0 to 3

cdef class Cache:
    cdef Layer layers[CLASSES]
    cdef uint64_t secret
    cdef uint32_t writer
    cdef uint64_t *writing      # this writer's line
    cdef uint8_t *base
    cdef uint8_t *lines
    cdef uint32_t stale         # seconds that an answer outlives its TTL, to be served where nothing better is to be had
    cdef object _buffer
    cdef uint8_t scratch[PAYLOAD_MAX]
    cdef uint64_t tag(self, uint64_t fingerprint, uint16_t qtype, uint16_t bits) noexcept nogil
    cdef void expect(self, uint64_t tag) noexcept nogil
    cdef void fetch(self, uint64_t tag) noexcept nogil
    cdef Found get(self, uint64_t fingerprint, const Query *query, uint16_t bits, uint32_t now, bint stale, Entry *entry) noexcept nogil
    cdef bint put(self, uint64_t fingerprint, const Query *query, uint16_t bits, uint32_t now, const uint8_t *packet,
                  const Response *response, uint32_t ttl, uint32_t verdict) noexcept nogil
    cdef void forget_elsewhere(self, uint64_t tag, int kept) noexcept nogil
    cdef void spare(self, const Entry *entry, uint32_t until) noexcept nogil
    cdef void judge(self, const Entry *entry, uint32_t verdict) noexcept nogil
    cdef uint64_t checksum(self, const Slot *head, const uint8_t *payload, uint32_t size) noexcept nogil

"""How much one client may ask: queries a second by its prefix, and questions on their way at once.

Holds always: memory is fixed when the table is made; which row a prefix stands in follows from a secret, so that nobody
can crowd out another on purpose; where a row is full, whoever is nearest to being idle makes room, and gains by it what
one burst allows at most. A bucket is one time, not a count (the generic cell rate algorithm): when all that the prefix
asked has been paid for; an idle prefix needs no bucket.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from blocklist_sync.artifact._snapshot cimport Sip, lachan_multiply_high, sip_label, sip_start, sip_value
from resolver._hot.atomics cimport load64, store64
from resolver._hot.cursor cimport get32

cdef enum:
    SECOND = 1000000000
    MILLISECOND = 1000000
    RATE_MAX = 10000000
    BURST_MAX = 10000000
    CAPACITY_MAX = 1 << 22

BUCKET_BYTES = sizeof(Bucket)
ADMISSIONS = ("pass", "slip", "drop")


cdef class Limits:
    """Buckets of clients' prefixes, in memory that all workers may share.

    Args:
        buffer: Writable memory, zero at first, a multiple of WAYS x BUCKET_BYTES; all workers' by one secret, or each
            worker's own.
        secret: 16 bytes.
        rate: Queries a second (0: no limit), how many of them at once, questions on their way at once.
        exceptions: Networks with another rate: first 16 bytes of an address (IPv4 mapped), length of the prefix of these
            128 bits, and the three numbers of `rate`. The longest decides.
        prefixes: How many bits of an IPv4 and of an IPv6 address are one client.
        slip: Every how many refusals one is answered with TC; 0: none.

    Raises:
        ValueError: A bound is exceeded.
    """

    def __cinit__(self, object buffer, bytes secret not None, tuple rate not None, list exceptions not None,
                  tuple prefixes not None, uint32_t slip):
        cdef Py_buffer view
        if len(secret) != 16:
            raise ValueError("a secret of 16 bytes is expected")
        if slip > SLIP_MAX:
            raise ValueError(f"slip: {SLIP_MAX} is the most")
        v4, v6 = prefixes
        if not 1 <= v4 <= 32 or not 1 <= v6 <= 128:
            raise ValueError("prefixes: 1 to 32 bits of an IPv4 address and 1 to 128 of an IPv6 one make a client")
        own = list(dict.fromkeys(tuple(numbers) for _, _, *numbers in exceptions))
        networks = [(address, length, own.index(tuple(numbers))) for address, length, *numbers in exceptions]
        rates = [rate, *own]
        if len(rates) > RATES_MAX:
            raise ValueError(f"exceptions: {RATES_MAX - 1} different rates are the most")
        for i, (per_second, burst, misses) in enumerate(rates):
            if not 0 <= per_second <= RATE_MAX or not 1 <= burst <= BURST_MAX or not 1 <= misses <= 0xFFFFFFFF:
                raise ValueError(f"a rate of {per_second} queries a second, {burst} at once, is beyond its bounds")
            self.rates[i].cost = SECOND // per_second if per_second else 0
            self.rates[i].tolerance = self.rates[i].cost * (burst - 1)
            self.rates[i].misses = misses
        self.exceptions = Networks(networks)
        self.mask4_low = 0xFFFFFFFF00000000 | (0xFFFFFFFF << 32 - v4 & 0xFFFFFFFF)
        mask = ((1 << v6) - 1) << 128 - v6
        self.mask6_high = mask >> 64
        self.mask6_low = mask & 0xFFFFFFFFFFFFFFFF
        self.key0 = int.from_bytes(secret[:8], "little")
        self.key1 = int.from_bytes(secret[8:], "little")
        self.slip = slip
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        try:
            if view.len < WAYS * sizeof(Bucket) or view.len % (WAYS * sizeof(Bucket)) or <size_t>view.buf % 8:
                raise ValueError(f"memory in rows of {WAYS * sizeof(Bucket)} bytes is expected, not {view.len}")
            self.buckets = <Bucket *>view.buf
            self.rows = view.len // (WAYS * sizeof(Bucket))
        finally:
            PyBuffer_Release(&view)
        self._buffer = buffer       # keeps the mapping

    cdef uint64_t key(self, uint64_t high, uint64_t low) noexcept nogil:
        """What a client's prefix is called here; says nothing to whoever lacks the secret."""
        cdef uint64_t prefix[2]
        cdef Sip sip
        if high == 0 and low >> 32 == 0xFFFF:
            prefix[0] = 0
            prefix[1] = low & self.mask4_low
        else:
            prefix[0] = high & self.mask6_high
            prefix[1] = low & self.mask6_low
        sip_start(&sip, self.key0, self.key1)
        sip_label(&sip, <const uint8_t *>prefix, sizeof(prefix))
        return sip_value(&sip)

    cdef int admit(self, uint64_t high, uint64_t low, uint64_t key, int64_t now_ms) noexcept nogil:
        """Whether a client, whose prefix has this `key`, may ask now: an `Admission`. `now_ms` is CLOCK_MONOTONIC, the same for all who share."""
        cdef const Rate *rate = &self.rates[self.exceptions.find(high, low) + 1]
        cdef uint64_t tag, due, found, lowest = <uint64_t>-1
        cdef uint64_t now = <uint64_t>(now_ms * MILLISECOND)
        cdef Bucket *row
        cdef Bucket *bucket = NULL
        cdef uint32_t i, refusals
        if rate.cost == 0:
            return ADMIT_PASS
        row = &self.buckets[lachan_multiply_high(key, self.rows) * WAYS]
        # Never nobody's, and the low byte is not the prefix's.
        tag = (key | 0x100) & ~<uint64_t>0xFF
        for i in range(WAYS):
            found = load64(&row[i].tag)
            due = load64(&row[i].due)
            if found & ~<uint64_t>0xFF == tag:
                bucket = &row[i]
                break
            if due < lowest:
                lowest = due
                bucket = &row[i]
        else:
            # Empty, idle, or nearest to it.
            found = tag
            due = now
            store64(&bucket.tag, tag)
        if due < now:
            due = now
        elif due > now + rate.tolerance + rate.cost:
            # Under a rate that was another before.
            due = now + rate.tolerance + rate.cost
            store64(&bucket.due, due)
        if due <= now + rate.tolerance:
            store64(&bucket.due, due + rate.cost)
            return ADMIT_PASS
        if self.slip == 0:
            return ADMIT_DROP
        refusals = <uint32_t>(found & 0xFF) + 1
        store64(&bucket.tag, tag | (refusals if refusals < self.slip else 0))
        return ADMIT_DROP if refusals < self.slip else ADMIT_SLIP

    # For what is not on the packet path -----------------------------------------------------------------------------

    def weigh(self, bytes address not None, int64_t now_ms):
        """As `admit`, for 16 bytes of an address: one of ADMISSIONS."""
        whole(address)
        return ADMISSIONS[self.admit(half(address, 0), half(address, 8), self.key(half(address, 0), half(address, 8)), now_ms)]

    def prefix_key(self, bytes address not None):
        """What the prefix of 16 bytes of an address is called here."""
        whole(address)
        return self.key(half(address, 0), half(address, 8))

    def misses_of(self, bytes address not None):
        """How many questions of the prefix may be on their way at once."""
        whole(address)
        return self.misses(half(address, 0), half(address, 8))


cdef int whole(bytes address) except -1:
    if PyBytes_GET_SIZE(address) != 16:
        raise ValueError("an address has 16 bytes")
    return 0


cdef uint64_t half(bytes address, int at):
    cdef const uint8_t *octets = <const uint8_t *>PyBytes_AS_STRING(address) + at
    return <uint64_t>get32(octets) << 32 | get32(octets + 4)


cdef class Outstanding:
    """How many questions are on their way for each key: a client's prefix, a registrable domain, an upstream.

    Args:
        capacity: Keys at once; beyond them nobody new gets through. As many as questions at most never is too few.
        secret: Where a key stands follows from it.

    Raises:
        ValueError: The capacity is beyond its bounds.
    """

    def __cinit__(self, uint32_t capacity, uint64_t secret):
        if not 1 <= capacity <= CAPACITY_MAX:
            raise ValueError(f"capacity: 1 to {CAPACITY_MAX} keys")
        self.capacity = capacity
        self.slots = 2 * <uint64_t>capacity
        self.secret = secret
        self.keys = <uint64_t *>calloc(self.slots, sizeof(uint64_t))
        self.counts = <uint32_t *>calloc(self.slots, sizeof(uint32_t))
        if self.keys == NULL or self.counts == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.keys)
        free(self.counts)

    cdef uint64_t slot(self, uint64_t key) noexcept nogil:
        """Where a key would stand, were it alone."""
        cdef uint64_t mixed = (key ^ self.secret) * <uint64_t>0x9E3779B97F4A7C15
        mixed = (mixed ^ mixed >> 32) * <uint64_t>0xD6E8FEB86659FD93
        return lachan_multiply_high(mixed ^ mixed >> 32, self.slots)

    cdef bint acquire(self, uint64_t key, uint32_t limit) noexcept nogil:
        """One question more; False, and nothing counted, where `limit` are on their way already."""
        cdef uint64_t at
        if key == 0:
            key = 1
        at = self.slot(key)
        while self.keys[at]:
            if self.keys[at] == key:
                if self.counts[at] >= limit:
                    return False
                self.counts[at] += 1
                return True
            at += 1
            if at == self.slots:
                at = 0
        if self.used == self.capacity or limit == 0:
            return False
        self.used += 1
        self.keys[at] = key
        self.counts[at] = 1
        return True

    cdef void release(self, uint64_t key) noexcept nogil:
        """One question that `acquire` let through is done."""
        cdef uint64_t at, hole, home
        if key == 0:
            key = 1
        at = self.slot(key)
        while self.keys[at] != key:
            if self.keys[at] == 0:
                return
            at += 1
            if at == self.slots:
                at = 0
        self.counts[at] -= 1
        if self.counts[at]:
            return
        self.used -= 1
        # Whoever stands behind the hole and would rather stand in it moves up: a search ends at the first empty slot.
        hole = at
        while True:
            at += 1
            if at == self.slots:
                at = 0
            if self.keys[at] == 0:
                break
            home = self.slot(self.keys[at])
            if (at - home + (self.slots if at < home else 0)) >= (at - hole + (self.slots if at < hole else 0)):
                self.keys[hole] = self.keys[at]
                self.counts[hole] = self.counts[at]
                hole = at
        self.keys[hole] = 0

    # For what is not on the packet path -----------------------------------------------------------------------------

    def take(self, uint64_t key, uint32_t limit):
        """As `acquire`."""
        return self.acquire(key, limit)

    def give(self, uint64_t key):
        """As `release`."""
        self.release(key)

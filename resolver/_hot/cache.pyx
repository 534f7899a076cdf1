"""The packet cache: answers kept as they go out, in memory that all workers share.

Holds always: memory is bounded by the buffer given; a reader never trusts a slot before it has copied it, seen the same
even sequence number on both sides of the copy and recomputed a keyed checksum, so that a writer stopped or killed in the
middle of a write costs an entry, never a wrong answer; a writer that finds a slot claimed skips the insert; a claim names
its writer from its first moment on and is ended by that writer alone, or by `release` once it has certainly ended.

The hash is keyed by a secret of the machine's boot: an outsider cannot aim at one row.
"""

from libc.string cimport memcmp, memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from blocklist_sync.artifact._snapshot cimport _tail, lachan_multiply_high, lachan_prefetch
from resolver._hot.wire cimport SERVFAIL
from resolver._hot.atomics cimport claim_as, fence_acquire, fence_release, load64, load_acquire, load_relaxed, store64, store64_release, store_release

cdef uint32_t[CLASSES] SLOT_SIZES = [256, 1024, 4096]
# Of each 64 parts of memory. Most answers fit the smallest class.
cdef uint32_t[CLASSES] SHARES = [44, 14, 6]

MIN_BYTES = 1 << 20

cdef extern from *:
    """
    #define LACHAN_MULTIPLIER 0x9E3779B97F4A7C15u
    """
    const uint64_t MULTIPLIER "LACHAN_MULTIPLIER"

cdef enum:
    USES_MAX = 3


cdef inline uint64_t fold(uint64_t a, uint64_t b) noexcept nogil:
    # Both halves of the product: sixteen bytes a multiplication.
    return (a * b) ^ lachan_multiply_high(a, b)


cdef inline uint64_t mix(uint64_t x) noexcept nogil:
    # The finaliser of SplitMix64.
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)


cdef class Cache:
    """A view of the shared memory.

    Args:
        buffer: Writable memory of at least `MIN_BYTES`, zeroed when it was made, aligned to 64.
        secret: 64 random bits, the same in all workers.
        writer: This process's number, below `WRITERS`, which no other living process has.
        stale: Seconds that an answer outlives its TTL, to be served where no upstream answers (RFC 8767); 0: none.

    Raises:
        ValueError: The buffer is smaller than `MIN_BYTES`, or the number is too large.
    """

    def __cinit__(self, object buffer, uint64_t secret, uint32_t writer, uint32_t stale=0):
        cdef Py_buffer view
        cdef uint8_t *at
        cdef uint64_t share, rows
        cdef int i
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        try:
            if view.len < MIN_BYTES:
                raise ValueError(f"the cache has {view.len} bytes; {MIN_BYTES} are the least")
            if writer >= WRITERS:
                raise ValueError(f"{writer} is no number of a writer: {WRITERS} are the most")
            at = self.base = <uint8_t *>view.buf
            share = (view.len - WRITERS * LINE_BYTES) // 64
        finally:
            PyBuffer_Release(&view)
        self._buffer = buffer       # keeps the mapping
        self.secret = secret
        self.writer = writer
        self.stale = stale
        for i in range(CLASSES):
            # A row takes a line of tags, half a line of marks (padded to a whole one) and its slots.
            rows = SHARES[i] * share // (128 + WAYS * SLOT_SIZES[i])
            self.layers[i].slot_size = SLOT_SIZES[i]
            self.layers[i].rows = <uint32_t>rows
            self.layers[i].tags = <uint64_t *>at
            at += rows * 64
            self.layers[i].used = <uint32_t *>at
            at += rows * 64
            self.layers[i].slots = at
            at += rows * WAYS * SLOT_SIZES[i]
        self.lines = at
        self.writing = <uint64_t *>(at + writer * LINE_BYTES)

    @property
    def capacity(self):
        """How many answers fit."""
        return sum(WAYS * self.layers[i].rows for i in range(CLASSES))

    def entries(self, uint32_t now):
        """How many slots hold an answer that has not expired; walks everything, so not for a hot path."""
        cdef uint64_t i, count = 0
        cdef int k
        cdef const Slot *slot
        for k in range(CLASSES):
            for i in range(<uint64_t>self.layers[k].rows * WAYS):
                slot = <const Slot *>(self.layers[k].slots + i * self.layers[k].slot_size)
                count += self.layers[k].tags[i] != 0 and slot.expires_at > now
        return count

    def flush(self, bytes name not None, bint subtree):
        """Forgets the answers to a name's questions, and with `subtree` those of all names below it; how many.

        Args:
            name: Lowercased wire form with the root label; the root alone and `subtree` are everything.
        """
        cdef uint64_t i, count = 0
        cdef int k
        cdef const Slot *slot
        cdef const uint8_t *kept
        cdef const uint8_t *wanted = <const uint8_t *>PyBytes_AS_STRING(name)
        cdef uint32_t size = <uint32_t>PyBytes_GET_SIZE(name), at
        if not 1 <= size <= 255:
            raise ValueError("a name has 1 to 255 bytes")
        for k in range(CLASSES):
            for i in range(<uint64_t>self.layers[k].rows * WAYS):
                if load64(&self.layers[k].tags[i]) == 0:
                    continue
                slot = <const Slot *>(self.layers[k].slots + i * self.layers[k].slot_size)
                kept = <const uint8_t *>slot + sizeof(Slot)
                at = 0
                # From label to label, inside the name's own bytes whatever they say: a writer may be at work.
                while subtree and at + size < slot.name_size and kept[at]:
                    at += kept[at] + 1
                if at + size == slot.name_size and memcmp(kept + at, wanted, size) == 0:
                    store64(&self.layers[k].tags[i], 0)
                    count += 1
        return count

    def release(self, uint32_t writer):
        """Frees the slot that a writer left claimed; whether there was one.

        Only once its process has certainly ended: one that merely stands still would go on writing.

        Raises:
            ValueError: The number is too large.
        """
        cdef uint64_t *line
        cdef uint64_t at, index
        cdef uint32_t sequence
        cdef int k
        cdef bint freed = False
        cdef Layer *layer
        cdef Slot *slot
        if writer >= WRITERS:
            raise ValueError(f"{writer} is no number of a writer: {WRITERS} are the most")
        line = <uint64_t *>(self.lines + writer * LINE_BYTES)
        at = load64(line) - 1
        for k in range(CLASSES):
            layer = &self.layers[k]
            index = (at - <uint64_t>(layer.slots - self.base)) // layer.slot_size
            if index >= <uint64_t>layer.rows * WAYS or layer.slots + index * layer.slot_size != self.base + at:
                continue
            slot = <Slot *>(self.base + at)
            sequence = load_acquire(&slot.sequence)
            # It may have been killed right before its claim, and somebody else be at work here.
            if sequence & 1 and load_relaxed(&slot.writer) == writer:
                store64(&layer.tags[index], 0)
                store_release(&slot.sequence, sequence + 1)
                freed = True
        store64(line, 0)
        return freed

    cdef uint64_t tag(self, uint64_t fingerprint, uint16_t qtype, uint16_t bits) noexcept nogil:
        # A fingerprint is spread already, by a key that nobody outside knows.
        cdef uint64_t value = fold(fingerprint ^ self.secret, MULTIPLIER ^ (<uint64_t>qtype << 16 | bits))
        return value | (value == 0)     # 0 marks an empty slot

    cdef void expect(self, uint64_t tag) noexcept nogil:
        """Has the row on its way from memory in which the answer to a question most likely stands."""
        cdef const Layer *layer = &self.layers[0]
        lachan_prefetch(&layer.tags[((tag >> 32) * layer.rows >> 32) * WAYS])

    cdef void fetch(self, uint64_t tag) noexcept nogil:
        """Has the answer on its way, once its row is there; or the rows of larger answers, where it is none of that row."""
        cdef const Layer *layer = &self.layers[0]
        cdef uint64_t index = ((tag >> 32) * layer.rows >> 32) * WAYS
        cdef const uint8_t *slot
        cdef uint32_t i
        for i in range(WAYS):
            if load64(&layer.tags[index + i]) == tag:
                slot = layer.slots + (index + i) * layer.slot_size
                lachan_prefetch(slot)
                lachan_prefetch(slot + 64)
                lachan_prefetch(slot + 128)
                lachan_prefetch(slot + 192)
                lachan_prefetch(&layer.used[2 * index + i])
                return
        for i in range(1, CLASSES):
            layer = &self.layers[i]
            lachan_prefetch(&layer.tags[((tag >> 32) * layer.rows >> 32) * WAYS])

    cdef uint64_t checksum(self, const Slot *head, const uint8_t *payload, uint32_t size) noexcept nogil:
        cdef uint64_t key = self.secret * MULTIPLIER | 1, value, word, next
        value = fold(self.secret ^ head.sequence ^ <uint64_t>size << 32, key ^ (<uint64_t>head.stored_at << 32 | head.expires_at))
        value = fold(value ^ (<uint64_t>head.name_size << 32 | head.traits), key ^ (
            <uint64_t>head.qtype << 48 | <uint64_t>head.bits << 32 | <uint64_t>head.packet_size << 16 | head.ttl_count))
        while size >= 16:
            memcpy(&word, payload, 8)
            memcpy(&next, payload + 8, 8)
            value = fold(value ^ word, key ^ next)
            payload += 16
            size -= 16
        word = next = 0
        if size >= 8:
            memcpy(&word, payload, 8)
            payload += 8
            size -= 8
        next = _tail(payload, size)
        return mix(fold(value ^ word, key ^ next))

    cdef Found get(self, uint64_t fingerprint, const Query *query, uint16_t bits, uint32_t now, bint stale, Entry *entry) noexcept nogil:
        """Copies the answer to a question out, if one is there, and says what it is good for.

        An expired one only with `stale`, or while upstreams are known not to answer.
        """
        cdef uint64_t tag = self.tag(fingerprint, query.qtype, bits), index
        cdef uint32_t row, i, sequence, size
        cdef int k
        cdef bint expired
        cdef Layer *layer
        cdef Slot *slot
        for k in range(CLASSES):
            layer = &self.layers[k]
            row = <uint32_t>(((tag >> 32) * layer.rows) >> 32)
            for i in range(WAYS):
                index = <uint64_t>row * WAYS + i
                if load64(&layer.tags[index]) != tag:
                    continue
                slot = <Slot *>(layer.slots + index * layer.slot_size)
                sequence = load_acquire(&slot.sequence)
                if sequence & 1:
                    continue
                entry.head = slot[0]
                size = <uint32_t>entry.head.name_size + entry.head.packet_size + 2 * <uint32_t>entry.head.ttl_count
                if size > layer.slot_size - sizeof(Slot):
                    continue
                memcpy(self.scratch, <uint8_t *>slot + sizeof(Slot), size)
                fence_acquire()
                if load_relaxed(&slot.sequence) != sequence:
                    continue
                entry.head.sequence = sequence
                entry.source = slot
                if (entry.head.qtype != query.qtype or entry.head.bits != bits or entry.head.name_size != query.name_size
                        or memcmp(self.scratch, query.name, query.name_size) != 0
                        or self.checksum(&entry.head, self.scratch, size) != entry.head.checksum):
                    continue
                # Monotonic seconds: no clock step can revive an answer. A larger one may have come after this one.
                if entry.head.stored_at > now:
                    continue
                expired = now >= entry.head.expires_at
                if expired and (now - entry.head.expires_at >= self.stale or not (stale or now < entry.head.retry_at)):
                    continue
                entry.packet = self.scratch + entry.head.name_size
                entry.ttls = entry.packet + entry.head.packet_size
                if expired:
                    return FOUND_STALE
                if layer.used[row * 16 + i] < USES_MAX:
                    layer.used[row * 16 + i] += 1
                elif (entry.head.expires_at - now) * 10 <= entry.head.expires_at - entry.head.stored_at:
                    return FOUND_AGEING
                return FOUND_FRESH
        return FOUND_NOTHING

    cdef bint put(self, uint64_t fingerprint, const Query *query, uint16_t bits, uint32_t now, const uint8_t *packet,
                  const Response *response, uint32_t ttl, uint32_t verdict) noexcept nogil:
        """Keeps an answer for `ttl` seconds, where it fits and the slot is free to write; whether it did."""
        cdef uint32_t size = <uint32_t>query.name_size + response.end + 2 * <uint32_t>response.ttl_count
        cdef uint64_t tag = self.tag(fingerprint, query.qtype, bits), index
        cdef uint32_t row, i, victim = WAYS, sequence, last, lowest = 0xFFFFFFFF, rank
        cdef int k = 0
        cdef Layer *layer
        cdef Slot *slot
        cdef uint8_t *payload
        while size > SLOT_SIZES[k] - sizeof(Slot):
            k += 1
            if k == CLASSES:
                return False
        layer = &self.layers[k]
        row = <uint32_t>(((tag >> 32) * layer.rows) >> 32)
        for i in range(WAYS):
            index = <uint64_t>row * WAYS + i
            if load64(&layer.tags[index]) == tag:
                victim = i
                lowest = 0
                break
            slot = <Slot *>(layer.slots + index * layer.slot_size)
            # Being written, or left by a writer that died: nobody's to take, and no reason to give the row up.
            if load_relaxed(&slot.sequence) & 1:
                continue
            # Free and expired slots first, then those never asked for again: a scan evicts itself.
            rank = 0 if load64(&layer.tags[index]) == 0 or slot.expires_at <= now else 1 + layer.used[row * 16 + i]
            if rank < lowest:
                lowest = rank
                victim = i
        if victim == WAYS:
            return False
        if lowest > 1:
            for i in range(WAYS):
                if layer.used[row * 16 + i]:
                    layer.used[row * 16 + i] -= 1
        index = <uint64_t>row * WAYS + victim
        slot = <Slot *>(layer.slots + index * layer.slot_size)
        sequence = load_relaxed(&slot.sequence)
        last = load_relaxed(&slot.writer)
        if sequence & 1:
            return False
        # Noted before the claim, and until after its end: whoever cleans up after us need not search.
        store64(self.writing, <uint64_t>(<uint8_t *>slot - self.base) + 1)
        if not claim_as(&slot.sequence, sequence, last, self.writer):
            store64(self.writing, 0)
            return False
        fence_release()
        slot.stored_at = now
        slot.expires_at = now + ttl
        slot.verdict = <uint64_t>(sequence + 2) << 32 | verdict
        slot.qtype = query.qtype
        slot.bits = bits
        slot.packet_size = <uint16_t>response.end
        slot.ttl_count = response.ttl_count
        slot.name_size = query.name_size
        slot.traits = (TRAIT_TARGETS if response.targets else 0) | (TRAIT_PRIVATE if response.private else 0)
        if response.rcode == SERVFAIL:
            slot.traits |= TRAIT_FAILED | (TRAIT_UNHEARD if response.unheard else 0)
        slot.retry_at = 0
        payload = <uint8_t *>slot + sizeof(Slot)
        memcpy(payload, query.name, query.name_size)
        memcpy(payload + query.name_size, packet, response.end)
        memcpy(payload + query.name_size + response.end, response.ttl_at, 2 * response.ttl_count)
        store64(&layer.tags[index], tag)
        layer.used[row * 16 + victim] = 0
        # The checksum covers the number under which readers will find it.
        cdef Slot head = slot[0]
        head.sequence = sequence + 2
        slot.checksum = self.checksum(&head, payload, size)
        store_release(&slot.sequence, sequence + 2)
        store64_release(self.writing, 0)
        self.forget_elsewhere(tag, k)
        return True

    cdef void forget_elsewhere(self, uint64_t tag, int kept) noexcept nogil:
        """Drops what was kept for the same question in other size classes: it is older, though it may live longer."""
        cdef uint64_t index
        cdef uint32_t i
        cdef int k
        for k in range(CLASSES):
            if k == kept:
                continue
            index = ((tag >> 32) * self.layers[k].rows >> 32) * WAYS
            for i in range(WAYS):
                if load64(&self.layers[k].tags[index + i]) == tag:
                    store64(&self.layers[k].tags[index + i], 0)

    cdef void spare(self, const Entry *entry, uint32_t until) noexcept nogil:
        """Has an expired answer served at once until then: upstreams do not answer now."""
        if load_acquire(&entry.source.sequence) == entry.head.sequence:
            entry.source.retry_at = until

    cdef void judge(self, const Entry *entry, uint32_t verdict) noexcept nogil:
        """Notes what policy found of an entry's targets; who reads it knows by the number which answer it is about."""
        if load_acquire(&entry.source.sequence) == entry.head.sequence:
            store64(&entry.source.verdict, <uint64_t>entry.head.sequence << 32 | verdict)

"""Answers made from what an upstream said: rebuilt per client, and judged where they lead to other names.

Holds always: a client gets its own id, question case, flags and OPT; an answer whose CNAME or SVCB target is listed for
the client's profile ends at that target (RFC 6604), whatever the cache holds.
"""

from libc.string cimport memcmp, memcpy

from resolver._hot.cursor cimport Cursor, get16, get32, put16, put32, read_name, skip, skip_name
from resolver._hot.policy cimport ACTION_NODATA, ACTION_NXDOMAIN, ACTION_PASS, ACTION_REFUSED, ACTION_SHADOW
from resolver._hot.wire cimport (
    AD, CLASS_IN, EDE_NONE, HEADER, NOERROR, NXDOMAIN, OPT_BYTES, QR, RA, RD, CD, REFUSED, SERVFAIL, TC, TYPE_CNAME, TYPE_DNAME, TYPE_HTTPS,
    TYPE_SVCB, split_labels, write_error, write_opt, write_start)

cdef enum:
    CHAIN_MAX = 16


cdef void normalise(uint8_t *packet, const Response *response) noexcept nogil:
    """Makes the header count what is kept of the response."""
    put16(packet + 10, response.additionals)


cdef uint32_t write_truncated(uint8_t *out, const Query *query) noexcept nogil:
    """An empty answer with TC: the client comes back over TCP. Needs question_end + 11 bytes."""
    return write_opt(out, write_start(out, query, TC, NOERROR), query, NOERROR, EDE_NONE)


cdef uint32_t write_kept(uint8_t *out, uint32_t limit, const Query *query, const Kept *kept) noexcept nogil:
    """The response for one client, TTLs counted down; truncated beyond `limit`. Needs max(limit, 512) bytes."""
    cdef uint32_t i, ttl, size
    cdef uint16_t at, flags
    size = kept.size
    if query.edns:
        size += OPT_BYTES + (0 if kept.ede == EDE_NONE else 6) + (0 if kept.cause == EDE_NONE else 6)
    if size > limit:
        return write_truncated(out, query)
    memcpy(out, kept.packet, kept.size)
    flags = get16(kept.packet + 2) & 15
    # AD goes to those who asked for it (RFC 6840 5.7, 5.8).
    if query.want_dnssec or query.flags & AD:
        flags |= get16(kept.packet + 2) & AD
    put16(out, query.id)
    put16(out + 2, QR | RA | (query.flags & (RD | CD)) | flags)
    memcpy(out + HEADER, query.packet + HEADER, query.name_size)
    for i in range(kept.ttl_count):
        memcpy(&at, kept.ttls + 2 * i, 2)
        ttl = get32(out + at)
        if ttl > kept.ttl_max:
            ttl = kept.ttl_max
        put32(out + at, ttl - kept.age if ttl > kept.age else 0)
    size = write_opt(out, kept.size, query, NOERROR, kept.ede)
    if kept.cause != EDE_NONE and query.edns:
        memcpy(out + size, out + size - 6, 4)
        put16(out + size + 4, kept.cause)
        put16(out + kept.size + 9, 12)
        size += 6
    return size


cdef bint target_at(Cursor cursor, uint16_t rtype, uint8_t *name, int *size) noexcept nogil:
    """The name that the record at the cursor (behind its owner) leads to; False where its data holds none."""
    cdef uint32_t end = cursor.at + 10 + get16(cursor.data + cursor.at + 8)
    cdef bint service = rtype == TYPE_SVCB or rtype == TYPE_HTTPS
    cursor.at += 12 if service else 10
    if cursor.at > end:
        return False
    size[0] = read_name(&cursor, name)
    # Parameters may follow the target of a service binding.
    return size[0] > 0 and (cursor.at == end or (service and cursor.at < end))


cdef bint targets_listed(Policy policy, const uint8_t *packet, uint32_t size) noexcept nogil:
    """Whether a CNAME, DNAME, SVCB or HTTPS of the answer section leads to a listed name, for any profile at all.

    The packet has been walked by `read_response`.
    """
    cdef Cursor cursor
    cdef uint16_t rtype, count = get16(packet + 6)
    cdef uint8_t name[256]
    cdef uint8_t label_at[128]
    cdef uint8_t labels
    cdef int name_size
    cursor.data = packet
    cursor.size = size
    cursor.at = HEADER
    if not skip_name(&cursor) or not skip(&cursor, 4):
        return True
    while count:
        count -= 1
        if not skip_name(&cursor) or cursor.size - cursor.at < 10:
            return True
        rtype = get16(packet + cursor.at)
        # Where a DNAME leads depends on the name that is asked about: it is looked at each time (RFC 6672 2.2).
        if rtype == TYPE_DNAME:
            return True
        if rtype == TYPE_CNAME or rtype == TYPE_SVCB or rtype == TYPE_HTTPS:
            if not target_at(cursor, rtype, name, &name_size) or not split_labels(name, name_size, label_at, &labels):
                return True
            if policy.covers(name, label_at, labels):
                return True
        if not skip(&cursor, 10 + <uint32_t>get16(packet + cursor.at + 8)):
            return True
    return False


cdef bint below(const uint8_t *name, uint32_t size, const uint8_t *owner, uint32_t owner_size) noexcept nogil:
    """Whether a name stands below another one, both as `read_name` gives them."""
    cdef uint32_t at = 0
    while size - at > owner_size:
        at += name[at] + 1
        if size - at == owner_size:
            return memcmp(name + at, owner, owner_size) == 0
    return False


cdef inline uint32_t fail(uint8_t *out, const Query *query, Decision *decision) noexcept nogil:
    decision.action = ACTION_PASS
    return write_error(out, query, SERVFAIL, EDE_NONE)


cdef uint32_t write_judged(uint8_t *out, Policy policy, uint32_t profile, const Query *query, const Kept *kept,
                           Decision *decision) noexcept nogil:
    """Follows the chain from the question's name; where it meets a listed name, the answer that ends there, else 0.

    Where it cannot be followed to its end, or any target cannot be read, SERVFAIL: what was not judged is not shown.
    `decision` tells the rule. The chain is written anew, each name in full once, so that the SOA behind it can point to
    any of them. Needs MESSAGE_MAX bytes: sixteen links of names at full length stay far below it.
    """
    cdef uint8_t name[256]
    cdef uint8_t target[256]
    cdef uint8_t label_at[128]
    cdef uint8_t labels
    cdef uint8_t through[256]
    cdef int size = query.name_size, target_size, through_size, prefix
    cdef uint32_t through_at = 0
    cdef Cursor cursor
    cdef uint16_t rtype, count
    cdef uint32_t at, hops = 0, owner = HEADER, ttl, owner_size
    cdef uint8_t found[256]
    cdef Decision one
    memcpy(name, query.name, query.name_size)
    at = write_start(out, query, 0, NOERROR)
    decision.action = ACTION_PASS
    while hops < CHAIN_MAX:
        hops += 1
        cursor.data = kept.packet
        cursor.size = kept.size
        cursor.at = HEADER
        skip_name(&cursor)
        skip(&cursor, 4)
        count = get16(kept.packet + 6)
        through_size = 0
        while count:
            count -= 1
            target_size = read_name(&cursor, found)
            if target_size < 0:
                return fail(out, query, decision)
            owner_size = target_size
            rtype = get16(kept.packet + cursor.at)
            if rtype == TYPE_CNAME or rtype == TYPE_DNAME or rtype == TYPE_SVCB or rtype == TYPE_HTTPS:
                if not target_at(cursor, rtype, target, &target_size) or not split_labels(target, target_size, label_at, &labels):
                    return fail(out, query, decision)
                # A CNAME goes before the DNAME that it was made from; without one, whoever reads the answer may make it.
                if rtype == TYPE_DNAME and below(name, size, found, owner_size):
                    memcpy(through, target, target_size)
                    through_size = target_size
                    through_at = cursor.at
                    prefix = size - <int>owner_size
                if rtype != TYPE_DNAME and owner_size == <uint32_t>size and memcmp(found, name, size) == 0:
                    policy.decide(target, label_at, labels, profile, &one)
                    # A name that is only counted is remembered, wherever the chain goes on to.
                    if one.action != ACTION_PASS:
                        decision[0] = one
                    if rtype == TYPE_CNAME:
                        break
                    if one.action != ACTION_PASS and one.action < ACTION_SHADOW:
                        # A service binding that leads to a listed name: as if there were none of its type.
                        decision.action = ACTION_NODATA
                        decision.denies_all = False
                        split_labels(name, size, label_at, &labels)
                        return policy.write_records(out, at, query, decision, owner, label_at, labels)
            skip(&cursor, 10 + <uint32_t>get16(kept.packet + cursor.at + 8))
        else:
            if through_size == 0:
                return 0
            if prefix + through_size > 255:
                return fail(out, query, decision)
            memcpy(target, name, prefix)
            memcpy(target + prefix, through, through_size)
            target_size = prefix + through_size
            if not split_labels(target, target_size, label_at, &labels):
                return fail(out, query, decision)
            policy.decide(target, label_at, labels, profile, &one)
            if one.action != ACTION_PASS:
                decision[0] = one
            cursor.at = through_at
        if one.action == ACTION_REFUSED:
            return write_error(out, query, REFUSED, decision.ede)
        ttl = get32(kept.packet + cursor.at + 4)
        if ttl > kept.ttl_max:
            ttl = kept.ttl_max
        put16(out + 6, get16(out + 6) + 1)
        put16(out + at, 0xC000 | owner)
        put16(out + at + 2, TYPE_CNAME)
        put16(out + at + 4, CLASS_IN)
        put32(out + at + 6, ttl - kept.age if ttl > kept.age else 0)
        put16(out + at + 10, target_size)
        owner = at + 12
        memcpy(out + owner, target, target_size)
        at = owner + target_size
        if one.action != ACTION_PASS and one.action < ACTION_SHADOW:
            at = policy.write_records(out, at, query, decision, owner, label_at, labels)
            if decision.action == ACTION_NXDOMAIN and decision.denies_all:
                out[3] |= NXDOMAIN
            return at
        memcpy(name, target, target_size)
        size = target_size
    return fail(out, query, decision)

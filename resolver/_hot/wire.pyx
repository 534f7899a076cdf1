"""Reads queries and responses, writes answers. Pure functions of bytes; nothing here decides.

Holds always: no byte outside `size` is read; what a function writes fits the room its comment names.
"""

from libc.string cimport memcpy, memset

from resolver._hot.addresses cimport private4, private6, private_hints
from resolver._hot.cursor cimport (
    LABEL_MAX, NAME_MAX, Cursor, get16, get32, holds, lowered, put16, put32, skip, skip_name)

cdef enum:
    SOA_FIXED = 20              # serial, refresh, retry, expire, minimum
    FAILURE_TTL = 5             # RFC 9520 3.2


cdef Reading read_query(const uint8_t *packet, uint32_t size, Query *query) noexcept nogil:
    """Reads a query whole; on READ_FORMERR and READ_NOTIMP only id and flags hold."""
    cdef Cursor cursor
    cdef uint32_t i, at, name_at = 0
    cdef uint8_t length
    cdef uint16_t records, rtype
    if size < HEADER or size > MESSAGE_MAX:
        return READ_DROP
    query.packet = packet
    query.size = size
    query.id = get16(packet)
    query.flags = get16(packet + 2)
    query.edns = False
    query.want_dnssec = False
    query.padded = query.structured = False
    query.cookie_size = 0
    query.udp_size = UDP_CLASSIC
    if query.flags & QR:
        return READ_DROP
    if query.flags & 0x7800:
        return READ_NOTIMP
    # A query carries one question and nothing but additional records (OPT, perhaps TSIG or SIG(0)).
    if get16(packet + 4) != 1 or get16(packet + 6) or get16(packet + 8):
        return READ_FORMERR
    at = HEADER
    query.labels = 0
    while True:
        if at >= size:
            return READ_FORMERR
        length = packet[at]
        # No pointers in a question: there is nothing before it to point to.
        if length > LABEL_MAX or name_at + length + 1 > NAME_MAX or size - at < <uint32_t>length + 1:
            return READ_FORMERR
        query.name[name_at] = length
        if length == 0:
            break
        query.label_at[query.labels] = <uint8_t>name_at
        query.labels += 1
        for i in range(1, length + 1):
            query.name[name_at + i] = lowered(packet[at + i])
        name_at += length + 1
        at += length + 1
    query.name_size = <uint8_t>(name_at + 1)
    at += 1
    if size - at < 4:
        return READ_FORMERR
    query.qtype = get16(packet + at)
    query.qclass = get16(packet + at + 2)
    query.question_end = <uint16_t>(at + 4)
    if query.qtype == 0 or query.qtype == TYPE_OPT or query.qclass == 0:
        return READ_FORMERR
    cursor.data = packet
    cursor.size = size
    cursor.at = at + 4
    records = get16(packet + 10)
    if records > 8:
        return READ_FORMERR
    cdef bint badvers = False
    while records:
        records -= 1
        at = cursor.at
        if not skip_name(&cursor) or not holds(&cursor, 10):
            return READ_FORMERR
        rtype = get16(packet + cursor.at)
        if rtype == TYPE_OPT:
            if query.edns or packet[at] != 0:
                return READ_FORMERR
            query.edns = True
            query.udp_size = get16(packet + cursor.at + 2)
            if query.udp_size < UDP_CLASSIC:
                query.udp_size = UDP_CLASSIC
            badvers = packet[cursor.at + 5] != 0
            query.want_dnssec = packet[cursor.at + 6] >> 7
            if not badvers and not read_options(query, cursor.at + 10, get16(packet + cursor.at + 8)):
                return READ_FORMERR
        if not skip(&cursor, 10 + <uint32_t>get16(packet + cursor.at + 8)):
            return READ_FORMERR
    if cursor.at != size:
        return READ_FORMERR
    return READ_BADVERS if badvers else READ_OK


cdef bint read_options(Query *query, uint32_t at, uint32_t length) noexcept nogil:
    """Reads EDNS options; False where they do not fill their RDATA exactly (RFC 6891 6.1.2) or a cookie is malformed."""
    cdef const uint8_t *packet = query.packet
    cdef uint32_t end = at + length, option
    cdef uint16_t code
    if end > query.size:
        return False
    while at != end:
        if end - at < 4:
            return False
        option = get16(packet + at + 2)
        if end - at - 4 < option:
            return False
        code = get16(packet + at)
        if code == OPTION_PADDING:
            query.padded = True
        elif code == OPTION_EDE:
            query.structured = True
        elif code == OPTION_COOKIE and query.cookie_size == 0:
            # A client cookie alone, or with a server cookie of 8 to 32 bytes (RFC 7873 5.2.2).
            if option != 8 and (option < 16 or option > 40):
                return False
            query.cookie_size = <uint8_t>option
            query.cookie_at = <uint16_t>(at + 4)
        at += 4 + option
    return True


cdef bint split_labels(const uint8_t *name, uint32_t size, uint8_t *label_at, uint8_t *labels) noexcept nogil:
    """Offsets of the labels of an uncompressed wire name that `read_name` produced."""
    cdef uint32_t at = 0
    labels[0] = 0
    while at < size and name[at]:
        label_at[labels[0]] = <uint8_t>at
        labels[0] += 1
        at += name[at] + 1
    return at + 1 == size


cdef bint same_question(const Query *query, const uint8_t *packet, uint32_t size) noexcept nogil:
    """Whether a response asks what was asked: name without regard to case, type, class (RFC 5452 9.1)."""
    cdef uint32_t i
    if size < <uint32_t>HEADER + query.name_size + 4 or get16(packet + 4) != 1:
        return False
    for i in range(query.name_size):
        if lowered(packet[HEADER + i]) != query.name[i]:
            return False
    packet += HEADER + query.name_size
    return get16(packet) == query.qtype and get16(packet + 2) == query.qclass


cdef bint read_response(const uint8_t *packet, uint32_t size, Response *response) noexcept nogil:
    """Walks a response with one question to its end; False where it is malformed.

    The section counts kept leave out OPT and whatever follows it in the additional section: names there might be
    compressed against bytes that will move.
    """
    cdef Cursor cursor
    cdef uint32_t section, count, total = 0, ttl, owner_at, lowest = 0xFFFFFFFF, negative = 0
    cdef uint16_t rtype, length
    cdef bint soa = False, stop = False
    cdef uint32_t final = 0     # answers that are neither a link of a chain nor a signature
    cdef uint16_t qtype
    if size < HEADER or size > MESSAGE_MAX or get16(packet + 4) != 1:
        return False
    response.flags = get16(packet + 2)
    response.rcode = response.flags & 15
    response.targets = response.private = response.unheard = response.negative = response.positive = False
    response.ttl_count = 0
    response.additionals = 0
    cursor.data = packet
    cursor.size = size
    cursor.at = HEADER
    if not skip_name(&cursor) or not skip(&cursor, 4):
        return False
    response.question_end = response.end = cursor.at
    qtype = get16(packet + cursor.at - 4)
    response.answers = get16(packet + 6)
    response.authorities = get16(packet + 8)
    for section in range(3):
        count = get16(packet + 6 + 2 * section)
        total += count
        if total > RECORDS_MAX:
            return False
        while count:
            count -= 1
            owner_at = cursor.at
            if not skip_name(&cursor) or not holds(&cursor, 10):
                return False
            rtype = get16(packet + cursor.at)
            length = get16(packet + cursor.at + 8)
            ttl = get32(packet + cursor.at + 4)
            if not holds(&cursor, 10 + <uint32_t>length):
                return False
            if rtype == TYPE_OPT:
                if section != 2 or packet[owner_at] != 0:
                    return False
                response.rcode |= <uint16_t>packet[cursor.at + 4] << 4
                stop = True
            elif not stop:
                # One with the highest bit set is long, like any other beyond the limit (RFC 8767 4).
                if response.ttl_count < TTLS_MAX:
                    response.ttl_at[response.ttl_count] = <uint16_t>(cursor.at + 4)
                response.ttl_count += 1
                if rtype == TYPE_A:
                    response.private |= length != 4 or private4(get32(packet + cursor.at + 10))
                elif rtype == TYPE_AAAA:
                    response.private |= length != 16 or private6(packet + cursor.at + 10)
                elif rtype == TYPE_SVCB or rtype == TYPE_HTTPS:
                    response.private |= private_hints(packet + cursor.at + 10, length)
                if section < 2 and ttl < lowest:
                    lowest = ttl
                if section == 0:
                    if rtype == TYPE_CNAME or rtype == TYPE_DNAME or rtype == TYPE_SVCB or rtype == TYPE_HTTPS:
                        response.targets = True
                    if rtype == qtype or (rtype != TYPE_CNAME and rtype != TYPE_DNAME and rtype != TYPE_RRSIG):
                        final += 1
                if section == 1 and rtype == TYPE_SOA and length >= SOA_FIXED:
                    soa = True
                    negative = min(ttl, get32(packet + cursor.at + 10 + length - 4))
                    response.soa_ttl_at = cursor.at + 4
                if section == 2:
                    response.additionals += 1
                response.end = cursor.at + 10 + length
            skip(&cursor, 10 + <uint32_t>length)
    if cursor.at != size:
        return False
    # What may be cached, and for how long.
    if response.flags & TC or response.ttl_count > TTLS_MAX:
        response.ttl = 0
    elif response.rcode == SERVFAIL:
        response.ttl = FAILURE_TTL
    elif response.rcode != NOERROR and response.rcode != NXDOMAIN:
        response.ttl = 0
    elif response.rcode == NXDOMAIN or final == 0:
        # Negative (a chain may stand before it): only with an SOA (RFC 2308 5).
        response.negative = soa
        response.negative_ttl = negative
        response.ttl = min(lowest, negative) if soa else 0
    else:
        response.positive = True
        response.ttl = lowest
    return True


cdef uint32_t write_start(uint8_t *out, const Query *query, uint16_t flags, uint16_t rcode) noexcept nogil:
    """Header without records and the question in the client's own case: needs question_end bytes; their count."""
    memcpy(out, query.packet, query.question_end)
    put16(out + 2, QR | RA | (query.flags & (RD | CD)) | flags | (rcode & 15))
    memcpy(out + 4, b"\0\1\0\0\0\0\0\0", 8)
    return query.question_end


cdef uint32_t write_opt(uint8_t *out, uint32_t at, const Query *query, uint16_t rcode, uint16_t ede) noexcept nogil:
    """Appends OPT if the query had one: needs 17 bytes at `at`; the new end."""
    if not query.edns:
        return at
    out[at] = 0
    put16(out + at + 1, TYPE_OPT)
    put16(out + at + 3, UDP_LIMIT)
    out[at + 5] = <uint8_t>(rcode >> 4)
    out[at + 6] = 0
    put16(out + at + 7, 0x8000 if query.want_dnssec else 0)
    put16(out + at + 9, 0 if ede == EDE_NONE else 6)
    put16(out + 10, get16(out + 10) + 1)
    at += OPT_BYTES
    if ede != EDE_NONE:
        put16(out + at, OPTION_EDE)
        put16(out + at + 2, 2)
        put16(out + at + 4, ede)
        at += 6
    return at


cdef uint32_t write_error(uint8_t *out, const Query *query, uint16_t rcode, uint16_t ede) noexcept nogil:
    """An answer without records: needs question_end + 17 bytes."""
    return write_opt(out, write_start(out, query, 0, rcode), query, rcode, ede)


cdef uint32_t write_bare(uint8_t *out, const uint8_t *packet, uint16_t rcode) noexcept nogil:
    """A header alone, for a query whose question cannot be read (RFC 8906 3.1.3): needs 12 bytes."""
    memcpy(out, packet, 4)
    put16(out + 2, QR | (get16(packet + 2) & (0x7800 | RD | CD)) | rcode)
    memcpy(out + 4, b"\0\0\0\0\0\0\0\0", 8)
    return HEADER


cdef uint32_t write_soa(uint8_t *out, uint32_t at, uint32_t owner, uint32_t ttl, uint32_t serial) noexcept nogil:
    """Appends the SOA of the name at offset `owner` to the authority section: needs 48 bytes; the new end."""
    put16(out + 8, get16(out + 8) + 1)
    put16(out + at, 0xC000 | owner)
    put16(out + at + 2, TYPE_SOA)
    put16(out + at + 4, CLASS_IN)
    put32(out + at + 6, ttl)
    put16(out + at + 10, 2 + 13 + SOA_FIXED)
    at += 12
    put16(out + at, 0xC000 | owner)                     # MNAME: the zone itself
    memcpy(out + at + 2, b"\x0ahostmaster", 11)         # RNAME
    put16(out + at + 13, 0xC000 | owner)
    at += 15
    put32(out + at, serial)
    put32(out + at + 4, 3600)
    put32(out + at + 8, 600)
    put32(out + at + 12, 86400)
    put32(out + at + 16, ttl)
    return at + 20


cdef uint32_t write_address(uint8_t *out, uint32_t at, uint16_t rtype, uint32_t ttl, uint32_t owner, const uint8_t *address) noexcept nogil:
    """Appends A or AAAA of the name at offset `owner` to the answer section: needs 28 bytes; the new end."""
    cdef uint32_t length = 4 if rtype == TYPE_A else 16
    put16(out + 6, get16(out + 6) + 1)
    put16(out + at, 0xC000 | owner)
    put16(out + at + 2, rtype)
    put16(out + at + 4, CLASS_IN)
    put32(out + at + 6, ttl)
    put16(out + at + 10, length)
    memcpy(out + at + 12, address, length)
    return at + 12 + length


cdef uint32_t find_opt(const uint8_t *out, uint32_t size) noexcept nogil:
    """Where OPT begins in an answer of ours, whose last record it is; 0 where there is none."""
    cdef Cursor cursor
    cdef uint32_t records, opt = 0
    cursor.data = out
    cursor.size = size
    cursor.at = HEADER
    if size < HEADER or get16(out + 4) != 1 or not skip_name(&cursor) or not skip(&cursor, 4):
        return 0
    records = <uint32_t>get16(out + 6) + get16(out + 8) + get16(out + 10)
    while records:
        records -= 1
        opt = cursor.at
        if not skip_name(&cursor) or not holds(&cursor, 10) or not skip(&cursor, 10 + <uint32_t>get16(out + cursor.at + 8)):
            return 0
    return opt if opt and get16(out + opt + 1) == TYPE_OPT else 0


cdef uint32_t pad(uint8_t *out, uint32_t size, uint32_t limit) noexcept nogil:
    """Pads an answer of ours to a multiple of PADDING_BLOCK within `limit` (RFC 8467); the new size."""
    cdef uint32_t opt = find_opt(out, size), length
    length = (size + 4 + PADDING_BLOCK - 1) // PADDING_BLOCK * PADDING_BLOCK
    if opt == 0 or length > limit:
        return size
    put16(out + opt + 9, get16(out + opt + 9) + length - size)
    put16(out + size, OPTION_PADDING)
    put16(out + size + 2, length - size - 4)
    memset(out + size + 4, 0, length - size - 4)
    return length


cdef uint32_t write_any(uint8_t *out, const Query *query) noexcept nogil:
    """The minimal answer to ANY (RFC 8482 4.2): needs question_end + 39 bytes."""
    cdef uint32_t at = write_start(out, query, 0, NOERROR)
    put16(out + 6, 1)
    put16(out + at, 0xC000 | HEADER)
    put16(out + at + 2, 13)                             # HINFO
    put16(out + at + 4, CLASS_IN)
    put32(out + at + 6, 3600)
    put16(out + at + 10, 9)
    memcpy(out + at + 12, b"\x07RFC8482\0", 9)
    return write_opt(out, at + 21, query, NOERROR, EDE_NONE)

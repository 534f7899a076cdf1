"""Answers made here rather than fetched: records to write, and the response to any request, well-formed or not."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, replace

from lachan.labels import MessageError, wire_name
from lachan.message import (
    AAAA,
    HEADER_BYTES,
    IN,
    MAX_MESSAGE_BYTES,
    NOERROR,
    SOA,
    TXT,
    A,
    Edns,
    ExtendedError,
    Message,
    Record,
    encode,
    parse,
    read_question,
)


def record(name: str, rtype: int, ttl: int, rdata: bytes, rclass: int = IN) -> Record:
    """A record to write, from its data without compression."""
    return Record(name, rtype, rclass, ttl, rdata, "")


def address_record(name: str, ttl: int, address: str) -> Record:
    """An A or AAAA record.

    Raises:
        MessageError: `address` is no IP address.
    """
    try:
        value = ipaddress.ip_address(address)
    except ValueError as error:
        raise MessageError(f"{address!r} is no IP address") from error
    return record(name, A if value.version == 4 else AAAA, ttl, value.packed)


def name_record(name: str, rtype: int, ttl: int, target: str) -> Record:
    """A record whose data is one name: CNAME, DNAME, NS, PTR."""
    return record(name, rtype, ttl, wire_name(target))


def txt_record(name: str, ttl: int, *strings: bytes, rclass: int = IN) -> Record:
    """A TXT record.

    Raises:
        MessageError: A string is longer than 255 octets.
    """
    if not strings or any(len(string) > 0xFF for string in strings):
        raise MessageError("a TXT record holds strings of at most 255 octets")
    return record(name, TXT, ttl, b"".join(bytes([len(string)]) + string for string in strings), rclass)


def soa_record(name: str, ttl: int, mname: str, rname: str, times: tuple[int, int, int, int, int]) -> Record:
    """An SOA record; `times` are serial, refresh, retry, expire and minimum."""
    try:
        numbers = struct.pack("!5I", *times)
    except struct.error as error:
        raise MessageError(f"a time of an SOA record does not fit: {error}") from error
    return record(name, SOA, ttl, wire_name(mname) + wire_name(rname) + numbers)


@dataclass(frozen=True)
class Reply:
    """What to answer, beside what the request decides."""

    rcode: int = NOERROR
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    errors: tuple[ExtendedError, ...] = ()
    options: tuple[tuple[int, bytes], ...] = ()
    aa: bool = False
    ad: bool = False
    ra: bool = True
    size: int = 1232
    """The UDP size to announce."""


def respond(request: bytes, reply: Reply, limit: int = MAX_MESSAGE_BYTES) -> bytes:
    """The response to a request, also to one that is malformed behind its header.

    The id, opcode, RD, CD and, where it can be read, the question are the request's own; OPT is there if the request
    had one. Beyond `limit` octets the records go and TC is set.

    Raises:
        MessageError: The request has no whole header, or the reply does not fit into any message.
    """
    if len(request) < HEADER_BYTES:
        raise MessageError("the request has no whole header", len(request))
    flags = int.from_bytes(request[2:4], "big")
    try:
        asked = parse(request)
        questions, edns = asked.questions[:1], asked.edns
    except MessageError:
        edns = None
        try:
            questions = (read_question(request)[0],)
        except MessageError:
            questions = ()
    message = Message(
        id=int.from_bytes(request[:2], "big"),
        is_response=True,
        opcode=flags >> 11 & 0xF,
        rcode=reply.rcode,
        aa=reply.aa,
        rd=bool(flags & 0x100),
        ra=reply.ra,
        ad=reply.ad,
        cd=bool(flags & 0x10),
        questions=questions,
        answers=reply.answers,
        authority=reply.authority,
        edns=Edns(reply.size, edns.do, 0, reply.options) if edns else None,
        errors=reply.errors if edns else (),
    )
    data = encode(message)
    if len(data) <= limit:
        return data
    return encode(replace(message, tc=True, answers=(), authority=(), additional=()))

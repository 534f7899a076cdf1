"""Queries and answers as dnspython writes and reads them: the oracle on the other side of the compiled core."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.message import Message


def question(
    name: str,
    rdtype: str = "A",
    *,
    id: int = 0x1234,  # noqa: A002 - the field's name in every standard
    edns: bool = True,
    do: bool = False,
    cd: bool = False,
    ad: bool = False,
    rd: bool = True,
    size: int = 1232,
    rdclass: str = "IN",
) -> bytes:
    """The bytes of a query."""
    message = dns.message.make_query(
        name, rdtype, rdclass, use_edns=0 if edns else -1, want_dnssec=do, payload=size, id=id
    )
    message.flags = (dns.flags.RD if rd else 0) | (dns.flags.CD if cd else 0) | (dns.flags.AD if ad else 0)
    return message.to_wire()


def reply(
    query: bytes,
    *answer: str,
    authority: Iterable[str] = (),
    additional: Iterable[str] = (),
    rcode: str = "NOERROR",
    said: str = "QR RD RA",
    edns: bool = True,
    ede: int | None = None,
) -> bytes:
    """What an upstream answers; records are lines such as `www.ok.example. 300 IN A 192.0.2.1`."""
    asked = dns.message.from_wire(query)
    message = dns.message.Message(id=asked.id)
    message.flags = dns.flags.from_text(said)
    message.question = asked.question
    for section, lines in ((message.answer, answer), (message.authority, authority), (message.additional, additional)):
        for line in lines:
            name, ttl, rdclass, rdtype, data = line.split(None, 4)
            section.append(dns.rrset.from_text(name, int(ttl), rdclass, rdtype, data))
    if edns:
        message.use_edns(0, options=[dns.edns.EDEOption(ede)] if ede is not None else [])
    message.set_rcode(dns.rcode.from_text(rcode))
    return message.to_wire(max_size=65535)


def record(rtype: int, data: bytes, owner: bytes = b"\xc0\x0c", ttl: int = 300) -> bytes:
    """One record of class IN in wire form, of the question's name unless said otherwise."""
    return owner + struct.pack("!HHIH", rtype, 1, ttl, len(data)) + data


def raw(query: bytes, *answer: bytes) -> bytes:
    """An answer whose records are in wire form; `query` ends in an OPT without options, which stays away."""
    return query[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, len(answer), 0, 0) + query[12:-11] + b"".join(answer)


def soa(owner: str, ttl: int = 300, minimum: int = 60) -> str:
    """An SOA record's line."""
    return f"{owner} {ttl} IN SOA ns.{owner.lstrip('.')} hostmaster.{owner.lstrip('.')} 1 3600 600 86400 {minimum}"


def read(answer: bytes | None) -> Message:
    """The answer, every byte of it, each record on its own."""
    assert answer, "no answer"
    return dns.message.from_wire(answer, one_rr_per_rrset=True)


def records(message: Message) -> list[str]:
    """The answer section in text."""
    return [rrset.to_text() for rrset in message.answer]


def header_flags(message: Message) -> int:
    """The header's flags, without opcode and response code."""
    return message.flags & 0x87F0


def error_codes(message: Message) -> list[int]:
    """Its Extended DNS Errors (RFC 8914)."""
    return [int(option.code) for option in message.options if isinstance(option, dns.edns.EDEOption)]


def error_code(message: Message) -> int | None:
    """The Extended DNS Error, if there is one."""
    codes = error_codes(message)
    assert len(codes) <= 1
    return codes[0] if codes else None


def denial(message: Message) -> tuple[str, str, int, int]:
    """RCODE, and owner, TTL and minimum of the one SOA of a negative answer."""
    [rrset] = message.authority
    assert rrset.rdtype == dns.rdatatype.SOA
    assert rrset.rdclass == dns.rdataclass.IN
    return dns.rcode.to_text(message.rcode()), str(rrset.name), rrset.ttl, rrset[0].minimum

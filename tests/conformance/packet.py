"""Queries made octet by octet, and what came back as an oracle apart from the edge's own code reads it.

Holds always: nothing here is shared with the edge; an answer is read by dnspython to its last octet, or as dig shows it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

ID = 0x1234
OPT = 41
COOKIE, PADDING, ECS, NSID, EXPIRE, EDE = 10, 12, 8, 3, 9, 15
FLAGS = {"qr": 0x8000, "aa": 0x400, "tc": 0x200, "rd": 0x100, "ra": 0x80, "z": 0x40, "ad": 0x20, "cd": 0x10}


def wire(name: str) -> bytes:
    """A name in wire form; the letters stay as they are."""
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def option(code: int, data: bytes = b"") -> bytes:
    """An EDNS option."""
    return struct.pack("!HH", code, len(data)) + data


def opt(size: int = 1232, version: int = 0, flags: int = 0, options: bytes = b"", owner: bytes = b"\0") -> bytes:
    """An OPT record (RFC 6891 6.1.2)."""
    return owner + struct.pack("!HHBBHH", OPT, size, 0, version, flags, len(options)) + options


def header(
    flags: str = "rd", opcode: int = 0, counts: tuple[int, int, int, int] = (1, 0, 0, 0), ident: int = ID
) -> bytes:
    """A header with these flags set."""
    word = opcode << 11
    for flag in flags.split():
        word |= FLAGS[flag]
    return struct.pack("!HH4H", ident, word, *counts)


def question(name: str, rdtype: str | int = "A", rdclass: int = 1) -> bytes:
    """A question."""
    number = int(dns.rdatatype.from_text(rdtype)) if isinstance(rdtype, str) else rdtype
    return wire(name) + struct.pack("!HH", number, rdclass)


def query(
    name: str,
    rdtype: str | int = "A",
    *,
    flags: str = "rd",
    edns: bytes | None = b"",
    rdclass: int = 1,
    ident: int = ID,
) -> bytes:
    """A query; `edns` is an OPT record, empty for the plain one, None for none."""
    record = opt() if edns == b"" else edns or b""
    return header(flags, counts=(1, 0, 0, bool(record)), ident=ident) + question(name, rdtype, rdclass) + record


class Line(NamedTuple):
    """A record in text."""

    owner: str
    rdtype: str
    ttl: int
    data: str

    def __str__(self) -> str:
        return f"{self.owner} {self.rdtype} {self.data}"


@dataclass(frozen=True)
class Seen:
    """An answer."""

    ident: int
    opcode: int
    rcode: str
    flags: frozenset[str]
    question: tuple[str, ...] = ()
    answer: tuple[Line, ...] = ()
    authority: tuple[Line, ...] = ()
    additional: tuple[Line, ...] = ()
    version: int | None = None
    """Of EDNS; None without OPT."""
    do: bool = False
    edns_flags: int = 0
    """Those without a meaning."""
    udp: int = 0
    options: Mapping[int, bytes] = field(default_factory=dict)
    ede: tuple[int, ...] = ()
    size: int = 0
    """Octets; 0 where a program read it."""

    def verdict(self) -> object:
        """What must be the same on every transport: all but the times, and what depends on the room there is."""
        return (
            self.opcode,
            self.rcode,
            self.flags - {"tc"},
            sorted(map(str.lower, self.question)),
            sorted(str(line).lower() for line in (*self.answer, *self.authority)),
            self.version,
            self.do,
            self.ede,
        )


def read(data: bytes) -> Seen:
    """An answer from its octets.

    Raises:
        dns.exception.DNSException: It is not one well-formed message.
    """
    message = dns.message.from_wire(data, one_rr_per_rrset=True)
    word = int.from_bytes(data[2:4], "big")
    sections = [
        tuple(
            Line(str(rrset.name), dns.rdatatype.to_text(rrset.rdtype), rrset.ttl, rrset[0].to_text() if rrset else "")
            for rrset in section
        )
        for section in message.sections[1:]
    ]
    options = {int(one.otype): one.to_wire() or b"" for one in message.options}
    return Seen(
        ident=message.id,
        opcode=int(message.opcode()),
        rcode=dns.rcode.to_text(message.rcode()),
        flags=frozenset(name for name, bit in FLAGS.items() if word & bit),
        question=tuple(
            f"{rrset.name} {dns.rdataclass.to_text(rrset.rdclass)} {dns.rdatatype.to_text(rrset.rdtype)}"
            for rrset in message.sections[0]
        ),
        answer=sections[0],
        authority=sections[1],
        additional=sections[2],
        version=message.edns if message.edns >= 0 else None,
        do=bool(message.ednsflags & dns.flags.DO),
        edns_flags=message.ednsflags & 0x7FFF,
        udp=message.payload if message.edns >= 0 else 0,
        options=options,
        ede=tuple(int(one.code) for one in message.options if isinstance(one, dns.edns.EDEOption)),
        size=len(data),
    )


_HEADER = re.compile(r";; ->>HEADER<<- opcode: (\w+), status: (\w+), id: (\d+)")
_FLAGS = re.compile(r";; flags:([a-z ]*)(?:; MBZ: (0x[0-9a-f]+))?;? QUERY")
_EDNS = re.compile(r"; EDNS: version: (\d+), flags:([a-z ]*);(?: MBZ: (0x[0-9a-f]+),)? udp: (\d+)")
_EDE = re.compile(r"; EDE: (\d+)")
_OPTION = re.compile(r"; (?:OPT=(\d+)|(COOKIE|NSID|CLIENT-SUBNET|EXPIRE|PAD)):\s*([0-9a-f]*)")
_SECTION = re.compile(r";; (\w+) SECTION:\n((?:.+\n)*)")
_CODES = {"COOKIE": COOKIE, "NSID": NSID, "CLIENT-SUBNET": ECS, "EXPIRE": EXPIRE, "PAD": PADDING}


def read_dig(text: str) -> Seen | None:
    """The answer as dig shows it; None where none came.

    Raises:
        ValueError: dig found something wrong with it.
    """
    head = _HEADER.search(text)
    if head is None:
        return None
    if ";; WARNING" in text or "malformed" in text or "; BAD" in text:
        raise ValueError(f"dig is not content:\n{text}")
    flags = _FLAGS.search(text)
    edns = _EDNS.search(text)
    sections: dict[str, tuple[Line, ...]] = {}
    asked: tuple[str, ...] = ()
    for name, body in _SECTION.findall(text):
        lines = [line.split(None, 4) for line in body.splitlines() if line and not line.startswith(";")]
        sections[name] = tuple(Line(line[0], line[3], int(line[1]), line[4] if line[4:] else "") for line in lines)
        if name == "QUESTION":
            asked = tuple(" ".join(line[1:].split()) for line in body.splitlines())
    if flags is None:
        raise ValueError(f"dig shows no flags:\n{text}")
    mbz = {"z"} if flags[2] and int(flags[2], 16) & 4 else set()
    return Seen(
        ident=int(head[3]),
        opcode=int(dns.opcode.from_text(head[1].replace("RESERVED", ""))),
        rcode=head[2],
        flags=frozenset(flags[1].split()) | mbz,
        question=asked,
        answer=sections.get("ANSWER", ()),
        authority=sections.get("AUTHORITY", ()),
        additional=sections.get("ADDITIONAL", ()),
        version=int(edns[1]) if edns else None,
        do=bool(edns) and "do" in edns[2].split(),
        edns_flags=int(edns[3], 16) if edns and edns[3] else 0,
        udp=int(edns[4]) if edns else 0,
        options={
            int(number or _CODES[name]): bytes.fromhex(data[: len(data) // 2 * 2])
            for number, name, data in _OPTION.findall(text)
        },
        ede=tuple(map(int, _EDE.findall(text))),
    )

"""DNS messages off the hot path: bytes to a frozen `Message` and back. The only importer of dnslib.

Holds always: whatever bytes come in, `MessageError` is the only thing that comes out beside a `Message`; every name was
read within its bounds (labels to 63 octets, names to 255, compression pointers strictly backwards).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# dnslib carries no types; everything taken from it is checked below.
import dnslib  # type: ignore[import-untyped]
from dnslib.label import DNSBuffer, DNSLabel  # type: ignore[import-untyped]

from lachan.labels import MAX_NAME_BYTES, check_labels, name_labels, name_text
from lachan.labels import MessageError as MessageError  # noqa: PLC0414 - callers catch it from here

MAX_MESSAGE_BYTES = 65_535
HEADER_BYTES = 12
MAX_COMPRESSION_OFFSET = 0x3FFF

IN, CH, ANY = 1, 3, 255
A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, DNAME, OPT = 1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 41
QUERY, NOTIFY = 0, 4
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
OPTION_EDE = 15

_TYPED = {NS: "NS", CNAME: "CNAME", SOA: "SOA", PTR: "PTR", MX: "MX", DNAME: "CNAME"}


@dataclass(frozen=True)
class Question:
    """What is asked; `qname` keeps the case it came in, without the trailing dot ("." is the root)."""

    qname: str
    qtype: int
    qclass: int = IN


@dataclass(frozen=True)
class Record:
    """One record: `rdata` is its data without compression, `data` the same in text."""

    name: str
    rtype: int
    rclass: int
    ttl: int
    rdata: bytes
    data: str

    @property
    def address(self) -> bytes | None:
        """The 4 or 16 octets of an A or AAAA record's address."""
        return self.rdata if self.rtype in {A, AAAA} and self.rclass == IN else None


@dataclass(frozen=True)
class ExtendedError:
    """An Extended DNS Error (RFC 8914)."""

    code: int
    text: str = ""


@dataclass(frozen=True)
class Edns:
    """The OPT pseudo-record (RFC 6891) but for its part of the response code."""

    size: int = 1232
    do: bool = False
    version: int = 0
    options: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True)
class Message:
    """A whole message, as it was read."""

    id: int
    is_response: bool
    opcode: int
    rcode: int
    """With the upper bits from OPT."""
    aa: bool = False
    tc: bool = False
    rd: bool = False
    ra: bool = False
    ad: bool = False
    cd: bool = False
    questions: tuple[Question, ...] = ()
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    """Without OPT."""
    edns: Edns | None = None
    errors: tuple[ExtendedError, ...] = ()

    @property
    def question(self) -> Question | None:
        """The question, where there is exactly one."""
        return self.questions[0] if len(self.questions) == 1 else None


class _Buffer(DNSBuffer):  # type: ignore[misc]
    """dnslib's buffer with names read and written within their bounds.

    Its own reading recurses once a pointer, takes 0x40 and 0x80 for lengths, refuses octets that are no UTF-8, and
    never adds a name up; its own writing compresses to offsets that do not fit into a pointer.
    """

    data: bytearray
    offset: int
    names: dict[tuple[bytes, ...], int]
    compress = True

    def decode_name(self, last: int = -1) -> DNSLabel:
        """Reads a name, following pointers backwards only; `last` belongs to dnslib's recursion and means nothing."""
        del last
        labels: list[bytes] = []
        size = 1
        place, end = self.offset, None
        limit = place
        while True:
            length = self._octet(place)
            place += 1
            if length & 0xC0 == 0xC0:
                target = (length & 0x3F) << 8 | self._octet(place)
                if end is None:
                    end = place + 1
                # Each pointer leads before the place that the part it belongs to began at, so that it ends.
                if target >= limit:
                    raise MessageError("a compression pointer does not point backwards", place - 1)
                place = limit = target
                continue
            if length & 0xC0:
                raise MessageError("a label of an unknown kind", place - 1)
            if not length:
                break
            size += length + 1
            if size > MAX_NAME_BYTES:
                raise MessageError("a name is longer than 255 octets", place - 1)
            if place + length > len(self.data):
                raise MessageError("a label reaches beyond the message", place - 1)
            labels.append(bytes(self.data[place : place + length]))
            place += length
        self.offset = place if end is None else end
        return DNSLabel(tuple(labels))

    def _octet(self, place: int) -> int:
        if place >= len(self.data):
            raise MessageError("a name reaches beyond the message", place)
        octet: int = self.data[place]
        return octet

    def encode_name(self, name: DNSLabel) -> None:
        """Writes a name, compressed where that is possible and asked for."""
        labels = tuple(name.label)
        check_labels(labels)
        for index in range(len(labels)):
            rest = labels[index:]
            known = self.names.get(rest) if self.compress else None
            if known is not None:
                self.pack("!H", 0xC000 | known)
                return
            if self.offset <= MAX_COMPRESSION_OFFSET:
                self.names[rest] = self.offset
            self.pack("!B", len(rest[0]))
            self.append(rest[0])
        self.append(b"\0")

    def encode_name_nocompress(self, name: DNSLabel) -> None:
        """Writes a name in full."""
        labels = tuple(name.label)
        check_labels(labels)
        for label in labels:
            self.pack("!B", len(label))
            self.append(label)
        self.append(b"\0")


class _PlainBuffer(_Buffer):
    compress = False


@contextmanager
def _boundary(buffer: _Buffer | None = None) -> Iterator[None]:
    """Turns everything that dnslib raises into `MessageError`."""
    try:
        yield
    except MessageError:
        raise
    # dnslib raises whatever its code runs into on hostile packets; this is the one place where all of it ends.
    except Exception as error:
        raise MessageError(f"{type(error).__name__}: {error}"[:200], buffer.offset if buffer else None) from error


# --- reading --------------------------------------------------------------------------------------------------------


def _data_text(rtype: int, rclass: int, rdata: bytes, typed: Any) -> str:
    if rclass == IN and rtype in {A, AAAA}:
        return str(ipaddress.ip_address(rdata))
    if rtype == SOA:
        return f"{name_text(typed.mname.label)} {name_text(typed.rname.label)} {' '.join(map(str, typed.times))}"
    if rtype == MX:
        return f"{typed.preference} {name_text(typed.label.label)}"
    if typed is not None:
        return name_text(typed.label.label)
    if rtype == TXT:
        return " ".join(f'"{_text_string(string)}"' for string in _strings(rdata))
    # RFC 3597: a type that nobody here looks into.
    return f"\\# {len(rdata)} {rdata.hex()}".rstrip()


def _text_string(string: bytes) -> str:
    return "".join(
        f"\\{octet:03d}" if not 0x20 <= octet <= 0x7E else f"\\{octet:c}" if octet in b'"\\' else chr(octet)
        for octet in string
    )


def _strings(rdata: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(rdata):
        end = place + 1 + rdata[place]
        if end > len(rdata):
            raise MessageError("a character string reaches beyond its record")
        yield rdata[place + 1 : end]
        place = end


def _read_record(buffer: _Buffer, opcode: int) -> tuple[Record, tuple[bytes, ...]]:
    owner: tuple[bytes, ...] = buffer.decode_name().label
    rtype, rclass, ttl, length = buffer.unpack("!HHIH")
    start = buffer.offset
    rdata = buffer.get(length)
    typed = None
    # In other opcodes (UPDATE) a record without data says something else.
    if rtype in _TYPED and opcode in {QUERY, NOTIFY}:
        buffer.offset = start
        typed = dnslib.RDMAP[_TYPED[rtype]].parse(buffer, length)
        if buffer.offset != start + length:
            raise MessageError("a record's data does not end where its length says", start)
        plain = _PlainBuffer()
        typed.pack(plain)
        rdata = bytes(plain.data)
    elif rclass == IN and opcode in {QUERY, NOTIFY} and len(rdata) != {A: 4, AAAA: 16}.get(rtype, len(rdata)):
        raise MessageError("an address has another length than addresses have", start)
    text = _data_text(rtype, rclass, rdata, typed) if opcode in {QUERY, NOTIFY} and rtype != OPT else ""
    return Record(name_text(owner), rtype, rclass, ttl, rdata, text), owner


def _read_options(rdata: bytes) -> tuple[tuple[int, bytes], ...]:
    options = []
    place = 0
    while place < len(rdata):
        if place + 4 > len(rdata):
            raise MessageError("an EDNS option is cut short")
        code, length = struct.unpack_from("!HH", rdata, place)
        place += 4 + length
        if place > len(rdata):
            raise MessageError("an EDNS option reaches beyond its record")
        options.append((code, rdata[place - length : place]))
    return tuple(options)


def _read_errors(options: Sequence[tuple[int, bytes]]) -> tuple[ExtendedError, ...]:
    errors = []
    for code, data in options:
        if code == OPTION_EDE:
            if len(data) < 2:
                raise MessageError("an extended error is cut short")
            # RFC 8914 section 2: the text may end in a null octet, and a receiver must cope with what is no UTF-8.
            text = data[2:].removesuffix(b"\0").decode("utf-8", "replace")
            errors.append(ExtendedError(int.from_bytes(data[:2], "big"), text))
    return tuple(errors)


def parse(data: bytes) -> Message:
    """Reads a whole message.

    Raises:
        MessageError: The bytes are not exactly one well-formed message.
    """
    if not HEADER_BYTES <= len(data) <= MAX_MESSAGE_BYTES:
        raise MessageError(f"{len(data)} octets are no message")
    buffer = _Buffer(data)
    with _boundary(buffer):
        header = dnslib.DNSHeader.parse(buffer)
        questions = []
        for _ in range(header.q):
            qname = buffer.decode_name().label
            qtype, qclass = buffer.unpack("!HH")
            questions.append(Question(name_text(qname), qtype, qclass))
        sections: list[list[Record]] = [[], [], []]
        opt: Record | None = None
        for section, count in zip(sections, (header.a, header.auth, header.ar), strict=True):
            for _ in range(count):
                record, owner = _read_record(buffer, header.opcode)
                if record.rtype != OPT:
                    section.append(record)
                    continue
                if opt is not None or owner or section is not sections[2]:
                    raise MessageError("OPT stands twice, has an owner, or is in another section", buffer.offset)
                opt = record
        if buffer.remaining():
            raise MessageError("octets follow the message", buffer.offset)
        edns = None
        if opt is not None:
            edns = Edns(opt.rclass, bool(opt.ttl & 0x8000), opt.ttl >> 16 & 0xFF, _read_options(opt.rdata))
        return Message(
            id=header.id,
            is_response=bool(header.qr),
            opcode=header.opcode,
            rcode=header.rcode | (opt.ttl >> 24 << 4 if opt else 0),
            aa=bool(header.aa),
            tc=bool(header.tc),
            rd=bool(header.rd),
            ra=bool(header.ra),
            ad=bool(header.ad),
            cd=bool(header.cd),
            questions=tuple(questions),
            answers=tuple(sections[0]),
            authority=tuple(sections[1]),
            additional=tuple(sections[2]),
            edns=edns,
            errors=_read_errors(edns.options) if edns else (),
        )


def read_question(data: bytes) -> tuple[Question, int]:
    """The one question of a message whose records need not be well-formed, and the offset behind it.

    Raises:
        MessageError: There is not exactly one, or it is cut short.
    """
    if len(data) < HEADER_BYTES or data[4:6] != b"\0\1":
        raise MessageError("there is not exactly one question")
    buffer = _Buffer(data)
    with _boundary(buffer):
        buffer.offset = HEADER_BYTES
        qname = buffer.decode_name().label
        qtype, qclass = buffer.unpack("!HH")
        return Question(name_text(qname), qtype, qclass), buffer.offset


# --- writing --------------------------------------------------------------------------------------------------------


def error_option(error: ExtendedError) -> tuple[int, bytes]:
    """The EDNS option that carries an extended error."""
    return OPTION_EDE, error.code.to_bytes(2, "big") + error.text.encode()


def encode(message: Message) -> bytes:
    """The bytes of a message; owners' names are compressed. Its `errors` go out as options.

    Raises:
        MessageError: A value does not fit, or the message would be longer than 65,535 octets.
    """
    buffer = _Buffer()
    edns = message.edns
    if edns is None and (message.rcode > 0xF or message.errors):
        raise MessageError("an extended response code or error needs EDNS")
    with _boundary(buffer):
        header = dnslib.DNSHeader(
            id=message.id, bitmap=0, q=len(message.questions), a=len(message.answers),
            auth=len(message.authority), ar=len(message.additional) + (edns is not None),
        )  # fmt: skip
        header.qr, header.opcode, header.rcode = message.is_response, message.opcode, message.rcode & 0xF
        header.aa, header.tc, header.rd, header.ra = message.aa, message.tc, message.rd, message.ra
        header.ad, header.cd = message.ad, message.cd
        header.pack(buffer)
        for question in message.questions:
            label = DNSLabel(name_labels(question.qname))
            dnslib.DNSQuestion(label, question.qtype, question.qclass).pack(buffer)
        for item in (*message.answers, *message.authority, *message.additional):
            label = DNSLabel(name_labels(item.name))
            dnslib.RR(label, item.rtype, item.rclass, item.ttl, dnslib.RD(item.rdata)).pack(buffer)
        if edns is not None:
            told = [] if any(code == OPTION_EDE for code, _ in edns.options) else map(error_option, message.errors)
            options = [dnslib.EDNSOption(code, data) for code, data in (*edns.options, *told)]
            dnslib.EDNS0(
                ext_rcode=message.rcode >> 4, version=edns.version, flags="do" if edns.do else "",
                udp_len=edns.size, opts=options,
            ).pack(buffer)  # fmt: skip
    if len(buffer.data) > MAX_MESSAGE_BYTES:
        raise MessageError("the message is longer than 65,535 octets")
    return bytes(buffer.data)


def query(
    qname: str,
    qtype: int,
    *,
    id: int,  # noqa: A002 - the field's name in every standard
    rd: bool = True,
    cd: bool = False,
    qclass: int = IN,
    edns: Edns | None = Edns(),
) -> bytes:
    """The bytes of a query.

    Raises:
        MessageError: The name or a number does not fit.
    """
    return encode(
        Message(
            id=id, is_response=False, opcode=QUERY, rcode=NOERROR, rd=rd, cd=cd,
            questions=(Question(qname, qtype, qclass),), edns=edns,
        )
    )  # fmt: skip


def type_number(text: str) -> int:
    """The number of a record type by its name (`A`, `HTTPS`) or in the form `TYPE65` (RFC 3597 5).

    Raises:
        ValueError: There is no such type.
    """
    name = text.upper()
    if name.startswith("TYPE") and name[4:].isdigit() and int(name[4:]) <= 0xFFFF:
        return int(name[4:])
    try:
        return int(getattr(dnslib.QTYPE, name))
    except (dnslib.DNSError, AttributeError) as error:
        raise ValueError(f"there is no record type {text!r}") from error


def type_name(number: int) -> str:
    """The name of a record type, `TYPE65280` where it has none."""
    return str(dnslib.QTYPE.forward.get(number, f"TYPE{number}"))


def rcode_name(number: int) -> str:
    """The name of a response code (RFC 6895), `RCODE23` where it has none here."""
    return {16: "BADVERS", 23: "BADCOOKIE"}.get(number) or str(dnslib.RCODE.forward.get(number, f"RCODE{number}"))

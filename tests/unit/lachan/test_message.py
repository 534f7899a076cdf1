from __future__ import annotations

import dns.edns
import dns.message
import dns.rrset
import pytest

from lachan.message import (
    AAAA,
    BADVERS,
    CNAME,
    NXDOMAIN,
    TXT,
    A,
    Edns,
    ExtendedError,
    Message,
    MessageError,
    Question,
    encode,
    parse,
    query,
    read_question,
)


def answered(*records: str, **flags: object) -> bytes:
    response = dns.message.make_response(dns.message.make_query("www.example.", "A", use_edns=0, want_dnssec=True))
    for text in records:
        name, ttl, rclass, rtype, data = text.split(maxsplit=4)
        response.answer.append(dns.rrset.from_text(name, int(ttl), rclass, rtype, data))
    for flag, value in flags.items():
        setattr(response, flag, value)
    return response.to_wire()


def test_a_query_is_what_dnspython_reads() -> None:
    wire = query("WwW.example", AAAA, id=4660, cd=True, edns=Edns(size=1400, do=True, options=((10, b"12345678"),)))
    read = dns.message.from_wire(wire)
    assert read.id == 4660
    assert read.flags == dns.flags.RD | dns.flags.CD
    assert read.question[0].to_text() == "WwW.example. IN AAAA"
    assert (read.edns, read.payload, read.ednsflags) == (0, 1400, 0x8000)
    assert read.options[0].to_wire() == b"12345678"


def test_a_query_may_go_without_edns() -> None:
    assert parse(query("example", A, id=1, rd=False, edns=None)) == Message(
        id=1, is_response=False, opcode=0, rcode=0, questions=(Question("example", A),)
    )


def test_records_come_with_text_and_addresses() -> None:
    message = parse(
        answered(
            "www.example. 60 IN CNAME Host.example.",
            "Host.example. 30 IN A 192.0.2.7",
            "Host.example. 30 IN AAAA 2001:db8::7",
            'host.example. 30 IN TXT "a \\"quoted\\" one" "two"',
            "Host.example. 30 IN MX 10 mail.example.",
            "example. 30 IN SOA ns.example. who.example. 1 2 3 4 5",
            "example. 30 IN SRV 1 2 3 srv.example.",
        )
    )
    assert [(record.name, record.rtype, record.ttl, record.data) for record in message.answers] == [
        ("www.example", CNAME, 60, "Host.example"),
        ("Host.example", A, 30, "192.0.2.7"),
        ("Host.example", AAAA, 30, "2001:db8::7"),
        ("Host.example", TXT, 30, '"a \\"quoted\\" one" "two"'),
        ("Host.example", 15, 30, "10 mail.example"),
        ("example", 6, 30, "ns.example who.example 1 2 3 4 5"),
        ("example", 33, 30, "\\# 19 0001000200030373727607" + b"example\0".hex()),
    ]
    assert message.answers[1].address == bytes([192, 0, 2, 7])
    assert message.answers[0].address is None
    assert message.answers[0].rdata == b"\4Host\7example\0"


def test_extended_codes_and_errors_are_read() -> None:
    response = dns.message.make_response(dns.message.make_query("bad.example.", "A", use_edns=0))
    response.use_edns(0, options=[dns.edns.EDEOption(16, "by order"), dns.edns.GenericOption(3, b"")])
    response.set_rcode(BADVERS)
    message = parse(response.to_wire())
    assert message.rcode == BADVERS
    assert message.errors == (ExtendedError(16, "by order"),)
    assert message.edns is not None
    # An empty option at the very end: dnslib's own reading loses it.
    assert message.edns.options[1] == (3, b"")


def test_what_is_encoded_is_read_the_same() -> None:
    message = Message(
        id=7, is_response=True, opcode=0, rcode=NXDOMAIN, rd=True, ra=True, aa=True, ad=True, cd=True, tc=True,
        questions=(Question("a\\.b.example", 65), ), edns=Edns(size=512, do=True, options=((15, b"\0\x11"),)),
        errors=(ExtendedError(17),),
    )  # fmt: skip
    assert parse(encode(message)) == message


def test_compression_never_points_beyond_what_a_pointer_can_say() -> None:
    from lachan.reply import txt_record

    filler = tuple(txt_record(f"n{number}.filler.example", 1, b"x" * 255) for number in range(80))
    message = Message(
        id=1, is_response=True, opcode=0, rcode=0, questions=(Question("q.example", TXT),),
        answers=(*filler, txt_record("late.other.test", 1, b"y"), txt_record("late.other.test", 1, b"z")),
    )  # fmt: skip
    wire = encode(message)
    assert len(wire) > 0x4000
    read = dns.message.from_wire(wire, one_rr_per_rrset=True)
    assert [rrset.name.to_text() for rrset in read.answer[-2:]] == ["late.other.test."] * 2


HEADER = bytes.fromhex("1234 8180 0001 0001 0000 0000")
ASKED = b"\3www\7example\0\0\1\0\1"


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"", "no message"),
        (b"\0" * 11, "no message"),
        (b"\0" * 65_536, "no message"),
        (HEADER + ASKED, "beyond"),
        (HEADER + ASKED + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\3abc", "another length"),
        (HEADER + ASKED + b"\xc0\x0c\0\5\0\1\0\0\0\1\0\1\xc0\x0c", "does not end"),
        (HEADER + ASKED + b"\xc0\x0c\0\x10\0\1\0\0\0\1\0\2\5a", "character string"),
        (HEADER + ASKED + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4abcdX", "follow"),
        (HEADER + b"\xc0\x0c\0\1\0\1", "backwards"),
        (HEADER + b"\xc0\x0e\xc0\x0c\0\1\0\1", "backwards"),
        (HEADER + b"\x40abc\0\0\1\0\1", "unknown kind"),
        (HEADER + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", "longer than 255"),
        (HEADER + ASKED + b"\0\0\x29\4\xd0\0\0\0\0\0\0", "OPT"),
        (bytes.fromhex("123400000000000000000001") + b"\0\0\x29\4\xd0\0\0\0\0\0\3\0\1\0", "cut short"),
        (bytes.fromhex("123400000000000000000001") + b"\0\0\x29\4\xd0\0\0\0\0\0\4\0\1\0\1", "reaches beyond"),
        (bytes.fromhex("123400000000000000000001") + b"\0\0\x29\4\xd0\0\0\0\0\0\5\0\x0f\0\1\0", "extended error"),
        (bytes.fromhex("123400000000000000000002") + b"\0\0\x29\4\xd0\0\0\0\0\0\0" * 2, "OPT stands twice"),
    ],
)
def test_what_is_malformed_is_refused_with_its_reason(wire: bytes, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        parse(wire)


def test_a_long_chain_of_pointers_ends() -> None:
    chain = bytearray(b"\0\0")
    for place in range(14, 16_000, 2):
        chain += (0xC000 | place - 2).to_bytes(2, "big")
    wire = bytes.fromhex("123400000001000000000000") + chain
    start = len(wire) - 2
    message = wire[:12] + b"\3abc" + wire[start:] + b"\0\1\0\1"
    with pytest.raises(MessageError):
        parse(message)
    # The same chain where it may stand, in front of the name that uses it: read without recursion.
    question, _ = read_question(bytes.fromhex("123400000001000000000000") + ASKED)
    assert question == Question("www.example", A)


def test_the_question_is_read_where_the_records_are_broken() -> None:
    question, end = read_question(HEADER + ASKED + b"\xff\xff")
    assert (question, end) == (Question("www.example", A), len(HEADER + ASKED))
    with pytest.raises(MessageError):
        read_question(HEADER[:4] + b"\0\2" + HEADER[6:] + ASKED)


@pytest.mark.parametrize(
    "message",
    [
        Message(id=1, is_response=True, opcode=0, rcode=16),
        Message(id=1, is_response=True, opcode=0, rcode=0, errors=(ExtendedError(16),)),
        Message(id=70_000, is_response=True, opcode=0, rcode=0),
        Message(id=1, is_response=True, opcode=0, rcode=0, questions=(Question("a..b", A),)),
        Message(id=1, is_response=True, opcode=0, rcode=0, edns=Edns(options=((70_000, b""),))),
        Message(id=1, is_response=True, opcode=0, rcode=0, edns=Edns(options=((1, b"x" * 65_000), (2, b"y" * 600)))),
    ],
)
def test_values_that_fit_into_no_message_are_refused(message: Message) -> None:
    with pytest.raises(MessageError):
        encode(message)

"""dnspython as the oracle: what both read they read alike, and nothing but MessageError ever comes out of ours."""

from __future__ import annotations

import contextlib

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lachan.labels import MessageError, name_text
from lachan.message import Message, Record, encode, parse, read_question

LABEL = st.binary(min_size=1, max_size=12) | st.sampled_from([b"www", b"example", b"test", b"xn--bcher-kva"])
NAME = st.lists(LABEL, max_size=4).map(lambda labels: dns.name.Name([*labels, b""]))
U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFFFFFF)
TTL = st.integers(0, 0x7FFFFFFF)


def rdatas() -> st.SearchStrategy[tuple[int, bytes]]:
    wire = NAME.map(lambda name: name.to_wire())
    return st.one_of(
        st.tuples(st.just(1), st.binary(min_size=4, max_size=4)),
        st.tuples(st.just(28), st.binary(min_size=16, max_size=16)),
        st.tuples(st.sampled_from([2, 5, 12, 39]), wire),
        st.tuples(st.just(15), st.tuples(U16, wire).map(lambda mx: mx[0].to_bytes(2, "big") + mx[1])),
        st.tuples(st.just(6), st.tuples(wire, wire, st.binary(min_size=20, max_size=20)).map(b"".join)),
        st.tuples(
            st.just(16),
            st.lists(st.binary(max_size=20), min_size=1, max_size=3).map(
                lambda strings: b"".join(bytes([len(string)]) + string for string in strings)
            ),
        ),
        st.tuples(st.just(65_280), st.binary(max_size=20)),
    )


RECORD = st.tuples(NAME, TTL, rdatas())


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A well-formed message as dnspython writes it, compression included."""
    message = dns.message.Message(id=draw(U16))
    message.flags = draw(U16) & 0x87B0
    message.question = [
        dns.rrset.RRset(draw(NAME), dns.rdataclass.IN, dns.rdatatype.RdataType.make(draw(st.sampled_from([1, 28, 65]))))
    ]
    for section in (message.answer, message.authority, message.additional):
        for name, ttl, (rtype, wire) in draw(st.lists(RECORD, max_size=3)):
            data = dns.rdata.from_wire(dns.rdataclass.IN, rtype, wire, 0, len(wire))
            section.append(dns.rrset.from_rdata(name, ttl, data))
    if draw(st.booleans()):
        drawn = draw(st.lists(st.tuples(st.integers(65_001, 65_534), st.binary(max_size=8)), max_size=2))
        options: list[dns.edns.Option] = [dns.edns.GenericOption(code, data) for code, data in drawn]
        if draw(st.booleans()):
            options.append(dns.edns.EDEOption(draw(st.integers(0, 24)), "why"))
        message.use_edns(
            draw(st.integers(0, 1)),
            0x8000 if draw(st.booleans()) else 0,
            draw(U16),
            options=options,
        )
        message.set_rcode(draw(st.integers(0, 23)))
    return message.to_wire()


def same_records(ours: tuple[Record, ...], theirs: list[dns.rrset.RRset]) -> None:
    flat = [(rrset, rdata) for rrset in theirs for rdata in rrset]
    assert len(ours) == len(flat)
    for record, (rrset, rdata) in zip(ours, flat, strict=True):
        assert record.name == name_text(rrset.name.labels[:-1])
        assert (record.rtype, record.rclass, record.ttl) == (rrset.rdtype, rrset.rdclass, rrset.ttl)
        assert record.rdata == rdata.to_wire()
        if record.address is not None:
            assert record.data == rdata.address


def same(ours: Message, theirs: dns.message.Message) -> None:
    assert ours.id == theirs.id
    assert ours.opcode == theirs.opcode()
    assert ours.rcode == theirs.rcode()
    for flag, value in {
        dns.flags.QR: ours.is_response,
        dns.flags.AA: ours.aa,
        dns.flags.TC: ours.tc,
        dns.flags.RD: ours.rd,
        dns.flags.RA: ours.ra,
        dns.flags.AD: ours.ad,
        dns.flags.CD: ours.cd,
    }.items():
        assert value == bool(theirs.flags & flag)
    asked = [(name_text(rrset.name.labels[:-1]), rrset.rdtype, rrset.rdclass) for rrset in theirs.question]
    assert [(question.qname, question.qtype, question.qclass) for question in ours.questions] == asked
    same_records(ours.answers, theirs.answer)
    same_records(ours.authority, theirs.authority)
    same_records(ours.additional, theirs.additional)
    assert (ours.edns is not None) == (theirs.edns >= 0)
    if ours.edns is not None:
        assert (ours.edns.version, ours.edns.size) == (theirs.edns, theirs.payload)
        assert ours.edns.do == bool(theirs.ednsflags & dns.flags.DO)
        assert [code for code, _ in ours.edns.options] == [option.otype for option in theirs.options]
        told = [(int(option.code), option.text or "") for option in theirs.options if option.otype == 15]
        assert [(error.code, error.text) for error in ours.errors] == told


@settings(max_examples=300)
@given(messages())
def test_well_formed_messages_are_read_as_dnspython_reads_them(wire: bytes) -> None:
    same(parse(wire), dns.message.from_wire(wire, one_rr_per_rrset=True))


@settings(max_examples=200)
@given(messages())
def test_what_was_read_is_written_so_that_it_reads_the_same(wire: bytes) -> None:
    message = parse(wire)
    assert parse(encode(message)) == message


@settings(max_examples=500)
@given(
    messages(),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=6),
    st.integers(0, 600),
    st.binary(max_size=6),
)
def test_mutated_messages_raise_nothing_but_our_error(
    wire: bytes, changes: list[tuple[int, int]], cut: int, tail: bytes
) -> None:
    data = bytearray(wire)
    for place, octet in changes:
        data[place % len(data)] = octet
    data = data[: max(cut, 12)] + tail
    try:
        ours = parse(bytes(data))
    except MessageError:
        return
    # Where dnspython too takes it, both read the same. It may refuse what we keep as bytes: types we do not look into.
    with contextlib.suppress(dns.exception.DNSException, ValueError):
        theirs = dns.message.from_wire(bytes(data), one_rr_per_rrset=True)
        if theirs.opcode() == 0 and ours.questions:
            assert [name_text(rrset.name.labels[:-1]) for rrset in theirs.question] == [
                question.qname for question in ours.questions
            ]
            assert ours.rcode == theirs.rcode()
            assert len(ours.answers) == sum(len(rrset) for rrset in theirs.answer)


@settings(max_examples=500)
@given(st.binary(max_size=200))
@example(bytes.fromhex("123481800001000100000000") + b"\xc0\x0c" * 90)
def test_random_bytes_raise_nothing_but_our_error(data: bytes) -> None:
    with contextlib.suppress(MessageError):
        parse(data)
    with contextlib.suppress(MessageError):
        read_question(data)


@settings(max_examples=300)
@given(U16, st.tuples(*[st.integers(0, 3)] * 4), st.binary(max_size=120))
def test_random_records_behind_a_header_raise_nothing_but_our_error(
    flags: int, counts: tuple[int, ...], body: bytes
) -> None:
    header = b"\0\1" + flags.to_bytes(2, "big") + b"".join(count.to_bytes(2, "big") for count in counts)
    with contextlib.suppress(MessageError):
        encode(parse(header + body))

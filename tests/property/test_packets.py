"""Whatever bytes clients and upstreams send: right answers to what can be read, silence or a header to the rest.

dnspython and lachan.message are the oracles. A packet that breaks something here becomes a file in tests/corpus.
"""

from __future__ import annotations

import contextlib
import struct
from functools import cache

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lachan.message import MessageError, parse
from tests.support.blocklist import entry
from tests.support.engine import TCP, UDP, Rig, policy, rig
from tests.support.packets import denial, header_flags, question, raw, read, record

LABEL = st.binary(min_size=1, max_size=12) | st.sampled_from([b"www", b"BAD", b"bad", b"example", b"test"])
NAME = st.builds(
    lambda labels, end: dns.name.Name([*labels, *end, b""]),
    st.lists(LABEL, max_size=4),
    st.sampled_from([(), (b"bad", b"example"), (b"bAd", b"EXAMPLE"), (b"example",)]),
)
U16 = st.integers(0, 0xFFFF)
TRANSPORT = st.sampled_from([UDP, TCP])
OPTION = st.builds(
    dns.edns.GenericOption, st.integers(4, 0xFFFF).filter(lambda code: code not in {8, 10, 15}), st.binary(max_size=12)
)
EXAMPLE = settings(max_examples=400)


@cache
def shared() -> Rig:
    """One engine for all examples; it has no upstreams, so that every query is settled at once."""
    return rig(policy(entry("bad.example")), upstreams=0)


@cache
def forwarding() -> Rig:
    return rig(policy(entry("bad.example")), sockets=2)


@st.composite
def queries(draw: st.DrawFn) -> dns.message.Message:
    """Any query that dnspython builds."""
    message = dns.message.make_query(
        draw(NAME),
        dns.rdatatype.RdataType.make(draw(st.integers(1, 0xFFFF).filter(lambda number: number != dns.rdatatype.OPT))),
        dns.rdataclass.RdataClass.make(draw(st.sampled_from([1, 1, 1, 1, 3, 4, 254, 255]))),
        id=draw(U16),
    )
    message.flags = draw(U16) & 0x07F0
    if draw(st.booleans()):
        message.use_edns(
            draw(st.sampled_from([0, 0, 0, 1, 255])),
            draw(U16),
            draw(U16),
            options=draw(st.lists(OPTION, max_size=3)),
        )
    return message


def listed(name: dns.name.Name) -> bool:
    return name.is_subdomain(dns.name.from_text("bad.example"))


@given(queries(), TRANSPORT)
@EXAMPLE
def test_any_query_is_answered_as_it_was_asked(query: dns.message.Message, transport: int) -> None:
    wire = query.to_wire()
    answer = shared().ask(wire, transport=transport)
    message = read(answer)
    asked = query.question[0]
    assert answer is not None
    assert message.id == query.id
    assert message.opcode() == dns.opcode.QUERY
    # The letters of the question, octet by octet.
    assert answer[12 : 12 + len(asked.name.to_wire()) + 4] == wire[12 : 12 + len(asked.name.to_wire()) + 4]
    kept = dns.flags.RD | dns.flags.CD
    assert header_flags(message) == dns.flags.QR | dns.flags.RA | query.flags & kept
    assert message.edns == (0 if query.edns >= 0 else -1)
    if query.edns >= 0:
        assert message.ednsflags & 0x8000 == query.ednsflags & 0x8000
        assert message.payload == 1232
    expected = (
        dns.rcode.BADVERS if query.edns > 0
        else dns.rcode.REFUSED if asked.rdclass != dns.rdataclass.IN
        else dns.rcode.NXDOMAIN if listed(asked.name)
        else dns.rcode.REFUSED if not query.flags & dns.flags.RD
        else dns.rcode.NOERROR if asked.rdtype == dns.rdatatype.ANY
        else dns.rcode.NOTIMP if 249 <= asked.rdtype <= 254
        else dns.rcode.SERVFAIL
    )  # fmt: skip
    assert message.rcode() == expected
    if expected == dns.rcode.NXDOMAIN:
        assert denial(message)[1].lower() == "bad.example."
    if transport == UDP:
        assert len(answer) <= 512
    parsed = parse(answer)
    assert (parsed.id, parsed.rcode) == (query.id, expected)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A query with octets changed, cut out or put in."""
    data = bytearray(draw(queries()).to_wire())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.integers(0, 4))
        if kind == 0 and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == 1:
            del data[at : at + draw(st.integers(1, 8))]
        elif kind == 2:
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == 3:
            data[4:12] = struct.pack("!HHHH", *(draw(st.sampled_from([0, 1, 1, 2, 0xFFFF])) for _ in range(4)))
        else:
            data[at:] = draw(st.sampled_from([b"\xc0\x0c", b"\xc0\0", b"\xff\xff", b"\x3f", b"\0"])) + data[at + 2 :]
    return bytes(data)


def check_answer(packet: bytes, answer: bytes | None) -> None:
    """What holds of the answer to any packet whatever."""
    assert answer is not None
    if len(packet) < 12 or packet[2] & 0x80:
        assert answer == b""
        return
    assert answer[:2] == packet[:2]
    assert answer[2] & 0x80
    assert (answer[2] ^ packet[2]) & 0x79 == 0
    rcode = answer[3] & 15
    if len(answer) == 12:
        assert answer[4:] == bytes(8)
        assert rcode == (dns.rcode.NOTIMP if packet[2] & 0x78 else dns.rcode.FORMERR)
        return
    message = read(answer)
    assert not packet[2] & 0x78
    assert len(message.question) == 1
    assert not message.flags & (dns.flags.AA | dns.flags.AD)
    assert parse(answer).rcode == message.rcode()
    # What was answered in earnest can be read by others: one question, no answers, nothing behind the end.
    with contextlib.suppress(dns.exception.DNSException, ValueError, NotImplementedError):
        theirs = dns.message.from_wire(packet)
        assert len(theirs.question) == 1
    if message.rcode() == dns.rcode.NXDOMAIN:
        assert listed(message.question[0].name)


@given(mutated(), TRANSPORT)
@settings(max_examples=800)
def test_a_mutated_query_breaks_nothing(packet: bytes, transport: int) -> None:
    check_answer(packet, shared().ask(packet, transport=transport))


@given(st.binary(max_size=600), TRANSPORT)
@settings(max_examples=500)
@example(bytes(12), UDP)
@example(b"\xff" * 12, UDP)
@example(b"\0\0\1\0\0\1\0\0\0\0\0\0" + b"\xc0\x0c" * 100, TCP)
def test_noise_breaks_nothing(packet: bytes, transport: int) -> None:
    check_answer(packet, shared().ask(packet, transport=transport))


@given(mutated())
@EXAMPLE
def test_what_others_cannot_read_is_not_answered_in_earnest(packet: bytes) -> None:
    try:
        theirs = parse(packet)
    except MessageError:
        theirs = None
    answer = shared().ask(packet)
    assert answer is not None
    if len(answer) > 12 and theirs is None:
        # Ours reads no further than it must: data of additional records that mean nothing here may be broken.
        assert struct.unpack("!H", packet[10:12])[0] > 0
    question_alone = (
        theirs is not None and theirs.opcode == 0 and not theirs.is_response and theirs.question is not None
    )
    if theirs is not None and theirs.question is not None and question_alone and len(answer) == 12:
        # Well-formed, and no query all the same: more than one holds, or numbers that mean nothing.
        asked = theirs.question
        assert (
            theirs.answers or theirs.authority or len(theirs.additional) > 7 or packet[12] & 0xC0
            or asked.qtype in {0, 41} or asked.qclass == 0
        )  # fmt: skip


# Upstreams ------------------------------------------------------------------------------------------------------------

RDATA = st.one_of(
    st.tuples(st.just(1), st.binary(min_size=4, max_size=4)),
    st.tuples(st.sampled_from([5, 39, 2]), NAME.map(lambda name: name.to_wire()) | st.binary(max_size=6)),
    st.tuples(st.sampled_from([64, 65]), NAME.map(lambda name: b"\0\1" + name.to_wire()) | st.binary(max_size=6)),
    st.tuples(st.just(6), NAME.map(lambda name: name.to_wire() * 2 + bytes(16) + b"\0\0\0\x1e")),
    st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=30)),
)
OWNER = st.sampled_from([b"\xc0\x0c", b"\xc0\x10", b"\xc0\xff", b"\xff\xff", b"\0"]) | NAME.map(
    lambda name: name.to_wire()
)
RECORDS = st.lists(
    st.builds(
        lambda typed, owner, ttl: record(typed[0], typed[1], owner, ttl), RDATA, OWNER, st.integers(0, 0xFFFFFFFF)
    ),
    max_size=6,
)
COUNT = iter(range(1 << 30))


@given(
    found=RECORDS,
    counts=st.none() | st.lists(st.integers(0, 3), min_size=3, max_size=3),
    flags=U16,
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=2),
    rdtype=st.sampled_from(["A", "HTTPS", "CNAME", "MX"]),
    do=st.booleans(),
)
@settings(max_examples=600)
def test_whatever_an_upstream_says_the_client_gets_one_answer_to_its_question(
    found: list[bytes], counts: list[int] | None, flags: int, changes: list[tuple[float, int]], rdtype: str, do: bool
) -> None:
    own = forwarding()
    query = question(f"q{next(COUNT)}.www.ok.example", rdtype, do=do)
    assert own.ask(query) is None
    token = own.token
    asked, source = own.upstreams[0].receive()
    response = bytearray(raw(asked, *found))
    response[2:4] = struct.pack("!H", 0x8000 | flags & 0x05FF)
    if counts is not None:
        response[6:12] = struct.pack("!HHH", *counts)
    for place, octet in changes:
        # Anything behind the question.
        first = min(len(asked) - 11, len(response) - 1)
        response[first + int(place * (len(response) - 1 - first))] = octet
    own.upstreams[0].send(bytes(response), source)
    own.upstreams[0].send(raw(asked, record(1, b"\xc0\0\2\1")), source)
    answer = own.wait(token)
    assert answer[:2] == query[:2]
    assert answer[12 : 12 + len(asked) - 11 - 12] == query[12 : len(asked) - 11]
    assert answer[4:6] == b"\0\1"
    # Out of the cache, if it is there, comes the same but for the time that has passed.
    again = own.onlooker.ask(query)
    assert again is not None
    if again[3] & 15 != dns.rcode.SERVFAIL:
        assert again == answer
    # No answer shows a listed name's data: whatever is shown of a chain ends before it.
    with contextlib.suppress(dns.exception.DNSException, ValueError):
        message = dns.message.from_wire(answer, one_rr_per_rrset=True)
        ends = [message.question[0].name]
        for _ in range(16):
            step = [
                rrset[0].target for rrset in message.answer
                if rrset.rdtype == dns.rdatatype.CNAME and rrset.rdclass == 1 and rrset.name == ends[-1]
            ]  # fmt: skip
            if not step or step[0] in ends:
                break
            ends.append(step[0])
        for end in ends:
            if listed(end):
                assert message.rcode() == dns.rcode.NXDOMAIN
                assert not [rrset for rrset in message.answer if rrset.name == end]

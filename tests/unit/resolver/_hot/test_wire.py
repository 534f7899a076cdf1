"""What the compiled reader makes of queries and of upstreams' answers, and what it writes; dnspython is the oracle."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest

from tests.support.blocklist import entry
from tests.support.engine import TCP, UDP, Rig, policy, rig
from tests.support.packets import error_code, header_flags, question, read, records, reply

OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
PLAIN = question("www.bad.example", edns=False)
ASKED = PLAIN[12:]


@pytest.fixture(scope="module")
def blocking() -> Rig:
    return rig(policy(entry("bad.example")), upstreams=0)


def packet(
    asked: bytes = ASKED, extra: bytes = b"", *, counts: tuple[int, int, int, int] = (1, 0, 0, 0), flags: int = 0x0100
) -> bytes:
    return struct.pack("!HHHHHH", 0xBEEF, flags, *counts) + asked + extra


def bare(answer: bytes | None) -> tuple[int, int, int]:
    """Id, flags but the response code, and response code of an answer that is a header alone."""
    assert answer is not None
    assert len(answer) == 12
    assert answer[4:] == bytes(8)
    ident, word = struct.unpack("!HH", answer[:4])
    return ident, word & 0xFFF0, word & 0xF


@pytest.mark.parametrize("size", range(12))
def test_what_is_shorter_than_a_header_gets_silence(blocking: Rig, size: int) -> None:
    before = blocking.count("drop", 2)
    assert blocking.ask(PLAIN[:size]) == b""
    assert blocking.count("drop", 2) == before + 1


def test_a_response_gets_silence(blocking: Rig) -> None:
    for flags in (0x8000, 0x8180, 0xFFFF):
        assert blocking.ask(packet(flags=flags)) == b""


@pytest.mark.parametrize("opcode", range(1, 16))
def test_other_opcodes_are_not_implemented(blocking: Rig, opcode: int) -> None:
    answer = blocking.ask(packet(flags=opcode << 11 | 0x0110))
    assert bare(answer) == (0xBEEF, 0x8000 | opcode << 11 | 0x0110, 4)
    # Nothing behind the header needs to make sense.
    assert blocking.ask(packet(b"\xff" * 30, flags=opcode << 11 | 0x0110)) == answer


OPTION_PAST_THE_END = OPT[:9] + b"\0\4" + b"\0\x0a\0\1"
MALFORMED = {
    "no question": packet(b"", counts=(0, 0, 0, 0)),
    "no question, but octets of one": packet(counts=(0, 0, 0, 0)),
    "two questions": packet(ASKED * 2, counts=(2, 0, 0, 0)),
    "two questions announced": packet(counts=(2, 0, 0, 0)),
    "an answer announced": packet(counts=(1, 1, 0, 0)),
    "an authority announced": packet(counts=(1, 0, 1, 0)),
    "an additional record announced": packet(counts=(1, 0, 0, 1)),
    "nine additional records": packet(extra=(b"\0\0\1\0\1" + bytes(6)) * 9, counts=(1, 0, 0, 9)),
    "a trailing octet": packet(extra=b"\0"),
    "a trailing octet behind OPT": packet(extra=OPT + b"\0", counts=(1, 0, 0, 1)),
    "OPT not announced": packet(extra=OPT),
    "two OPTs": packet(extra=OPT * 2, counts=(1, 0, 0, 2)),
    "OPT with an owner": packet(extra=b"\1a" + OPT, counts=(1, 0, 0, 1)),
    "OPT whose owner is a pointer": packet(extra=b"\xc0\x0c" + OPT[1:], counts=(1, 0, 0, 1)),
    "OPT cut short": packet(extra=OPT[:-1], counts=(1, 0, 0, 1)),
    "an option that ends behind OPT": packet(extra=OPTION_PAST_THE_END, counts=(1, 0, 0, 1)),
    "half an option": packet(extra=OPT[:9] + b"\0\3\0\x0a\0", counts=(1, 0, 0, 1)),
    "OPT data that ends behind the packet": packet(extra=OPT[:9] + b"\0\5\0\x0a\0\0", counts=(1, 0, 0, 1)),
    "a pointer for a name": packet(b"\xc0\x0c\0\1\0\1"),
    "a pointer behind a label": packet(b"\3bad\xc0\x0c\0\1\0\1"),
    "a label of the reserved kind 0x40": packet(b"\x40" + b"a" * 64 + b"\0\0\1\0\1"),
    "a label of the reserved kind 0x80": packet(b"\x80" + b"a" * 128 + b"\0\0\1\0\1"),
    "a name of 256 octets": packet((b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"c" * 62 + b"\0\0\1\0\1"),
    "a name of 128 labels": packet(b"\1a" * 127 + b"\1b\0\0\1\0\1"),
    "a name without its end": packet(b"\3bad"),
    "a label that ends behind the packet": packet(b"\x3fbad"),
    "a question without a class": packet(ASKED[:-2]),
    "type 0": packet(ASKED[:-4] + b"\0\0\0\1"),
    "type OPT": packet(ASKED[:-4] + b"\0\x29\0\1"),
    "class 0": packet(ASKED[:-2] + b"\0\0"),
}  # fmt: skip


@pytest.mark.parametrize("query", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_gets_a_header_that_says_so(blocking: Rig, query: bytes) -> None:
    before = blocking.queries(rcode=1)
    assert bare(blocking.ask(query)) == (0xBEEF, 0x8100, 1)
    assert blocking.queries(rcode=1) == before + 1


@pytest.mark.parametrize("edns", [False, True])
def test_every_cut_of_a_query_is_malformed(blocking: Rig, edns: bool) -> None:
    whole = question("www.bad.example", edns=edns)
    for size in range(12, len(whole)):
        assert bare(blocking.ask(whole[:size]))[2] == 1
    assert read(blocking.ask(whole)).rcode() == dns.rcode.NXDOMAIN


def test_names_at_their_limits_are_read(blocking: Rig) -> None:
    longest = (
        b"\x3f" + b"a" * 63 + b"\x3f" + b"b" * 63 + b"\x3f" + b"c" * 63 + b"\x31" + b"d" * 49 + b"\3bad\7example\0"
    )
    deepest = b"\1a" * 121 + b"\3bad\7example\0"
    assert len(longest) == len(deepest) == 255
    for name in (longest, deepest):
        answer = read(blocking.ask(packet(name + b"\0\1\0\1")))
        assert answer.rcode() == dns.rcode.NXDOMAIN
        assert answer.question[0].name.to_wire() == name
        assert str(answer.authority[0].name) == "bad.example."


def test_labels_may_hold_any_octet(blocking: Rig) -> None:
    name = b"\4\0.\xff@\3BAD\7eXample\0"
    answer = blocking.ask(packet(name + b"\0\1\0\1"))
    assert read(answer).rcode() == dns.rcode.NXDOMAIN
    assert answer is not None
    assert answer[12 : 12 + len(name)] == name


def test_only_letters_lose_their_case() -> None:
    # '[' and '{' differ in the bit that tells A from a.
    own = rig(policy(entry("a-z.example")), upstreams=1)
    assert read(own.ask(packet(b"\3A-Z\7EXAMPLE\0\0\1\0\1"))).rcode() == dns.rcode.NXDOMAIN
    assert own.ask(packet(b"\3a\x0dz\7example\0\0\1\0\1")) is None


def test_the_root_is_a_name() -> None:
    own = rig()
    answer = own.exchange(question("."), lambda q: reply(q, ". 300 IN NS a.example."))
    assert records(read(answer)) == [". 300 IN NS a.example."]


def test_other_additional_records_are_passed_over(blocking: Rig) -> None:
    record = b"\3key\0" + struct.pack("!HHIH", 250, 255, 0, 5) + b"abcde"
    for extra in (record + OPT, OPT + record):
        answer = read(blocking.ask(packet(extra=extra, counts=(1, 0, 0, 2))))
        assert (answer.rcode(), answer.edns) == (dns.rcode.NXDOMAIN, 0)


def test_unknown_options_and_flags_are_passed_over(blocking: Rig) -> None:
    options = struct.pack("!HH", 65001, 3) + b"abc" + struct.pack("!HH", 10, 8) + bytes(8)
    opt = b"\0" + struct.pack("!HHIH", 41, 4096, 0x7FFF, len(options)) + options
    answer = read(blocking.ask(packet(extra=opt, counts=(1, 0, 0, 1), flags=0x0140)))
    assert (answer.rcode(), answer.edns, answer.ednsflags) == (dns.rcode.NXDOMAIN, 0, 0)
    # The bit Z of the header goes no further (RFC 6895 2.1).
    assert answer.flags & 0x0040 == 0


@pytest.mark.parametrize("version", [1, 2, 255])
@pytest.mark.parametrize("rest", [b"\0\0", b"\0\2\xff\xff"])
def test_other_versions_of_edns_are_told_so(blocking: Rig, version: int, rest: bytes) -> None:
    opt = b"\0" + struct.pack("!HHBBH", 41, 4096, 0, version, 0x8000) + rest
    before = blocking.queries(rcode=16)
    answer = read(blocking.ask(packet(extra=opt, counts=(1, 0, 0, 1))))
    assert (answer.rcode(), answer.edns) == (dns.rcode.BADVERS, 0)
    assert (answer.answer, answer.authority) == ([], [])
    assert str(answer.question[0].name) == "www.bad.example."
    assert blocking.queries(rcode=16) == before + 1


@pytest.mark.parametrize("rdclass", ["CH", "HS", "NONE", "ANY", "CLASS2"])
def test_other_classes_are_refused(blocking: Rig, rdclass: str) -> None:
    answer = read(blocking.ask(question("version.bind", "TXT", rdclass=rdclass)))
    assert (answer.rcode(), len(answer.question), answer.edns) == (dns.rcode.REFUSED, 1, 0)


def test_any_is_answered_minimally(blocking: Rig) -> None:
    answer = read(blocking.ask(question("WWW.ok.example", "ANY")))
    assert records(answer) == ['WWW.ok.example. 3600 IN HINFO "RFC8482" ""']
    assert (answer.rcode(), answer.authority) == (dns.rcode.NOERROR, [])


@pytest.mark.parametrize("rdtype", ["TYPE249", "TYPE250", "IXFR", "AXFR", "MAILB", "MAILA"])
def test_types_that_no_recursion_answers_are_not_implemented(blocking: Rig, rdtype: str) -> None:
    number = int(dns.rdatatype.from_text(rdtype))
    answer = read(blocking.ask(packet(b"\2ok\7example\0" + struct.pack("!HH", number, 1), OPT, counts=(1, 0, 0, 1))))
    assert (answer.rcode(), len(answer.question), answer.edns) == (dns.rcode.NOTIMP, 1, 0)


def test_who_wants_no_recursion_is_refused(blocking: Rig) -> None:
    answer = read(blocking.ask(question("www.ok.example", rd=False)))
    assert (answer.rcode(), error_code(answer)) == (dns.rcode.REFUSED, 18)
    assert header_flags(answer) == dns.flags.QR | dns.flags.RA
    # The list is not what others asked before.
    assert read(blocking.ask(question("www.bad.example", rd=False))).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("transport", [UDP, TCP])
def test_flags_of_an_answer(blocking: Rig, transport: int) -> None:
    for rd in (0, dns.flags.RD):
        for cd in (0, dns.flags.CD):
            for more in (0, dns.flags.AD, dns.flags.AA, dns.flags.TC, dns.flags.RA):
                answer = read(blocking.ask(packet(flags=rd | cd | more), transport=transport))
                assert header_flags(answer) == dns.flags.QR | dns.flags.RA | rd | cd
                assert answer.id == 0xBEEF


def test_opt_only_for_those_who_sent_one(blocking: Rig) -> None:
    assert read(blocking.ask(question("bad.example", edns=False))).edns == -1
    plain, signed = (read(blocking.ask(question("bad.example", do=do))) for do in (False, True))
    assert (plain.edns, plain.payload, plain.ednsflags) == (0, 1232, 0)
    assert (signed.edns, signed.payload, signed.ednsflags) == (0, 1232, dns.flags.DO)


# What upstreams say ---------------------------------------------------------------------------------------------------


def test_an_answer_that_is_no_message_has_not_come() -> None:
    own = rig()
    assert own.ask(question("www.ok.example")) is None
    token = own.token
    asked, source = own.upstreams[0].receive()
    good = reply(asked, "www.ok.example. 300 IN A 192.0.2.1", authority=["ok.example. 300 IN NS ns.ok.example."])
    for size in range(12, len(good)):
        own.upstreams[0].send(good[:size], source)
    own.upstreams[0].send(good + b"\0", source)
    # OPT in the answer section; an owner of OPT; records without end.
    own.upstreams[0].send(good[:6] + struct.pack("!HHH", 1, 0, 0) + asked[12:], source)
    own.upstreams[0].send(good[:6] + struct.pack("!HHH", 0xFFFF, 0, 0) + good[12:], source)
    own.upstreams[0].send(good[:10] + b"\0\1" + asked[12:-11] + b"\1a" + asked[-11:], source)
    own.upstreams[0].send(good, source)
    answer = read(own.wait(token))
    assert records(answer) == ["www.ok.example. 300 IN A 192.0.2.1"]
    assert [str(rrset.name) for rrset in answer.authority] == ["ok.example."]


def test_the_upstreams_opt_stays_behind_and_what_follows_it() -> None:
    own = rig()

    def respond(query: bytes) -> bytes:
        asked = query[: len(query) - 11]
        glue = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4)
        opt = b"\0" + struct.pack("!HHIH", 41, 4096, 0x8000, 8) + struct.pack("!HHHH", 15, 4, 3, 0x4142)
        return (
            asked[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, 1, 0, 3) + asked[12:]
            + glue + b"\xc0\0\2\1" + glue + b"\xc0\0\2\2" + opt + glue + b"\xc0\0\2\3"
        )  # fmt: skip

    answer = read(own.exchange(question("www.ok.example", edns=False), respond))
    assert records(answer) == ["www.ok.example. 60 IN A 192.0.2.1"]
    assert [rrset.to_text() for rrset in answer.additional] == ["www.ok.example. 60 IN A 192.0.2.2"]
    assert answer.edns == -1
    again = read(own.ask(question("www.ok.example", do=False, edns=True)))
    assert (again.edns, again.ednsflags, error_code(again)) == (0, 0, None)


def test_ad_is_for_those_who_asked_for_it() -> None:
    own = rig()
    signed = "www.ok.example. 300 IN A 192.0.2.1"
    first = own.exchange(question("www.ok.example"), lambda q: reply(q, signed, said="QR RD RA AD"))
    assert not read(first).flags & dns.flags.AD
    assert read(own.ask(question("www.ok.example", ad=True))).flags & dns.flags.AD
    with_do = own.exchange(question("www.ok.example", do=True), lambda q: reply(q, signed, said="QR RD RA AD"))
    assert read(with_do).flags & dns.flags.AD
    # AA, and whatever else the upstream said of itself, is not ours to say.
    other = own.exchange(question("b.ok.example"), lambda q: reply(q, signed.replace("www", "b"), said="QR AA"))
    assert header_flags(read(other)) == dns.flags.QR | dns.flags.RA | dns.flags.RD


@pytest.mark.parametrize("ttl", [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_ttl_with_its_highest_bit_set_is_long_like_any_other(ttl: int) -> None:
    # RFC 8767 4, which changes RFC 2181 8.
    own = rig()
    line = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, ttl, 4) + b"\xc0\0\2\1"
    query = question("www.ok.example", edns=False)
    answer = own.exchange(query, lambda q: q[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, 1, 0, 0) + q[12:-11] + line)
    assert records(read(answer)) == ["www.ok.example. 86400 IN A 192.0.2.1"]
    assert own.ask(query) == answer


def test_ttls_are_told_up_to_their_limit() -> None:
    own = rig(ttl_max=100)
    line = "www.ok.example. 3600 IN A 192.0.2.1"
    assert records(read(own.exchange(question("www.ok.example"), lambda q: reply(q, line))))[0].split()[1] == "100"
    own.age(30)
    assert records(read(own.ask(question("www.ok.example"))))[0].split()[1] == "70"

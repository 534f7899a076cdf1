from __future__ import annotations

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lachan.message import (
    CNAME,
    FORMERR,
    NOTIMP,
    NXDOMAIN,
    Edns,
    ExtendedError,
    MessageError,
    Question,
    parse,
    query,
)
from lachan.reply import Reply, address_record, name_record, respond, soa_record, txt_record

ASKED = query("WwW.bad.example", 1, id=99, cd=True, edns=Edns(do=True))


def test_a_response_takes_its_frame_from_the_request() -> None:
    message = parse(respond(ASKED, Reply(rcode=NXDOMAIN, errors=(ExtendedError(16, "by order"),))))
    assert (message.id, message.is_response, message.rd, message.cd, message.ra) == (99, True, True, True, True)
    assert message.question == Question("WwW.bad.example", 1)
    assert message.edns is not None
    assert (message.edns.size, message.edns.do) == (1232, True)
    assert message.errors == (ExtendedError(16, "by order"),)
    assert (message.aa, message.ad, message.rcode) == (False, False, NXDOMAIN)


def test_records_are_what_dnspython_reads() -> None:
    reply = Reply(
        answers=(
            name_record("www.bad.example", CNAME, 10, "host.example"),
            address_record("host.example", 10, "192.0.2.1"),
            address_record("host.example", 10, "2001:db8::1"),
            txt_record("host.example", 10, b"one", b"two"),
        ),
        authority=(soa_record("bad.example", 10, "ns.example", "who.example", (1, 2, 3, 4, 10)),),
    )
    read = dns.message.from_wire(respond(ASKED, reply))
    assert [line for rrset in (*read.answer, *read.authority) for line in rrset.to_text().splitlines()] == [
        "www.bad.example. 10 IN CNAME host.example.",
        "host.example. 10 IN A 192.0.2.1",
        "host.example. 10 IN AAAA 2001:db8::1",
        'host.example. 10 IN TXT "one" "two"',
        "bad.example. 10 IN SOA ns.example. who.example. 1 2 3 4 10",
    ]


def test_no_opt_for_a_request_without() -> None:
    message = parse(respond(query("a.example", 1, id=1, edns=None), Reply(errors=(ExtendedError(16),))))
    assert message.edns is None


def test_what_exceeds_the_limit_is_truncated() -> None:
    reply = Reply(answers=tuple(txt_record("www.bad.example", 1, b"x" * 200) for _ in range(10)))
    wire = respond(ASKED, reply, limit=512)
    message = parse(wire)
    assert len(wire) <= 512
    assert message.tc
    assert message.answers == ()
    assert message.edns is not None


def test_a_broken_request_gets_its_id_opcode_and_question_back() -> None:
    broken = ASKED[:-4] + b"\xff"
    message = parse(respond(broken, Reply(rcode=FORMERR)))
    assert (message.id, message.rcode, message.edns) == (99, FORMERR, None)
    assert message.question == Question("WwW.bad.example", 1)
    bare = parse(respond(bytes.fromhex("abcd 2800 0005 0000 0000 0000"), Reply(rcode=NOTIMP)))
    assert (bare.id, bare.opcode, bare.questions) == (0xABCD, 5, ())


def test_without_a_header_there_is_no_response() -> None:
    with pytest.raises(MessageError):
        respond(b"short", Reply())


@pytest.mark.parametrize(
    "make",
    [
        lambda: address_record("a.example", 1, "no address"),
        lambda: txt_record("a.example", 1, b"x" * 256),
        lambda: txt_record("a.example", 1),
        lambda: soa_record("a.example", 1, "ns.example", "who.example", (1, 2, 3, 4, 1 << 32)),
        lambda: name_record("a.example", CNAME, 1, "b..example"),
    ],
)
def test_what_makes_no_record_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(MessageError):
        make()


@given(st.binary(min_size=12, max_size=80))
def test_any_request_with_a_header_gets_a_response_that_reads(request: bytes) -> None:
    message = parse(respond(request, Reply(rcode=FORMERR)))
    assert message.id == int.from_bytes(request[:2], "big")
    assert message.is_response

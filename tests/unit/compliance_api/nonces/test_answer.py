"""The zone of nonces: what is answered, and what is noted."""

from __future__ import annotations

import pytest

from compliance_api.domain.observations import nonce
from compliance_api.nonces.answer import ANY, BADVERS, FORMERR, NOTIMP, NS, Zone
from lachan import message
from lachan.message import AAAA, NOERROR, NXDOMAIN, REFUSED, SOA, TXT, A, Message

KEY = bytes(range(32))
ZONE = "n.authority.test"
NONCE = nonce.make(KEY, b"0123456789")
ZONED = Zone(ZONE, KEY, "ns.authority.test", "192.0.2.9")


def asked(name: str, qtype: int = A, *, stream: bool = False) -> tuple[Message, str]:
    found = ZONED.answer(message.query(name, qtype, id=9), "198.51.100.7", stream=stream)
    assert found is not None
    return message.parse(found.response), found.noted


@pytest.mark.parametrize(
    ("name", "qtype", "rcode", "records", "noted"),
    [
        (f"{NONCE}.{ZONE}", A, NOERROR, 1, True),
        (f"{NONCE}.{ZONE}", ANY, NOERROR, 1, True),
        (f"{NONCE}.{ZONE}", AAAA, NOERROR, 0, True),
        (f"{NONCE}.{ZONE}", TXT, NOERROR, 1, True),
        (f"line0check.{ZONE}", TXT, NOERROR, 1, False),
        (f"line0check.{ZONE}", A, NOERROR, 0, False),
        (f"{NONCE.upper()}.N.authority.TEST", A, NOERROR, 1, True),
        (f"x.{NONCE}.{ZONE}", A, NXDOMAIN, 0, False),
        (f"{'a' * 24}.{ZONE}", A, NOERROR, 0, False),
        (f"www.{ZONE}", A, NXDOMAIN, 0, False),
        (ZONE, SOA, NOERROR, 1, False),
        (ZONE, NS, NOERROR, 1, False),
        (ZONE, A, NOERROR, 0, False),
        ("authority.test", A, REFUSED, 0, False),
        (f"{NONCE}.other.test", A, REFUSED, 0, False),
    ],
)
def test_each_name_is_answered_and_nonces_alone_are_noted(
    name: str, qtype: int, rcode: int, records: int, noted: bool
) -> None:
    response, seen = asked(name, qtype)
    assert (response.rcode, len(response.answers), response.id) == (rcode, records, 9)
    assert seen == (f"{NONCE}.{ZONE}" if noted else "")
    assert response.aa is (rcode != REFUSED)
    if not records and rcode != REFUSED:
        assert [one.rtype for one in response.authority] == [SOA]
    # The question comes back as it was asked, letter by letter.
    assert response.question is not None
    assert response.question.qname == name


def test_what_is_malformed_foreign_or_an_answer_is_dealt_with() -> None:
    query = bytearray(message.query(f"{NONCE}.{ZONE}", A, id=9))
    assert ZONED.answer(bytes(query[:11]), "198.51.100.7", stream=False) is None
    response = bytes([*query[:2], query[2] | 0x80, *query[3:]])
    assert ZONED.answer(response, "198.51.100.7", stream=False) is None
    for changed, rcode in (
        (bytes([*query[:2], query[2] | 0x28, *query[3:]]), NOTIMP),
        (bytes(query[:20]), FORMERR),
        (bytes(query[:4]) + bytes(8), FORMERR),
    ):
        found = ZONED.answer(changed, "198.51.100.7", stream=True)
        assert found is not None
        assert (found.response[3] & 0xF, found.noted) == (rcode, "")
    # EDNS version 1: the version stands in the OPT record's TTL.
    version = bytearray(query)
    version[-5] = 1
    found = ZONED.answer(bytes(version), "198.51.100.7", stream=True)
    assert found is not None
    assert message.parse(found.response).rcode == BADVERS


def test_a_line_check_learns_who_asked() -> None:
    response, _ = asked(f"line0check.{ZONE}", TXT)
    assert response.answers[0].rdata == b"\x13egress=198.51.100.7"

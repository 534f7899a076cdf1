"""How a question is written for a stream, and what answers it, held against dnspython."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.upstream.question import HEADER_BYTES, aged, answers, written
from tests.support.packets import question, read, reply, soa

QUESTION = question("www.ok.example", edns=False, id=0)
SECTION = QUESTION[HEADER_BYTES:]
LINE = "www.ok.example. 300 IN A 192.0.2.1"


@pytest.mark.parametrize("bits", range(4))
@pytest.mark.parametrize("padded", [False, True])
def test_a_query_says_what_the_clients_did_and_nothing_else(bits: int, padded: bool) -> None:
    message = read(b"\0\1" + written(SECTION, bits, padded=padded))
    cd = dns.flags.CD if bits & 2 else 0
    assert (message.flags, message.edns, message.payload) == (dns.flags.RD | dns.flags.AD | cd, 0, 65535)
    assert message.ednsflags == (dns.flags.DO if bits & 1 else 0)
    assert [option.otype for option in message.options] == ([dns.edns.OptionType.PADDING] if padded else [])
    assert message.question[0].to_text() == "www.ok.example. IN A"


@given(st.integers(1, 63), st.integers(0, 3))
def test_what_is_padded_has_a_length_that_tells_little(length: int, labels: int) -> None:
    section = (bytes([length]) + b"a" * length) * labels + b"\0\0\1\0\1"
    query = b"\0\0" + written(section, 0, padded=True)
    assert len(query) % 128 == 0
    assert len(query) - len(b"\0\0" + written(section, 0, padded=False)) < 132
    [option] = read(query).options
    assert set(option.to_wire()) <= {0}


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        (reply(QUESTION, LINE), True),
        (reply(QUESTION).replace(b"www", b"WwW", 1), True),
        (reply(QUESTION, rcode="SERVFAIL"), True),
        (reply(QUESTION).replace(b"www", b"wwx", 1), None),
        # Types 65 and 97 differ in the bit that tells A from a.
        (reply(QUESTION)[:28] + b"\0\x21\0\1" + reply(QUESTION)[32:], None),
        (QUESTION, None),
        (reply(QUESTION)[:20], None),
        (b"", None),
        (reply(QUESTION)[:2] + b"\xa9\x80" + reply(QUESTION)[4:], None),
        (reply(QUESTION)[:4] + b"\0\2" + reply(QUESTION)[6:], None),
        (b"\0\0\x81\x85" + bytes(8), False),
        (b"\0\0\x81\x83" + bytes(8), None),
    ],
)
def test_what_answers_a_question(message: bytes, verdict: bool | None) -> None:
    assert answers(message, SECTION) is verdict


@given(st.binary(max_size=80))
def test_anything_may_be_held_against_a_question(message: bytes) -> None:
    assert answers(message, SECTION) in (None, False)
    aged(message, 1)


def test_what_was_kept_on_the_way_holds_for_less_long() -> None:
    query = question("www.ok.example", do=True)
    answer = reply(query, LINE, "www.ok.example. 30 IN A 192.0.2.2", authority=[soa("ok.example.", 3600)])
    older = read(aged(answer, 100))
    assert [rrset.ttl for rrset in (*older.answer, *older.authority)] == [200, 0, 3500]
    assert older.edns == 0
    assert aged(answer, 0) == answer
    assert aged(answer[:-1], 100) is None

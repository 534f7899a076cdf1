"""Answers that speak of names nobody asked about, in and out of order, from an upstream that may lie."""

from __future__ import annotations

import itertools

import dns.rcode
import pytest

from lachan.labels import wire_name
from lachan.message import CNAME, A
from tests.support.engine import rig
from tests.support.packets import question, raw, read, record, records, reply

NAME = "www.ok.example"
CHAIN = (
    f"{NAME}. 30 IN CNAME a.cdn.example.",
    "a.cdn.example. 30 IN CNAME b.cdn.example.",
    "b.cdn.example. 30 IN A 192.0.2.1",
    "b.cdn.example. 30 IN RRSIG A 8 3 30 20300101000000 20200101000000 1 cdn.example. AAAA",
)
DNAME = (
    "ok.example. 30 IN DNAME fine.example.",
    "ok.example. 30 IN RRSIG DNAME 8 2 30 20300101000000 20200101000000 1 ok.example. AAAA",
    f"{NAME}. 0 IN CNAME www.fine.example.",
    "www.fine.example. 30 IN A 192.0.2.1",
)


@pytest.mark.parametrize("lines", [*itertools.permutations(CHAIN), *itertools.permutations(DNAME)])
def test_whatever_belongs_to_the_chain_is_told_in_any_order(lines: tuple[str, ...]) -> None:
    own = rig()
    answer = read(own.exchange(question(NAME), lambda query: reply(query, *lines)))
    assert sorted(records(answer)) == sorted(lines)
    assert own.ask(question(NAME)) is not None or lines[0] in DNAME


@pytest.mark.parametrize(
    "stranger",
    [
        "evil.example. 30 IN A 192.0.2.66",
        "ok.example. 30 IN A 192.0.2.66",
        "x.www.ok.example. 30 IN A 192.0.2.66",
        "evil.example. 30 IN DNAME fine.example.",
        "k.example. 30 IN DNAME fine.example.",
        "evil.example. 30 IN CNAME www.ok.example.",
        "evil.example. 30 IN RRSIG A 8 2 30 20300101000000 20200101000000 1 evil.example. AAAA",
    ],
)
@pytest.mark.parametrize("before", [0, 1, 2, 3, 4])
def test_a_name_that_nobody_asked_about_makes_an_answer_worthless(stranger: str, before: int) -> None:
    own = rig()
    lines = [*CHAIN]
    lines.insert(before, stranger)
    answer = read(own.exchange(question(NAME), lambda query: reply(query, *lines)))
    assert (answer.rcode(), answer.answer) == (dns.rcode.SERVFAIL, [])
    assert own.count("upstream_failures")


def test_another_upstream_is_asked_instead() -> None:
    own = rig(upstreams=2)
    assert own.ask(question(NAME)) is None
    token = own.token
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, "evil.example. 30 IN A 192.0.2.66"), source)
    asked, source = own.upstreams[1].receive_while(own.turn)
    own.upstreams[1].send(reply(asked, f"{NAME}. 30 IN A 192.0.2.1"), source)
    assert records(read(own.wait(token))) == [f"{NAME}. 30 IN A 192.0.2.1"]


def test_a_ring_of_aliases_ends() -> None:
    own = rig()
    ring = [f"{NAME}. 30 IN CNAME a.example.", f"a.example. 30 IN CNAME {NAME}."]
    answer = read(own.exchange(question(NAME), lambda query: reply(query, *ring)))
    assert sorted(records(answer)) == sorted(ring)


def test_owners_are_read_without_regard_to_case_and_however_they_are_written() -> None:
    own = rig()
    alias = record(CNAME, wire_name("A.CDN.example"), wire_name(NAME.upper()))
    address = record(A, bytes([192, 0, 2, 1]), wire_name("a.cdn.EXAMPLE"))
    answer = read(own.exchange(question(NAME), lambda query: raw(query, alias, address)))
    assert [rrset.rdtype for rrset in answer.answer] == [CNAME, A]


@pytest.mark.parametrize("owner", [b"\xc0\xff", b"\xc0\x40"])
def test_an_owner_that_cannot_be_read_is_nobodys(owner: bytes) -> None:
    own = rig()
    answer = read(own.exchange(question(NAME), lambda query: raw(query, record(A, bytes(4), owner))))
    assert (answer.rcode(), answer.answer) == (dns.rcode.SERVFAIL, [])

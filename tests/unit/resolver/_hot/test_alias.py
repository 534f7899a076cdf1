"""Names that are made another's alias here, asked of an engine; dnspython reads what comes out."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import pytest

from blocklist_sync.artifact.categories import Category
from lachan.labels import wire_name
from lachan.message import CNAME
from resolver._hot.locals import Locals
from resolver.localtable import LocalTable
from tests.support.blocklist import entry
from tests.support.engine import CLIENT, SCHOOL, TCP, UDP, Rig, policy, rig
from tests.support.packets import denial, error_code, question, raw, read, record, records, reply, soa

SEARCH = "www.search.example"
SAFE = "safe.search.example"
ALIAS = f"{SEARCH}. 60 IN CNAME {SAFE}."
AT_SCHOOL = (1,)


def table(target: str = SAFE) -> Locals:
    """At school, the search engine is its safe self."""
    made = LocalTable(2)
    made.alias(SEARCH, target, 60, profiles=AT_SCHOOL)
    return made.compile()


def school(*entries: object, **settings: object) -> Rig:
    return rig(policy(*entries), here=table(), **settings)  # type: ignore[arg-type] # as `rig` takes them


def asked(own: Rig, query: bytes, *lines: str, **said: object) -> bytes:
    """What a school's client gets, where the upstream answers the target with these lines."""
    return own.exchange(query, lambda wire: reply(wire, *lines, **said), client=SCHOOL)  # type: ignore[arg-type] # as `reply` takes them


def test_the_target_is_asked_and_told_behind_the_alias() -> None:
    own = school()
    seen = []

    def respond(wire: bytes) -> bytes:
        seen.append(dns.message.from_wire(wire).question[0].to_text())
        return reply(wire, f"{SAFE}. 30 IN A 192.0.2.1", f"{SAFE}. 30 IN A 192.0.2.2", said="QR RD RA AD")

    answer = read(own.exchange(question("WWW.Search.example", id=77, ad=True), respond, client=SCHOOL))
    assert seen == [f"{SAFE}. IN A"]
    assert answer.id == 77
    assert answer.question[0].to_text() == "WWW.Search.example. IN A"
    alias, *addresses = records(answer)
    assert alias == f"WWW.Search.example. 60 IN CNAME {SAFE}."
    assert sorted(addresses) == [f"{SAFE}. 30 IN A 192.0.2.1", f"{SAFE}. 30 IN A 192.0.2.2"]
    # Nobody signed the alias.
    assert not answer.flags & dns.flags.AD


def test_it_is_told_out_of_the_cache_and_never_kept_under_the_aliased_name() -> None:
    own = school()
    asked(own, question(SEARCH), f"{SAFE}. 30 IN A 192.0.2.1")
    for transport in (TCP, 3, 4):
        answer = own.ask(question(SEARCH), client=SCHOOL, transport=transport)
        assert records(read(answer)) == [ALIAS, f"{SAFE}. 30 IN A 192.0.2.1"]
    assert records(read(own.ask(question(SAFE), client=SCHOOL))) == [f"{SAFE}. 30 IN A 192.0.2.1"]
    # Elsewhere the name is what it is.
    own.ask(question(SEARCH), client=CLIENT)
    assert dns.message.from_wire(own.upstreams[0].receive()[0]).question[0].name.to_text() == f"{SEARCH}."


def test_those_who_ask_for_alias_and_target_at_once_share_one_question() -> None:
    own = school()
    tokens = {}
    for name in (SEARCH, SAFE, SEARCH.upper()):
        assert own.ask(question(name), client=SCHOOL) is None
        tokens[name] = own.token
    wire, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(wire, f"{SAFE}. 30 IN A 192.0.2.1"), source)
    told = {name: records(read(own.wait(token))) for name, token in tokens.items()}
    assert told[SAFE] == [f"{SAFE}. 30 IN A 192.0.2.1"]
    assert told[SEARCH] == [ALIAS, f"{SAFE}. 30 IN A 192.0.2.1"]
    assert told[SEARCH.upper()][0] == f"{SEARCH.upper()}. 60 IN CNAME {SAFE}."
    assert own.upstreams[0].waiting() == []


@pytest.mark.parametrize("rdtype", ["AAAA", "HTTPS", "MX", "TXT"])
def test_every_type_follows_the_alias(rdtype: str) -> None:
    answer = read(asked(school(), question(SEARCH, rdtype), authority=[soa("search.example.")]))
    assert records(answer) == [ALIAS]
    assert denial(answer)[:2] == ("NOERROR", "search.example.")


@pytest.mark.parametrize(("rdtype", "rd"), [("CNAME", True), ("ANY", True), ("A", False)])
def test_the_alias_alone_is_told_to_who_asks_for_no_more(rdtype: str, rd: bool) -> None:
    own = school()
    answer = read(own.ask(question(SEARCH, rdtype, rd=rd), client=SCHOOL))
    assert (records(answer), answer.rcode()) == ([ALIAS], dns.rcode.NOERROR)
    assert own.upstreams[0].waiting() == []


def test_names_that_were_compressed_are_told_in_full() -> None:
    lines = (
        f"{SAFE}. 30 IN CNAME a.b.search.example.",
        "a.b.search.example. 30 IN MX 10 mx.search.example.",
        "a.b.search.example. 30 IN SRV 1 2 3 srv.search.example.",
        "a.b.search.example. 30 IN NS ns.search.example.",
        "a.b.search.example. 30 IN RP a.search.example. b.search.example.",
        "a.b.search.example. 30 IN AFSDB 1 afs.search.example.",
        "a.b.search.example. 30 IN RT 1 rt.search.example.",
        'a.b.search.example. 30 IN TXT "some text"',
    )
    authority = [soa("search.example.")]
    additional = ["mx.search.example. 5 IN A 192.0.2.9"]
    answer = read(
        asked(
            school(),
            question(SEARCH, "MX"),
            *lines,
            authority=authority,
            additional=["mx.search.example. 5 IN A 192.0.2.9"],
        )
    )
    assert sorted(records(answer)) == sorted([ALIAS, *lines])
    assert [rrset.to_text() for rrset in answer.additional] == additional
    assert denial(answer)[1] == "search.example."


def test_a_target_that_does_not_exist_says_so_behind_the_alias() -> None:
    answer = read(asked(school(), question(SEARCH), authority=[soa("search.example.")], rcode="NXDOMAIN"))
    assert records(answer) == [ALIAS]
    assert denial(answer)[:2] == ("NXDOMAIN", "search.example.")


def test_a_listed_target_is_blocked_behind_the_alias() -> None:
    own = school(entry("search.example", Category.GAMBLING), entry(SEARCH, Category.GAMBLING, exception=True))
    answer = read(own.ask(question(SEARCH), client=SCHOOL))
    assert records(answer) == [ALIAS]
    assert answer.rcode() in (dns.rcode.NXDOMAIN, dns.rcode.NOERROR)
    assert error_code(answer) == 16
    assert own.upstreams[0].waiting() == []


def test_a_listed_name_stays_blocked_whatever_it_is_an_alias_of() -> None:
    own = school(entry(SEARCH, Category.GAMBLING))
    answer = read(own.ask(question(SEARCH), client=SCHOOL))
    assert (answer.rcode(), answer.answer, error_code(answer)) == (dns.rcode.NXDOMAIN, [], 16)


def test_where_the_target_leads_to_a_listed_name_the_answer_ends_there() -> None:
    own = school(entry("bad.example", Category.GAMBLING))
    answer = read(
        asked(own, question(SEARCH), f"{SAFE}. 30 IN CNAME x.bad.example.", "x.bad.example. 30 IN A 192.0.2.6")
    )
    assert records(answer) == [ALIAS, f"{SAFE}. 30 IN CNAME x.bad.example."]
    assert (answer.rcode(), error_code(answer)) == (dns.rcode.NXDOMAIN, 16)


def test_an_upstream_that_fails_fails_behind_the_alias() -> None:
    answer = read(asked(school(), question(SEARCH), rcode="SERVFAIL"))
    assert (records(answer), answer.rcode()) == ([ALIAS], dns.rcode.SERVFAIL)
    lonely = school(upstreams=0)
    answer = read(lonely.ask(question(SEARCH), client=SCHOOL))
    assert (records(answer), answer.rcode(), error_code(answer)) == ([ALIAS], dns.rcode.SERVFAIL, 22)


def test_what_does_not_fit_is_truncated() -> None:
    own = school()
    lines = [f"{SAFE}. 30 IN A 192.0.2.{host}" for host in range(1, 100)]
    whole = asked(own, question(SEARCH), *lines)
    assert len(records(read(whole))) == 100
    # Over a stream all of it fits; by UDP the client is told to come back.
    for size in (512, 1232):
        cut = read(own.ask(question(SEARCH, size=size), client=SCHOOL, transport=UDP))
        assert cut.flags & dns.flags.TC
        assert cut.answer == []


@pytest.mark.parametrize(
    "rdata",
    [
        record(CNAME, b"\x03abc"),
        record(CNAME, b"\xc0\xff"),
        record(15, b"\0"),
        record(6, b"\0"),
    ],
)
def test_what_cannot_be_read_is_not_told(rdata: bytes) -> None:
    own = school()
    answer = read(own.exchange(question(SEARCH), lambda wire: raw(wire, rdata), client=SCHOOL))
    assert answer.rcode() == dns.rcode.SERVFAIL


def test_a_name_of_full_length_has_room() -> None:
    long = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert len(wire_name(long)) == 255
    made = LocalTable(2)
    made.alias(long, "c" + long[1:], 60, profiles=AT_SCHOOL)
    own = rig(policy(), here=made.compile())
    target = "c" + long[1:]
    answer = own.exchange(question(long), lambda wire: reply(wire, f"{target}. 30 IN A 192.0.2.1"), client=SCHOOL)
    assert records(read(answer)) == [f"{long}. 60 IN CNAME {target}.", f"{target}. 30 IN A 192.0.2.1"]

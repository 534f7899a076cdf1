"""Rates, cookies and shares as clients meet them."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.rcode

from resolver._hot.cookies import Cookies
from tests.support.blocklist import entry
from tests.support.engine import CLIENT, SCHOOL, UDP, open_guard, policy, rig
from tests.support.packets import error_code, question, read, reply

COOKIE = 10
NAME = "www.ok.example"
SECRET = bytes(range(16))


def with_cookie(name: str, cookie: bytes) -> bytes:
    query = dns.message.make_query(name, "A", use_edns=0, id=7)
    query.use_edns(0, options=[dns.edns.GenericOption(COOKIE, cookie)])
    return query.to_wire()


def cookie_of(answer: bytes | None) -> bytes:
    found = [option for option in read(answer).options if option.otype == COOKIE]
    assert len(found) == 1
    return found[0].to_wire() or b""


def test_a_client_beyond_its_rate_is_dropped_and_sometimes_told_to_come_by_tcp() -> None:
    own = rig(policy(), guard=open_guard(per_second=1, burst=3, slip=2), upstreams=1)
    own.exchange(question(NAME), lambda asked: reply(asked, f"{NAME}. 300 IN A 192.0.2.1"))
    answers = [own.ask(question(NAME), transport=UDP) for _ in range(12)]
    passed = [answer for answer in answers if answer and not read(answer).flags & dns.flags.TC]
    slipped = [answer for answer in answers if answer and read(answer).flags & dns.flags.TC]
    assert 3 <= len(passed) <= 4
    assert slipped
    assert not any(read(answer).answer for answer in slipped)
    assert b"" in answers
    assert own.count("drop", 3) == len(answers) - len(passed)
    # A stream shook hands, and another client is another client.
    assert read(own.ask(question(NAME))).answer
    assert read(own.ask(question(NAME), transport=UDP, client=SCHOOL)).answer


def test_malformed_queries_count_as_well() -> None:
    own = rig(policy(), guard=open_guard(per_second=1, burst=3, slip=1))
    answers = [own.ask(question(NAME)[:-1], transport=UDP) for _ in range(8)]
    assert [len(answer or b"") for answer in answers[:3]] == [12, 12, 12]
    # Nothing to slip: there is no question that could come again.
    assert answers[-1] == b""


def test_a_proven_source_has_no_rate() -> None:
    own = rig(policy(), guard=open_guard(cookies=Cookies((SECRET,)), per_second=1, burst=2), upstreams=1)
    first = own.exchange(with_cookie(NAME, b"8 bytes!"), lambda asked: reply(asked, f"{NAME}. 300 IN A 192.0.2.1"))
    cookie = cookie_of(first)
    assert (cookie[:8], len(cookie)) == (b"8 bytes!", 24)
    for _ in range(10):
        answer = own.ask(with_cookie(NAME, cookie), transport=UDP)
        assert read(answer).answer
        assert cookie_of(answer) == cookie
    # The same cookie from elsewhere proves nothing, and is answered with one of its own.
    other = own.ask(with_cookie(NAME, cookie), transport=UDP, client=SCHOOL)
    assert cookie_of(other) != cookie


def test_a_listed_name_is_answered_with_a_cookie_too() -> None:
    own = rig(policy(entry("bad.example")), guard=open_guard(cookies=Cookies((SECRET,))))
    answer = own.ask(with_cookie("bad.example", b"8 bytes!"), transport=UDP)
    assert (read(answer).rcode(), error_code(read(answer)), len(cookie_of(answer))) == (dns.rcode.NXDOMAIN, 16, 24)


def test_a_query_for_a_cookie_alone_brings_one() -> None:
    own = rig(policy(), guard=open_guard(cookies=Cookies((SECRET,))))
    bare = bytes.fromhex("000701000000000000000001") + b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08" + b"8 bytes!"
    answer = own.ask(bare, transport=UDP)
    assert answer is not None
    assert (answer[:2], answer[3] & 15, len(answer)) == (b"\0\7", dns.rcode.NOERROR, 12 + 11 + 28)
    assert answer[-24:-16] == b"8 bytes!"


def test_an_answer_with_a_cookie_fits_what_the_client_takes() -> None:
    own = rig(policy(), guard=open_guard(cookies=Cookies((SECRET,))), upstreams=1)
    lines = [f"{NAME}. 300 IN TXT {'x' * 100}{number}" for number in range(4)]
    query = dns.message.make_query(NAME, "TXT", use_edns=0, payload=512, id=7)
    plain = query.to_wire()
    query.use_edns(0, payload=512, options=[dns.edns.GenericOption(COOKIE, b"8 bytes!")])
    own.exchange(plain, lambda asked: reply(asked, *lines[:4]))
    for wire in (plain, query.to_wire()):
        answer = own.ask(wire, transport=UDP)
        assert answer is not None
        assert len(answer) <= 512
    assert len(cookie_of(answer)) == 24


def test_random_names_below_one_domain_have_their_share_and_no_more() -> None:
    own = rig(policy(), guard=open_guard(misses=(100, 5)), upstreams=1)
    for number in range(5):
        assert own.ask(question(f"r{number}.victim.example")) is None
    assert own.ask(question("r5.victim.example"), transport=UDP) == b""
    assert read(own.ask(question("r5.victim.example")) or b"").rcode() == dns.rcode.SERVFAIL
    # Others' names, and one's own that is on its way already, are not held up.
    assert own.ask(question("www.other.example")) is None
    assert own.ask(question("r0.victim.example")) is None
    asked = own.upstreams[0].waiting()
    own.upstreams[0].send(reply(asked[0][0], rcode="NXDOMAIN"), asked[0][1])
    own.until(lambda: own.forwarder.outstanding == 5)
    assert own.ask(question("r5.victim.example")) is None


def test_a_client_has_its_share_and_no_more() -> None:
    own = rig(policy(), guard=open_guard(misses=(4, 100)), upstreams=1)
    for number in range(4):
        assert own.ask(question(f"n{number}.a{number}.example"), client=CLIENT) is None
    assert own.ask(question("n.more.example"), client=CLIENT, transport=UDP) == b""
    assert own.ask(question("n.more.example"), client=SCHOOL) is None

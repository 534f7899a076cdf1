"""The order in which a query is settled, the same on every transport, and the bounds of what Python may say."""

from __future__ import annotations

import itertools

import dns.rcode
import pytest

from blocklist_sync.artifact.categories import Action, Category
from resolver._hot.counters import LAYOUT
from resolver._hot.engine import STREAM_DONE, STREAM_FULL, STREAM_NOISE
from resolver.localtable import LocalTable
from tests.support.blocklist import OFFER, entry
from tests.support.engine import CLIENT, SCHOOL, STRANGER, TCP, UDP, Rig, mapped, policy, rig
from tests.support.framing import framed
from tests.support.packets import error_code, header_flags, question, read, records, reply

TRANSPORTS = range(1, 6)
OVERLOAD = 4
LINE = "www.ok.example. 300 IN A 192.0.2.1"


@pytest.fixture
def own() -> Rig:
    return rig(policy(entry("bad.example"), entry("offered.example", order=OFFER)), upstreams=1)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_verdict_is_the_same_on_every_transport(own: Rig, transport: int) -> None:
    queries = [
        question("www.bad.example"),
        question("www.bad.example", "TXT", do=True, cd=True),
        question("www.ok.example", "ANY"),
        question("www.ok.example", rdclass="CH"),
        question("www.ok.example", rd=False),
        question("www.bad.example")[:-1],
        bytes([0, 1, 0x29, 0]) + bytes(8),
    ]
    assert [own.ask(query, transport=transport) for query in queries] == [own.ask(query) for query in queries]


def test_policy_stands_before_everything_that_could_answer(own: Rig) -> None:
    # Cache, ANY, RD=0 and the questions on their way all know an answer; the list speaks first.
    for rules in (policy(), policy(entry("ok.example"), epoch=2)):
        own.engine.use(rules)
        if rules.epoch == 1:
            own.exchange(question("www.ok.example"), lambda asked: reply(asked, LINE))
            assert own.ask(question("b.ok.example")) is None
    for name in ("www.ok.example", "b.ok.example"):
        for query in (question(name), question(name, rd=False), question(name, "ANY"), question(name, "AXFR")):
            assert read(own.ask(query)).rcode() == dns.rcode.NXDOMAIN


def test_refusals_stand_in_their_order(own: Rig) -> None:
    # A stranger is told nothing of the rest; what cannot be read is told so before what it says matters.
    assert read(own.ask(question("bad.example"), client=STRANGER)).rcode() == dns.rcode.REFUSED
    assert error_code(read(own.ask(question("ok.example", rd=False)))) == 18
    assert read(own.ask(question("ok.example", "ANY", rd=False))).rcode() == dns.rcode.REFUSED
    assert read(own.ask(question("bad.example", rdclass="CH"))).rcode() == dns.rcode.REFUSED
    assert own.blocked(Category.GAMBLING, Action.NXDOMAIN) == 0


def test_everything_is_counted_where_it_belongs(own: Rig) -> None:
    own.exchange(question("www.ok.example"), lambda asked: reply(asked, LINE))
    for transport in (UDP, TCP, 3):
        own.ask(question("www.ok.example"), transport=transport)
        own.ask(question("www.offered.example"), transport=transport, client=SCHOOL)
        own.ask(question("www.bad.example"), transport=transport)
        own.ask(question("www.ok.example", rd=False), transport=transport)
    assert {t: own.queries(t) for t in (UDP, TCP, 3)} == {UDP: 1, TCP: 2, 3: 1}
    for transport in (UDP, TCP, 3):
        assert own.queries(transport, profile=1, rcode=3) == own.queries(transport, profile=0, rcode=3) == 1
        assert own.queries(transport, rcode=5) == 1
    assert own.blocked(Category.GAMBLING, Action.NXDOMAIN) == 6
    queries = range(LAYOUT["queries"], LAYOUT["row_cells"])
    assert sum(own.cell(number) for number in queries) == 13


def test_a_judged_answer_is_cut_like_any_other(own: Rig) -> None:
    own.engine.use(policy(entry("bad.example"), epoch=5))
    names = ["www.ok.example.", *(f"{letter * 60}.test." for letter in "abcdefgh"), "x.bad.example."]
    lines = [f"{name} 300 IN CNAME {target}" for name, target in itertools.pairwise(names)]
    own.exchange(
        question("www.ok.example", edns=False), lambda asked: reply(asked, *lines, names[-1] + " 5 IN A 192.0.2.1")
    )
    cut = own.ask(question("www.ok.example", edns=False), transport=UDP)
    assert cut is not None
    assert (len(cut), cut[2] & 2, cut[6:8]) == (32, 2, b"\0\0")
    whole = read(own.ask(question("www.ok.example", edns=False)))
    assert (whole.rcode(), len(whole.answer)) == (dns.rcode.NXDOMAIN, len(lines))
    assert len(read(own.ask(question("www.ok.example"), transport=UDP)).answer) == len(lines)


def test_an_answer_is_as_long_as_a_message_may_be(own: Rig) -> None:
    lines = [f'www.ok.example. 300 IN TXT "{"a" * 250}"'] * 245
    query = question("www.ok.example", "TXT")
    assert own.ask(query) is None
    token = own.token
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, said="QR RD RA TC"), source)
    own.turn()
    [(ticket, _, _, _)] = own.engine.collect_streamed()
    response = reply(asked, *lines, edns=False)
    assert 64000 < len(response) < 65536 - 11
    own.engine.deliver(ticket, response)
    answer = own.wait(token)
    assert len(answer) == len(response) + 11
    assert len(read(answer).answer) == 245


def test_a_response_of_the_largest_size_is_not_cut_over_streams(own: Rig) -> None:
    # With the client's own OPT behind it the answer would be beyond 65,535 octets: it is truncated then.
    query = question("www.ok.example", "TYPE65280")
    assert own.ask(query) is None
    token = own.token
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, said="QR RD RA TC"), source)
    own.turn()
    [(ticket, _, _, _)] = own.engine.collect_streamed()
    head = asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + asked[12:-11]
    room = 65535 - len(head) - 12
    own.engine.deliver(ticket, head + b"\xc0\x0c\xff\0\0\1\0\0\0\5" + room.to_bytes(2, "big") + bytes(room))
    answer = own.wait(token)
    assert answer[2] & 2
    assert answer[6:8] == b"\0\0"


def test_an_address_has_sixteen_bytes(own: Rig) -> None:
    for address in (b"", CLIENT[:15], CLIENT + b"\0", b"\x7f\0\0\1"):
        with pytest.raises(ValueError, match="16 bytes"):
            own.engine.answer(question("ok.example"), address, TCP, 1)


def test_messages_that_come_together_are_told_what_each_is_told_alone(own: Rig) -> None:
    own.exchange(question("www.ok.example"), lambda asked: reply(asked, LINE))
    queries = [
        question("www.bad.example", id=1),
        question("www.ok.example", id=2),
        question("www.offered.example", rd=False, id=3),
        question("www.bad.example", id=4)[:-1],
        question("www.ok.example", "ANY", id=5),
        question("www.ok.example", rdclass="CH", id=6),
        *(question(f"n{number}.bad.example", "TXT", do=True, id=number) for number in range(200)),
    ]
    for transport in (TCP, 3):
        alone = [own.ask(query, transport=transport) for query in queries]
        data = framed(*queries)
        assert own.ask_framed(data, transport=transport) == (len(data), alone, 0, STREAM_DONE)
        # From the middle of what was kept, and up to where a message is not whole.
        kept = bytearray(b"gone" + data[:-1])
        end = len(kept) - len(framed(queries[-1])) + 1
        assert own.ask_framed(kept, 4, transport=transport) == (end, alone[:-1], 0, STREAM_DONE)
    assert own.ask_framed(b"") == own.ask_framed(b"\0") == (0, [], 0, STREAM_DONE)


def test_so_many_wait_and_those_behind_them_are_left(own: Rig) -> None:
    names = ["a.ok.example", "bad.example", "b.ok.example", "bad.example", "c.ok.example", "bad.example"]
    queries = [question(name, id=number) for number, name in enumerate(names)]
    data = framed(*queries)
    after, answers, waiting, outcome = own.ask_framed(data, most=2)
    assert (after, [answer[1] for answer in answers], waiting, outcome) == (
        len(framed(*queries[:3])),
        [1],
        2,
        STREAM_DONE,
    )
    assert own.ask_framed(data, after, most=0) == (after, [], 0, STREAM_DONE)
    assert own.ask_framed(data, after, most=1)[0] == len(framed(*queries[:5]))
    # Each under the number of its turn.
    for token, name in enumerate(names[::2], own.token - 2):
        asked, source = own.upstreams[0].receive()
        own.upstreams[0].send(reply(asked, f"{name}. 300 IN A 192.0.2.1"), source)
        answer = read(own.wait(token))
        assert (answer.id, len(answer.answer)) == (names.index(name), 1)


def test_no_more_is_written_than_there_is_room_for(own: Rig) -> None:
    lines = [f'www.ok.example. 300 IN TXT "{"a" * 250}"'] * 14
    query = question("www.ok.example", "TXT")
    own.exchange(query, lambda asked: reply(asked, *lines))
    alone = own.ask(query)
    assert alone is not None
    data = framed(query) * 50
    at, told, calls = 0, 0, 0
    outcome = STREAM_FULL
    while outcome == STREAM_FULL:
        at, answers, _, outcome = own.ask_framed(data, at)
        assert set(answers) <= {alone}
        assert sum(map(len, answers)) < 65536 + len(alone)
        told, calls = told + len(answers), calls + 1
    assert (at, told, outcome) == (len(data), 50, STREAM_DONE)
    assert calls == -(-50 * (len(alone) + 2) // 65536)


@pytest.mark.parametrize("noise", [b"", b"short", b"\0\1\x81" + bytes(20)])
def test_nothing_is_taken_behind_what_is_no_query(own: Rig, noise: bytes) -> None:
    before, behind = framed(question("bad.example", id=1)), framed(question("bad.example", id=2))
    data = before + framed(noise) + behind
    after, answers, waiting, outcome = own.ask_framed(data)
    assert (after, len(answers), waiting, outcome) == (len(data) - len(behind), 1, 0, STREAM_NOISE)


def test_a_stream_is_somebodys_by_a_transport_that_is_counted(own: Rig) -> None:
    for address, transport, profile in ((CLIENT[:15], TCP, -1), (CLIENT, 6, -1), (CLIENT, TCP, 2)):
        with pytest.raises(ValueError, match=r"16 bytes|transport|profile"):
            own.engine.answer_framed(b"", 0, address, transport, 1, profile, 1)


@pytest.mark.parametrize("transport", [6, 7, 255, 2**31, 2**32 - 1])
def test_a_transport_that_is_not_counted_is_refused(own: Rig, transport: int) -> None:
    # It would be counted beyond the ring.
    with pytest.raises(ValueError, match="transport"):
        own.engine.answer(question("bad.example"), CLIENT, transport, 1)


def test_a_message_beyond_the_limit_gets_silence(own: Rig) -> None:
    assert own.ask(question("bad.example") + bytes(65536)) == b""
    assert own.ask(bytes(1 << 20)) == b""


def test_fewer_profiles_than_before_leave_those_who_wait_with_what_is_mandated(own: Rig) -> None:
    many = [(f"p{number}", [int(Category.SCAM)], False) for number in range(8)]
    everywhere = [("0.0.0.0/0", 7)]
    own.engine.use(policy(epoch=2, profiles=many, networks=everywhere))
    assert own.ask(question("www.ok.example"), client=mapped("192.0.2.1")) is None
    token = own.token
    own.engine.use(policy(entry("bad.example"), epoch=3, profiles=many[:1], networks=[("0.0.0.0/0", 0)]))
    asked, source = own.upstreams[0].receive()
    lines = ("www.ok.example. 300 IN CNAME x.bad.example.", "x.bad.example. 5 IN A 192.0.2.66")
    own.upstreams[0].send(reply(asked, *lines), source)
    assert records(read(own.wait(token))) == [lines[0]]


def test_a_worker_answers_without_having_been_asked_anything() -> None:
    own = rig(upstreams=0)
    own.engine.hear()
    own.engine.tick()
    assert (own.engine.collect(), own.engine.collect_streamed(), own.engine.outstanding) == ([], [], 0)
    assert header_flags(read(own.ask(question("ok.example")))) == 0x8180


NONCE = "4f9a1c2e7b.whoami.dns.operator.example"


def told_by_python() -> Rig:
    """An engine that leaves questions for a nonce to Python."""
    made = LocalTable(2)
    made.zone("whoami.dns.operator.example", 60, "ask")
    return rig(policy(), here=made.compile())


@pytest.mark.parametrize("transport", [UDP, TCP, 3, 4])
def test_what_python_answers_reaches_who_asked(transport: int) -> None:
    own = told_by_python()
    query = question(NONCE, "TXT", id=77)
    assert own.ask(query, transport=transport) is None
    [(ticket, handed)] = own.engine.collect_asked()
    assert handed == query
    assert own.engine.collect_asked() == []
    if transport != UDP:
        own.engine.reply(ticket, query, reply(query, f'{NONCE}. 0 IN TXT "a"', said="QR AA RD RA"))
        answer = read(own.wait(own.token))
        assert (answer.id, records(answer)) == (77, [f'{NONCE}. 0 IN TXT "a"'])
        assert own.queries(transport) == 1
        # A ticket is told once.
        own.engine.reply(ticket, query, reply(query))
        own.turn(0)
        assert own.told == {}


def test_what_python_cannot_answer_is_a_failure() -> None:
    own = told_by_python()
    for said in (None, b"", b"short"):
        query = question(NONCE, "TXT")
        own.ask(query)
        [(ticket, _)] = own.engine.collect_asked()
        own.engine.reply(ticket, query, said)
        assert read(own.wait(own.token)).rcode() == dns.rcode.SERVFAIL


def test_so_many_wait_for_python_and_no_more() -> None:
    own = told_by_python()
    answers = [own.ask(question(NONCE, "TXT", id=number)) for number in range(70)]
    assert answers == [None] * 64 + [b""] * 6
    assert own.count("drop", OVERLOAD) == 6
    asked = own.engine.collect_asked()
    assert len(asked) == 64
    for ticket, query in asked:
        own.engine.reply(ticket, query, None)
    assert own.ask(question(NONCE, "TXT")) is None
    # Tickets of long ago, and of nobody.
    for ticket in (asked[0][0], 64, 2**32 + 70, 2**63):
        own.engine.reply(ticket, asked[0][1], None)
    own.turn(0)
    assert len(own.told) == 64

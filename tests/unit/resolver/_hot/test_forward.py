"""Questions on their way: how they leave, what may answer them, who waits, when they are tried again and given up."""

from __future__ import annotations

import itertools
import os
import select
import socket
import time
from collections import Counter
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest

from resolver._hot.forward import Forwarder
from tests.support.engine import TCP, UDP, Rig, Upstream, rig
from tests.support.packets import error_code, question, read, records, reply

NAME = "www.ok.example"
LINE = f"{NAME}. 300 IN A 192.0.2.1"
TRIES = 3


def begin(own: Rig, query: bytes = question(NAME)) -> int:
    """Asks what has to be forwarded; the token of who waits."""
    assert own.ask(query) is None
    return own.token


def names(count: int, first: int = 0) -> list[str]:
    return [f"n{number}.ok.example" for number in range(first, first + count)]


def assert_overloaded(own: Rig, query: bytes) -> None:
    """Who comes by a stream is told; by UDP it may be forged, and is not."""
    dropped = own.count("drop", 4)
    answer = own.ask(query)
    assert answer is not None
    assert read(answer).rcode() == dns.rcode.SERVFAIL
    assert own.count("drop", 4) == dropped
    assert own.ask(query, transport=UDP) == b""
    assert own.count("drop", 4) == dropped + 1


# How a question leaves ------------------------------------------------------------------------------------------------


def test_a_question_leaves_as_plainly_as_can_be() -> None:
    own = rig()
    begin(own, question("wWw.Ok.Example", "TXT", do=True, cd=True, ad=False, size=4096, id=7))
    packet, _ = own.upstreams[0].receive()
    message = read(packet)
    assert packet[12:28] == b"\3www\2ok\7example\0"
    assert (message.flags, message.edns, message.payload) == (dns.flags.RD | dns.flags.AD | dns.flags.CD, 0, 1232)
    assert (message.ednsflags, message.options) == (dns.flags.DO, ())
    begin(own, question("www.ok.example", "TXT", edns=False))
    message = read(own.upstreams[0].receive()[0])
    assert (message.flags, message.edns, message.ednsflags) == (dns.flags.RD | dns.flags.AD, 0, 0)


def test_nothing_of_the_client_goes_on() -> None:
    own = rig()
    query = dns.message.make_query(NAME, "A", use_edns=0, options=[dns.edns.ECSOption("198.51.100.0", 24)])
    begin(own, query.to_wire())
    packet, _ = own.upstreams[0].receive()
    assert len(packet) == 12 + 16 + 4 + 11


def test_ids_and_ports_are_drawn_at_random() -> None:
    own = rig(sockets=64)
    for name in names(1000):
        begin(own, question(name, id=0x1234))
    sent = own.upstreams[0].waiting()
    assert len(sent) == 1000
    ports = Counter(source[1] for _, source in sent)
    # 1000 over 64 ports are 15.6 each: none stays unused, none is a favourite (chances below 1 in 10^5).
    assert len(ports) == 64
    assert max(ports.values()) < 45
    ids = [int.from_bytes(packet[:2], "big") for packet, _ in sent]
    assert len(set(ids)) > 970
    for bit in range(16):
        assert 400 < sum(ident >> bit & 1 for ident in ids) < 600
    assert sum(a + 1 == b for a, b in itertools.pairwise(ids)) < 5


def test_no_two_questions_on_their_way_share_socket_and_id() -> None:
    # Drawn without a look, 5000 of 65,536 would meet 190 times.
    own = rig(sockets=1, timeout_ms=60_000)
    for name in names(5000):
        begin(own, question(name))
    sent = own.upstreams[0].waiting()
    assert len({packet[:2] for packet, _ in sent}) == len(sent) == 5000


def test_an_id_whose_question_timed_out_is_not_used_again_for_a_while() -> None:
    own = rig(sockets=1, timeout_ms=10)
    for name in names(1500):
        begin(own, question(name))
    own.until(lambda: own.forwarder.outstanding == 0)
    before = {packet[:2] for packet, _ in own.upstreams[0].waiting()}
    assert len(before) > 4000
    for name in names(1500, 5000):
        begin(own, question(name))
    after = [packet[:2] for packet, _ in own.upstreams[0].waiting()]
    # Drawn without a look, 100 of 1500 would be among them; a few have been forgotten.
    assert len([ident for ident in after[:1500] if ident in before]) < 50


# What may answer it ---------------------------------------------------------------------------------------------------


def test_only_the_right_answer_from_the_right_place_counts() -> None:
    own = rig(sockets=4)
    token = begin(own)
    asked, source = own.upstreams[0].receive()
    [upstream] = own.upstreams
    forged = reply(asked, LINE.replace(".1", ".66"))
    # Every other id, near and far.
    for ident in (1, 2, 255, 256, 0x8000, 0xFFFF):
        upstream.send((int.from_bytes(asked[:2], "big") ^ ident).to_bytes(2, "big") + forged[2:], source)
    # Another question: name, type, class, none, two.
    other = dns.message.from_wire(asked)
    for name, rdtype, rdclass in (
        ("wwx.ok.example", "A", "IN"), (f"a.{NAME}", "A", "IN"), ("ok.example", "A", "IN"), (NAME, "AAAA", "IN"),
        (NAME, "A", "CH"),
    ):  # fmt: skip
        wrong = dns.message.make_query(name, rdtype, rdclass, use_edns=0, id=other.id).to_wire()
        upstream.send(reply(wrong, f"{name}. 300 {rdclass} A 192.0.2.66" if rdclass == "IN" else LINE), source)
    upstream.send(forged[:4] + bytes(8), source)
    upstream.send(forged[:4] + b"\0\2" + forged[6:], source)
    # No answer at all: a query, another opcode, too short, empty.
    upstream.send(asked, source)
    upstream.send(forged[:2] + bytes([forged[2] | 0x20]) + forged[3:], source)
    upstream.send(forged[:11], source)
    upstream.send(b"", source)
    # From its address by another socket of ours; and, by the right socket, from another address.
    for place in {own_address(fd) for fd in ours(own)} - {source}:
        upstream.send(forged, place)
    stranger = Upstream(1)
    stranger.send(forged, source)
    for _ in range(4):
        own.turn(0)
    assert own.told == {}
    upstream.send(reply(asked, LINE), source)
    assert records(read(own.wait(token))) == [LINE]
    assert records(read(own.ask(question(NAME)))) == [LINE]


def ours(own: Rig) -> list[int]:
    """The forwarder's sockets: those of this process that are connected to its upstream."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            with socket.socket(fileno=os.dup(int(entry.name))) as sock:
                if sock.type == socket.SOCK_DGRAM and sock.getpeername() == own.upstreams[0].address:
                    found.append(int(entry.name))
        except OSError:
            continue
    return found


def own_address(fd: int) -> tuple[str, int]:
    with socket.socket(fileno=os.dup(fd)) as sock:
        host, port = sock.getsockname()
        return host, port


def test_the_case_of_the_upstreams_question_is_its_own() -> None:
    own = rig()
    token = begin(own)
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, LINE).replace(b"www", b"WwW", 1), source)
    assert records(read(own.wait(token))) == [LINE]


def test_an_answer_counts_once() -> None:
    own = rig()
    token = begin(own)
    asked, source = own.upstreams[0].receive()
    for last in (1, 66, 67):
        own.upstreams[0].send(reply(asked, LINE.replace(".1", f".{last}")), source)
    assert records(read(own.wait(token))) == [LINE]
    own.turn(0)
    assert own.told == {}
    assert records(read(own.ask(question(NAME)))) == [LINE]


def test_an_answer_to_a_try_that_ended_is_late() -> None:
    own = rig(timeout_ms=30)
    token = begin(own)
    first, source = own.upstreams[0].receive()
    own.until(lambda: select.select([own.upstreams[0].socket], [], [], 0)[0])
    second, again = own.upstreams[0].receive()
    own.upstreams[0].send(reply(first, LINE.replace(".1", ".66")), source)
    own.turn(0)
    assert own.told == {}
    own.upstreams[0].send(reply(second, LINE), again)
    assert records(read(own.wait(token))) == [LINE]


def test_an_unreachable_upstream_is_a_silent_one() -> None:
    own = rig(timeout_ms=20, upstreams=2, sockets=2)
    own.upstreams[0].socket.close()
    for name in names(3):
        token = begin(own, question(name))
        asked, source = own.upstreams[1].receive_while(own.turn)
        own.upstreams[1].send(reply(asked, f"{name}. 300 IN A 192.0.2.1"), source)
        assert read(own.wait(token)).rcode() == dns.rcode.NOERROR


# Who waits ------------------------------------------------------------------------------------------------------------


def test_identical_questions_travel_together_and_are_answered_apart() -> None:
    own = rig()
    queries = [
        question(name, id=number, edns=edns, ad=ad)
        for number, (name, edns, ad) in enumerate(
            (name, edns, ad)
            for name in (NAME, NAME.upper(), "wWw.oK.eXaMpLe")
            for edns in (False, True)
            for ad in (False, True)
        )
    ]
    tokens = [begin(own, query) for query in queries]
    assert own.forwarder.outstanding == own.engine.outstanding == 1
    asked, source = own.upstreams[0].receive()
    assert own.upstreams[0].waiting() == []
    own.upstreams[0].send(reply(asked, LINE, said="QR RD RA AD"), source)
    for token, query in zip(tokens, queries, strict=True):
        answer, wanted = read(own.wait(token)), dns.message.from_wire(query)
        assert answer.id == wanted.id
        assert str(answer.question[0].name) == str(wanted.question[0].name) == str(answer.answer[0].name)
        assert answer.edns == wanted.edns
        assert answer.flags & dns.flags.AD == wanted.flags & dns.flags.AD
    assert own.forwarder.outstanding == 0
    assert own.count("forwarded") == 1


@pytest.mark.parametrize("other", [question(NAME, "AAAA"), question(NAME, do=True), question(NAME, cd=True)])
def test_other_questions_travel_alone(other: bytes) -> None:
    own = rig()
    begin(own)
    begin(own, other)
    assert own.forwarder.outstanding == 2
    assert len(own.upstreams[0].waiting()) == 2


def test_waiters_on_one_question_are_bounded() -> None:
    own = rig()
    tokens = [begin(own, question(NAME, id=number)) for number in range(256)]
    assert_overloaded(own, question(NAME))
    assert own.count("drop", 4) == 1
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, LINE), source)
    own.until(lambda: len(own.told) == 256)
    assert [read(own.told[token]).id for token in tokens] == list(range(256))
    # Room was given back.
    begin(own, question("b.ok.example"))


def test_questions_on_their_way_are_bounded_and_every_one_ends() -> None:
    own = rig(timeout_ms=5, sockets=4)
    tokens = [begin(own, question(name)) for name in names(8192)]
    assert_overloaded(own, question("one.more.example"))
    # To wait for what is on its way is still possible.
    tokens.append(begin(own, question("n17.ok.example")))
    own.until(lambda: own.forwarder.outstanding == 0)
    assert own.told.keys() == set(tokens)
    assert {read(answer).rcode() for answer in own.told.values()} == {dns.rcode.SERVFAIL}
    assert own.count("drop", 4) == 1
    assert own.count("forwarded") == 8192


def test_clients_that_wait_are_bounded() -> None:
    # Building so many queries takes a while, in which no try may run out.
    own = rig(timeout_ms=60_000)
    for name in names(64):
        for number in range(256):
            begin(own, question(name, id=number))
    assert_overloaded(own, question("one.more.example"))
    assert own.forwarder.outstanding == 64
    for asked, source in own.upstreams[0].waiting():
        own.upstreams[0].send(
            reply(asked, str(dns.message.from_wire(asked).question[0].name) + " 5 IN A 192.0.2.1"), source
        )
    own.until(lambda: len(own.told) == 64 * 256)
    begin(own, question("one.more.example"))


# Tries ----------------------------------------------------------------------------------------------------------------


def test_silence_is_answered_by_another_try_and_in_the_end_by_a_failure() -> None:
    own = rig(timeout_ms=20)
    start = time.monotonic()
    token = begin(own)
    answer = read(own.wait(token))
    # 20, 40 and 80 ms, each a tick of the coarse clock more or less.
    assert time.monotonic() - start > 0.1
    assert (answer.rcode(), error_code(answer)) == (dns.rcode.SERVFAIL, 22)
    sent = own.upstreams[0].waiting()
    assert len(sent) == TRIES
    assert len({packet[:2] for packet, _ in sent}) > 1
    assert {packet[2:] for packet, _ in sent} == {sent[0][0][2:]}
    assert own.count("upstream_failures") == 1
    # Who asks in the next seconds is told at once, without another try (RFC 9520).
    assert read(own.ask(question(NAME))).rcode() == dns.rcode.SERVFAIL
    assert own.upstreams[0].waiting() == []
    own.age(5)
    begin(own)


def test_another_upstream_is_asked_when_one_is_silent() -> None:
    own = rig(upstreams=3, timeout_ms=20)
    token = begin(own)
    own.upstreams[0].receive()
    own.upstreams[1].receive_while(own.turn)
    asked, source = own.upstreams[2].receive_while(own.turn)
    own.upstreams[2].send(reply(asked, LINE), source)
    assert records(read(own.wait(token))) == [LINE]
    assert [len(upstream.waiting()) for upstream in own.upstreams] == [0, 0, 0]


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR", "BADVERS"])
def test_another_upstream_is_asked_when_one_fails(rcode: str) -> None:
    own = rig(upstreams=2)
    token = begin(own)
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, rcode=rcode), source)
    asked, source = own.upstreams[1].receive_while(own.turn)
    own.upstreams[1].send(reply(asked, LINE), source)
    assert records(read(own.wait(token))) == [LINE]
    assert own.count("upstream_failures") == 1
    assert own.forwarder.outstanding == 0


@pytest.mark.parametrize(("rcode", "told"), [("SERVFAIL", "SERVFAIL"), ("REFUSED", "REFUSED"), ("BADVERS", "SERVFAIL")])
@pytest.mark.parametrize("upstreams", [1, 2, 3, 4])
def test_what_all_of_them_say_is_the_answer(rcode: str, told: str, upstreams: int) -> None:
    own = rig(upstreams=upstreams)
    token = begin(own)
    for upstream in own.upstreams[:TRIES]:
        asked, source = upstream.receive_while(own.turn)
        upstream.send(reply(asked, rcode=rcode), source)
    assert dns.rcode.to_text(read(own.wait(token)).rcode()) == told
    assert own.forwarder.outstanding == 0
    assert not any(upstream.waiting() for upstream in own.upstreams)


def test_nxdomain_is_an_answer() -> None:
    own = rig(upstreams=2)
    assert (
        read(own.exchange(question(NAME), lambda asked: reply(asked, rcode="NXDOMAIN"))).rcode() == dns.rcode.NXDOMAIN
    )
    assert own.upstreams[1].waiting() == []


def test_without_an_upstream_everything_fails_at_once() -> None:
    own = rig(upstreams=0)
    answer = read(own.ask(question(NAME)))
    assert (answer.rcode(), error_code(answer), own.forwarder.outstanding) == (dns.rcode.SERVFAIL, 22, 0)


def test_an_upstream_that_is_silent_again_and_again_is_passed_over_until_it_answers() -> None:
    own = rig(upstreams=2, timeout_ms=20)
    first, second = own.upstreams
    for name in names(8):
        token = begin(own, question(name))
        asked, source = second.receive_while(own.turn)
        second.send(reply(asked, f"{name}. 300 IN A 192.0.2.1"), source)
        own.wait(token)
    assert len(first.waiting()) == 8
    assert [(one["down"], one["failures"], one["failed"]) for one in own.forwarder.health()] == [
        (True, 8, 8),
        (False, 0, 0),
    ]
    for name in names(5, 8):
        token = begin(own, question(name))
        asked, source = second.receive()
        second.send(reply(asked, f"{name}. 300 IN A 192.0.2.1"), source)
        own.wait(token)
    assert first.waiting() == []
    # With nobody else to ask it is asked all the same; its answer brings it back.
    token = begin(own)
    second.receive()
    asked, source = first.receive_while(own.turn)
    first.send(reply(asked, LINE), source)
    own.wait(token)
    assert not own.forwarder.health()[0]["down"]
    own.exchange(question("b.ok.example"), lambda asked: reply(asked, "b.ok.example. 300 IN A 192.0.2.1"))


def test_upstreams_that_are_all_down_are_asked_nevertheless() -> None:
    own = rig(timeout_ms=5)
    for name in names(3):
        assert read(own.wait(begin(own, question(name)))).rcode() == dns.rcode.SERVFAIL
    assert own.forwarder.health()[0]["down"]
    own.upstreams[0].waiting()
    own.exchange(question(NAME), lambda asked: reply(asked, LINE))
    [health] = own.forwarder.health()
    assert (health["down"], health["failures"], health["answered"], health["outstanding"]) == (False, 0, 1, 0)


# Sockets --------------------------------------------------------------------------------------------------------------


def test_an_idle_socket_is_given_up_for_a_fresh_one() -> None:
    own = rig(sockets=2)
    before = {own_address(fd) for fd in ours(own)}
    assert own.forwarder.replace(0, own.upstreams[0].connect())
    after = {own_address(fd) for fd in ours(own)}
    assert len(before) == len(after) == 2
    assert len(before & after) == 1
    for name in names(20):
        own.exchange(question(name), lambda asked, name=name: reply(asked, f"{name}. 5 IN A 192.0.2.1"))  # type: ignore[misc]


def test_a_socket_that_waits_is_kept() -> None:
    own = rig(sockets=1)
    token = begin(own)
    fresh = own.upstreams[0].connect()
    try:
        assert not own.forwarder.replace(0, fresh)
    finally:
        os.close(fresh)
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, LINE), source)
    own.wait(token)
    assert own.forwarder.replace(0, own.upstreams[0].connect())
    own.exchange(question("b.ok.example"), lambda asked: reply(asked, "b.ok.example. 5 IN A 192.0.2.1"))


def test_sockets_and_upstreams_are_bounded() -> None:
    forwarder = Forwarder(100, 100)
    upstream = Upstream(1)
    with pytest.raises(ValueError, match="4096 sockets"):
        forwarder.add_upstream([0] * 4097)
    for number in range(16):
        assert forwarder.add_upstream(upstream.connected() if number else []) == number
    assert forwarder.upstream_count == 16
    one = upstream.connected()
    with pytest.raises(ValueError, match="16 upstreams"):
        forwarder.add_upstream(one)
    os.close(one[0])
    with pytest.raises(ValueError, match="no upstream 16"):
        forwarder.replace(16, 0)


def test_sockets_are_closed_with_the_forwarder() -> None:
    own = rig(sockets=3)
    assert len(ours(own)) == 3
    upstreams = own.upstreams
    keeper = rig(upstreams=0)
    keeper.upstreams = upstreams
    del own
    assert ours(keeper) == []


def test_a_stream_token_is_whatever_its_caller_likes() -> None:
    own = rig()
    token = (1 << 64) - 1
    assert own.engine.answer(question(NAME), bytes(10) + b"\xff\xff\x7f\0\0\1", TCP, token) is None
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, LINE), source)
    assert records(read(own.wait(token))) == [LINE]

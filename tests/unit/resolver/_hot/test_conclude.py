"""What becomes of answers that came by streams, or did not fit a datagram."""

from __future__ import annotations

import dns.rcode
import pytest

from tests.support.engine import Rig, rig
from tests.support.packets import denial, error_code, error_codes, question, read, records, reply, soa

NAME = "www.ok.example"
LINE = f"{NAME}. 300 IN A 192.0.2.1"


def begin(own: Rig, query: bytes = question(NAME)) -> int:
    """Asks what has to be forwarded; the token of who waits."""
    assert own.ask(query) is None
    return own.token


# Truncation -----------------------------------------------------------------------------------------------------------


def truncate(own: Rig, query: bytes = question(NAME)) -> tuple[int, tuple[int, int, bytes, int]]:
    """Asks, has the upstream truncate; the token of who waits, and what is to be asked over TCP."""
    token = begin(own, query)
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, said="QR RD RA TC"), source)
    truncated: list[tuple[int, int, bytes, int]] = []

    def collected() -> bool:
        truncated.extend(own.engine.collect_streamed())
        return bool(truncated)

    own.until(collected)
    [one] = truncated
    return token, one


@pytest.mark.parametrize(("do", "cd"), [(False, False), (True, False), (False, True), (True, True)])
def test_what_is_truncated_is_asked_again_over_tcp(do: bool, cd: bool) -> None:
    own = rig()
    token, (ticket, upstream, asked, bits) = truncate(own, question("WWW.ok.example", do=do, cd=cd, id=9))
    assert (upstream, bits) == (0, do | 2 * cd)
    assert asked[12:] == b"\3www\2ok\7example\0\0\1\0\1"
    assert own.forwarder.outstanding == 1
    # Who asks meanwhile joins.
    joined = begin(own, question(NAME, do=do, cd=cd))
    lines = [f"{NAME}. 300 IN A 192.0.2.{number}" for number in range(100)]
    own.engine.deliver(ticket, reply(asked[:4] + b"\0\1\0\0\0\0\0\0" + asked[12:], *lines))
    answer = read(own.wait(token))
    assert (len(answer.answer), answer.id, str(answer.question[0].name)) == (100, 9, "WWW.ok.example.")
    assert len(read(own.wait(joined)).answer) == 100
    assert own.forwarder.outstanding == 0
    assert len(read(own.ask(question(NAME, do=do, cd=cd))).answer) == 100
    assert own.upstreams[0].waiting() == []


def test_an_answer_by_datagram_is_late_once_it_was_truncated() -> None:
    own = rig()
    token = begin(own)
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, said="QR RD RA TC"), source)
    own.upstreams[0].send(reply(asked, LINE), source)
    own.turn()
    own.turn(0)
    assert own.told == {}
    [(ticket, _, _, _)] = own.engine.collect_streamed()
    own.engine.deliver(ticket, reply(asked, LINE.replace(".1", ".2")))
    assert records(read(own.wait(token))) == [LINE.replace(".1", ".2")]


@pytest.mark.parametrize(
    "response", [None, b"", b"\0" * 11, bytes(40), b"\xff" * 65535], ids=["none", "empty", "short", "zeros", "ones"]
)
def test_no_answer_over_tcp_is_a_failure(response: bytes | None) -> None:
    own = rig()
    token, (ticket, *_) = truncate(own)
    own.engine.deliver(ticket, response)
    answer = read(own.wait(token))
    assert (answer.rcode(), error_code(answer)) == (dns.rcode.SERVFAIL, 22)
    assert own.forwarder.outstanding == 0


def test_a_ticket_counts_once_and_for_its_question_alone() -> None:
    own = rig(stream_ms=20)
    token, (ticket, *_) = truncate(own)
    answer = read(own.wait(token))
    assert (answer.rcode(), error_code(answer)) == (dns.rcode.SERVFAIL, 22)
    # Late, of a question that was never asked, of no place in the table, of one that waits for a datagram.
    own.age(5)
    waiting = begin(own)
    for late in (ticket, ticket + (1 << 32), ticket + (2 << 32), 8192, (1 << 64) - 1, 0, 1 << 32):
        own.engine.deliver(late, reply(question(NAME), LINE.replace(".1", ".66")))
    assert own.told == {}
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, LINE), source)
    assert records(read(own.wait(waiting))) == [LINE]


def over_tcp(asked: bytes) -> bytes:
    """A question as it was handed out, as one that can be answered."""
    return asked[:4] + b"\0\1\0\0\0\0\0\0" + asked[12:]


def handed_out(own: Rig) -> list[tuple[int, int, bytes, int]]:
    """What is to be asked over streams, once something is."""
    found: list[tuple[int, int, bytes, int]] = []

    def collected() -> bool:
        found.extend(own.engine.collect_streamed())
        return bool(found)

    own.until(collected)
    return found


def test_a_failure_over_tcp_is_told_as_it_is() -> None:
    own = rig()
    token, (ticket, _, asked, _) = truncate(own)
    own.engine.deliver(ticket, reply(over_tcp(asked), rcode="SERVFAIL"))
    assert read(own.wait(token)).rcode() == dns.rcode.SERVFAIL
    assert own.forwarder.outstanding == 0


@pytest.mark.parametrize("failure", [None, b"", "SERVFAIL", "question", "short", "time"])
def test_where_tcp_fails_another_upstream_is_asked(failure: bytes | str | None) -> None:
    own = rig(upstreams=2, stream_ms=20 if failure == "time" else 20_000)
    token, (ticket, upstream, asked, _) = truncate(own)
    assert upstream == 0
    if failure == "SERVFAIL":
        own.engine.deliver(ticket, reply(over_tcp(asked), rcode="SERVFAIL"))
    elif failure == "short":
        own.engine.deliver(ticket, reply(over_tcp(asked), LINE.replace(".1", ".66"), said="QR RD RA TC"))
    elif failure == "question":
        own.engine.deliver(ticket, reply(question("other.example"), "other.example. 300 IN A 192.0.2.66"))
    elif not isinstance(failure, str):
        own.engine.deliver(ticket, failure)
    second, source = own.upstreams[1].receive_while(own.turn)
    own.upstreams[1].send(reply(second, LINE), source)
    assert records(read(own.wait(token))) == [LINE]
    # What it says now is late.
    own.engine.deliver(ticket, reply(over_tcp(asked), LINE.replace(".1", ".66")))
    assert records(read(own.ask(question(NAME)))) == [LINE]
    assert own.forwarder.outstanding == 0


# Upstreams without datagrams ------------------------------------------------------------------------------------------


def test_a_question_to_an_upstream_without_sockets_is_handed_out_at_once() -> None:
    own = rig(upstreams=2, sockets=0)
    token = begin(own, question(NAME, do=True))
    [(ticket, upstream, asked, bits)] = own.engine.collect_streamed()
    assert (upstream, asked[12:], bits) == (0, b"\3www\2ok\7example\0\0\1\0\1", 1)
    assert own.engine.collect_streamed() == []
    own.engine.deliver(ticket, reply(over_tcp(asked), LINE))
    assert records(read(own.wait(token))) == [LINE]
    own.engine.deliver(ticket, reply(over_tcp(asked), LINE.replace(".1", ".66")))
    assert records(read(own.ask(question(NAME, do=True)))) == [LINE]


def test_streams_that_fail_go_on_to_the_next_upstream_and_end() -> None:
    own = rig(upstreams=3, sockets=0, stream_ms=20)
    token = begin(own)
    tickets = []
    for number in range(3):
        [(ticket, upstream, asked, _)] = handed_out(own)
        assert upstream == number
        tickets.append(ticket)
        if number == 0:
            own.engine.deliver(ticket, None)
        elif number == 1:
            # The first one's answer comes while the second is asked: it ran out. The second runs out of time.
            own.engine.deliver(tickets[0], reply(over_tcp(asked), LINE.replace(".1", ".66")))
            assert own.told == {}
        else:
            own.engine.deliver(ticket, reply(over_tcp(asked), LINE))
    assert records(read(own.wait(token))) == [LINE]
    assert own.forwarder.outstanding == 0
    assert len(set(tickets)) == 3
    failing = begin(own, question("other.example"))
    answer = read(own.wait(failing))
    assert (answer.rcode(), error_code(answer)) == (dns.rcode.SERVFAIL, 22)


# Times ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttl", "minimum", "most", "told"),
    [(300, 60, 3600, 60), (50, 600, 3600, 50), (7200, 7200, 3600, 3600), (9, 9, 5, 5)],
)
def test_how_long_a_name_does_not_exist_is_told_as_it_is_kept(ttl: int, minimum: int, most: int, told: int) -> None:
    own = rig(ttl_negative=most)
    authority = [soa("ok.example.", ttl=ttl, minimum=minimum)]
    first = own.exchange(question(NAME), lambda asked: reply(asked, authority=authority, rcode="NXDOMAIN"))
    assert denial(read(first))[2:] == (told, minimum)
    own.age(2)
    assert denial(read(own.ask(question(NAME))))[2:] == (told - 2, minimum)
    own.age(told - 2)
    assert own.ask(question(NAME)) is None


def test_an_answer_is_kept_and_told_at_least_so_long() -> None:
    own = rig(ttl_min=30)
    lines = [f"{NAME}. 0 IN A 192.0.2.1", f"{NAME}. 5 IN A 192.0.2.2", f"{NAME}. 90 IN A 192.0.2.3"]
    first = own.exchange(question(NAME), lambda asked: reply(asked, *lines))
    assert [line.split()[1] for line in records(read(first))] == ["30", "30", "90"]
    # What says that there is nothing is as short as it says.
    authority = [soa("ok.example.", ttl=9, minimum=9)]
    none = own.exchange(question("no.ok.example"), lambda asked: reply(asked, authority=authority, rcode="NXDOMAIN"))
    assert denial(read(none))[2:] == (9, 9)
    own.age(29)
    assert records(read(own.ask(question(NAME))))[0].split()[1] == "1"
    own.age(1)
    assert own.ask(question(NAME)) is None


def test_an_expired_denial_says_that_it_is_one() -> None:
    own = rig(upstreams=1)
    query = question(NAME, edns=True)
    own.exchange(query, lambda asked: reply(asked, rcode="NXDOMAIN", authority=[soa("ok.example.")]))
    own.age(301)
    stale = read(own.exchange(query, lambda asked: reply(asked, rcode="SERVFAIL")))
    assert (stale.rcode(), error_codes(stale)) == (dns.rcode.NXDOMAIN, [19])


def test_a_kept_failure_says_so_and_that_nobody_answered() -> None:
    # Of what an upstream said to be one, the cause is not known.
    own = rig(upstreams=1)
    own.exchange(question(NAME), lambda asked: reply(asked, rcode="SERVFAIL"))
    assert error_codes(read(own.ask(question(NAME)))) == [13]
    own = rig(upstreams=1, timeout_ms=20)
    for edns in (True, False):
        query = question(f"{edns}.{NAME}", edns=edns)
        assert own.ask(query) is None
        fresh = read(own.wait(own.token))
        again = own.ask(query)
        assert error_codes(fresh) == ([22] if edns else [])
        assert (read(again).rcode(), error_codes(read(again))) == (dns.rcode.SERVFAIL, [13, 22] if edns else [])

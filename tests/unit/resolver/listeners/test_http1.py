"""HTTP/1.1 byte by byte: what a connection asks, and what it is told."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.listeners.doh import HEAD_BYTES_MAX, MESSAGE_MAX, Moment, Query, Resource
from resolver.listeners.http1 import Http1
from tests.support.packets import question, reply

MOMENT = Moment(100.0, b"Sun, 06 Nov 1994 08:49:37 GMT")
QUERY = question("www.example", id=0)
ANSWER = reply(QUERY, "www.example. 300 IN A 192.0.2.1")
POST = b"POST /dns-query HTTP/1.1\r\nHost: dns.example\r\nContent-Type: application/dns-message\r\n"
GET = b"GET /dns-query?dns=%b HTTP/1.1\r\nHost: dns.example\r\n\r\n" % base64.urlsafe_b64encode(QUERY).rstrip(b"=")


def post(body: bytes = QUERY) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


@dataclass
class Answers:
    """What a client reads, as a client's half of HTTP understands it."""

    http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT))

    def read(self, data: bytes, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
        self.http.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        self.http.send(h11.EndOfMessage())
        self.http.receive_data(data)
        head = self.http.next_event()
        while isinstance(head, h11.InformationalResponse):
            head = self.http.next_event()
        assert isinstance(head, h11.Response)
        body = b""
        while isinstance(event := self.http.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        return head.status_code, dict(head.headers), body


def codec(server_name: str | None = None) -> Http1:
    return Http1(Resource({"/dns-query/school": 1}, {"school.dns.example": 2}), server_name)


def told(one: Http1, data: bytes, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
    """What a request is told that is no query."""
    one.receive(data, MOMENT)
    assert one.next(MOMENT) is None
    return Answers().read(one.take(), method)


@pytest.mark.parametrize("request_", [GET, post()], ids=["GET", "POST"])
def test_a_query_is_asked_and_answered(request_: bytes) -> None:
    one = codec()
    one.receive(request_, MOMENT)
    found = one.next(MOMENT)
    assert found is not None
    assert found[1] == Query(QUERY, -1)
    assert (one.outstanding, one.full, one.take()) == (1, True, b"")
    one.answer(found[0], ANSWER, MOMENT)
    status, headers, body = Answers().read(one.take())
    assert (status, body) == (200, ANSWER)
    assert headers[b"content-type"] == b"application/dns-message"
    assert headers[b"cache-control"] == b"private, max-age=300"
    assert headers[b"date"] == MOMENT.date
    assert b"connection" not in headers
    assert not one.ended


def test_requests_may_come_in_pieces_of_any_size() -> None:
    data = GET + post() + GET
    for size in (1, 7, len(data)):
        one = codec()
        asked = 0
        for at in range(0, len(data), size):
            one.receive(data[at : at + size], MOMENT)
            while (found := one.next(MOMENT)) is not None:
                asked += 1
                one.answer(found[0], ANSWER, MOMENT)
        assert asked == 3
        answers = Answers()
        rest = one.take()
        for _ in range(3):
            assert answers.read(rest)[0] == 200
            rest = b""
            answers.http.start_next_cycle()


def test_a_request_behind_another_waits_for_its_answer() -> None:
    one = codec()
    one.receive(GET + GET, MOMENT)
    found = one.next(MOMENT)
    assert found is not None
    assert one.next(MOMENT) is None
    one.answer(found[0], ANSWER, MOMENT)
    assert one.next(MOMENT) is not None


def test_the_profile_follows_path_or_server_name() -> None:
    for request_, name, profile in (
        (post().replace(b"/dns-query ", b"/dns-query/school "), None, 1),
        (post().replace(b"Host: dns.", b"Host: school.dns."), "school.dns.example", 2),
    ):
        one = codec(name)
        one.receive(request_, MOMENT)
        found = one.next(MOMENT)
        assert found is not None
        assert found[1].profile == profile


def test_a_refused_request_without_a_body_leaves_the_connection() -> None:
    one = codec()
    for path, status in ((b"/", 404), (b"/dns-query", 400)):
        assert told(one, b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)[0] == status
        assert not one.ended
    assert told(one, b"DELETE /dns-query HTTP/1.1\r\nHost: a\r\n\r\n")[1][b"allow"] == b"GET, POST"
    status, _, body = told(one, b"HEAD /dns-query HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD")
    assert (status, body, one.ended) == (405, b"", False)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST /dns-query HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", 415),
        (POST + b"Content-Length: 65536\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n10001\r\n" + bytes(65_537), 413),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (POST + b"Content-Length: x\r\n\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET /" + b"a" * HEAD_BYTES_MAX, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * HEAD_BYTES_MAX, 431),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)
def test_what_cannot_be_read_on_is_told_why_and_closed(data: bytes, status: int) -> None:
    one = codec()
    found, headers, _ = told(one, data)
    assert found == status
    assert headers[b"connection"] == b"close"
    assert one.ended


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 5000), 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 5000 + b"\r\n", 431),
    ],
)
def test_a_head_that_comes_whole_has_bounds_too(data: bytes, status: int) -> None:
    assert told(codec(), data)[0] == status


def test_a_body_of_the_most_that_is_allowed_is_taken() -> None:
    one = codec()
    one.receive(post(bytes(MESSAGE_MAX)), MOMENT)
    assert one.next(MOMENT) == (1, Query(bytes(MESSAGE_MAX), -1))


def test_a_chunked_body_is_a_body() -> None:
    one = codec()
    one.receive(POST + b"Transfer-Encoding: chunked\r\n\r\n", MOMENT)
    for octet in QUERY:
        one.receive(b"1\r\n%c\r\n" % octet, MOMENT)
        assert one.next(MOMENT) is None
    one.receive(b"0\r\n\r\n", MOMENT)
    assert one.next(MOMENT) == (1, Query(QUERY, -1))


def test_a_client_that_waits_to_be_told_so_sends_its_body() -> None:
    one = codec()
    one.receive(POST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(QUERY), MOMENT)
    assert one.next(MOMENT) is None
    assert one.take().startswith(b"HTTP/1.1 100 ")
    one.receive(QUERY, MOMENT)
    assert one.next(MOMENT) is not None


def test_http_1_0_is_answered_and_closed() -> None:
    one = codec()
    one.receive(post().replace(b"HTTP/1.1", b"HTTP/1.0"), MOMENT)
    found = one.next(MOMENT)
    assert found is not None
    one.answer(found[0], ANSWER, MOMENT)
    assert one.take().endswith(ANSWER)
    assert one.ended


def test_a_query_without_an_answer_is_told_later() -> None:
    one = codec()
    one.receive(GET, MOMENT)
    found = one.next(MOMENT)
    assert found is not None
    one.answer(found[0], b"", MOMENT)
    assert Answers().read(one.take())[0] == 503
    one.answer(found[0], ANSWER, MOMENT)
    assert one.take() == b""


def test_a_request_has_a_deadline_from_its_first_byte() -> None:
    assert not codec().overdue(1000.0, 3.0)
    for cut in (1, len(POST) + 10, len(post()) - 1):
        one = codec()
        one.receive(post()[:cut], MOMENT)
        assert one.next(MOMENT) is None
        assert not one.overdue(103.0, 3.0)
        assert one.overdue(103.1, 3.0)
        one.retire(MOMENT, late=True)
        assert b" 408 " in one.take()
        assert one.ended


def test_between_requests_and_while_an_answer_is_owed_nothing_is_late() -> None:
    one = codec()
    one.receive(GET, MOMENT)
    found = one.next(MOMENT)
    assert found is not None
    assert not one.overdue(1000.0, 3.0)
    one.answer(found[0], ANSWER, MOMENT)
    assert one.next(MOMENT) is None
    assert not one.overdue(1000.0, 3.0)
    # A part that came with the request before begins when it is its turn.
    one.receive(GET + GET[:5], MOMENT)
    found = one.next(MOMENT)
    assert found is not None
    one.answer(found[0], ANSWER, MOMENT)
    later = Moment(500.0, b"")
    assert one.next(later) is None
    assert not one.overdue(502.0, 3.0)
    assert one.overdue(504.0, 3.0)


def test_a_retired_connection_says_goodbye_with_what_it_owes() -> None:
    idle = codec()
    idle.retire(MOMENT)
    assert (idle.ended, idle.take()) == (True, b"")
    busy = codec()
    busy.receive(GET, MOMENT)
    found = busy.next(MOMENT)
    assert found is not None
    busy.retire(MOMENT)
    assert not busy.ended
    busy.answer(found[0], ANSWER, MOMENT)
    assert Answers().read(busy.take())[1][b"connection"] == b"close"
    assert busy.ended


def test_the_end_of_a_client_is_the_end_unless_an_answer_is_owed() -> None:
    one = codec()
    one.receive(b"", MOMENT)
    assert one.next(MOMENT) is None
    assert one.ended
    cut = codec()
    cut.receive(GET[:20], MOMENT)
    cut.receive(b"", MOMENT)
    assert cut.next(MOMENT) is None
    assert (cut.ended, cut.take()) == (True, b"")
    owing = codec()
    owing.receive(GET, MOMENT)
    found = owing.next(MOMENT)
    owing.receive(b"", MOMENT)
    assert found is not None
    assert owing.next(MOMENT) is None
    assert not owing.ended
    owing.answer(found[0], ANSWER, MOMENT)
    assert owing.take().endswith(ANSWER)
    assert owing.next(MOMENT) is None
    assert owing.ended


REQUESTS = st.sampled_from([GET, post(), post(b""), GET.replace(b"GET", b"PUT"), POST, b"\r\n"])


@given(st.lists(REQUESTS, max_size=4), st.binary(max_size=30), st.integers(0, 600), st.integers(1, 80))
def test_whatever_is_sent_nothing_is_raised_and_every_query_is_whole(
    requests: list[bytes], noise: bytes, at: int, size: int
) -> None:
    data = b"".join(requests)
    data = data[:at] + noise + data[at:]
    one = codec()
    for start in range(0, len(data), size):
        one.receive(data[start : start + size], MOMENT)
        while (found := one.next(MOMENT)) is not None:
            assert len(found[1].message) >= 12
            one.answer(found[0], ANSWER, MOMENT)
        if one.ended:
            break
    one.receive(b"", MOMENT)
    one.next(MOMENT)
    assert one.ended or one.outstanding

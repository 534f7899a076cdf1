"""DNS over HTTP/1.1 without a socket."""

from __future__ import annotations

import pytest

from resolver.upstream.codec import Answers, BrokenError
from resolver.upstream.doh import HEAD_BYTES_MAX, Resource
from resolver.upstream.http1 import Http1
from resolver.upstream.question import HEADER_BYTES, Question
from tests.support.packets import question, reply

SECTION = question("www.ok.example", edns=False)[HEADER_BYTES:]
LINE = "www.ok.example. 300 IN A 192.0.2.1"


def asked() -> Question:
    return Question(SECTION, 0, lambda _: None, 0.0)


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/dns-message", f"Content-Length: {len(body)}", *headers]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def begun() -> tuple[Http1, Question, bytes]:
    """A connection, the question asked on it, and the query in the request's body."""
    codec = Http1(Resource(b"dns.example", b"/dns-query"))
    assert codec.room == 1
    one = asked()
    codec.ask(one)
    head, _, body = codec.take().partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /dns-query HTTP/1.1"
    return codec, one, body


def test_a_request_is_what_the_standard_asks_for() -> None:
    codec = Http1(Resource(b"dns.example", b"/dns-query"))
    codec.ask(asked())
    head, _, body = codec.take().partition(b"\r\n\r\n")
    assert set(head.lower().split(b"\r\n")[1:]) == {
        b"host: dns.example", b"accept: application/dns-message", b"content-type: application/dns-message",
        b"content-length: 128",
    }  # fmt: skip
    assert (body[:2], len(body)) == (b"\0\0", 128)
    assert (codec.room, len(codec)) == (0, 1)


def test_one_question_after_another() -> None:
    codec, one, body = begun()
    found: Answers = []
    data = response(reply(body, LINE))
    for at in range(len(data)):
        codec.receive(data[at : at + 1], found)
    other = asked()
    assert codec.room == 1
    codec.ask(other)
    codec.take()
    codec.receive(response(reply(body)), found)
    assert found == [(one, reply(body, LINE)), (other, reply(body))]
    assert not codec.ended


def test_a_connection_that_is_to_be_closed_is() -> None:
    codec, one, body = begun()
    found: Answers = []
    codec.receive(response(reply(body), "Connection: close"), found)
    assert found == [(one, reply(body))]
    assert (codec.ended, codec.room) == (True, 0)


def test_a_body_in_chunks() -> None:
    codec, one, body = begun()
    found: Answers = []
    message = reply(body)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nTransfer-Encoding: chunked\r\n\r\n"
    codec.receive(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(message), message), found)
    assert found == [(one, message)]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (response(b"", status="503 Service Unavailable"), "HTTP status 503"),
        (response(b"no message"), "a content that does not answer the question"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.", "a content of another type than DNS messages have"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"10001\r\n" + bytes(65537),
            "a content longer than DNS messages are",
        ),
    ],
)
def test_what_is_no_answer_is_none(data: bytes, problem: str) -> None:
    codec, one, _ = begun()
    found: Answers = []
    codec.receive(data, found)
    assert found == [(one, None)]
    assert codec.problem == problem
    codec.receive(b"more", found)
    assert len(found) == 1


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a" * (HEAD_BYTES_MAX + 1), b""]
)
def test_what_is_no_http_breaks_the_connection(data: bytes) -> None:
    codec, one, _ = begun()
    with pytest.raises(BrokenError) as raised:
        codec.receive(data, [])
    assert raised.value.kind == "http"
    assert codec.waiting == (one,)


def test_a_question_given_up_takes_its_connection_with_it() -> None:
    codec, one, body = begun()
    codec.forget(asked())
    assert codec.waiting == (one,)
    codec.forget(one)
    found: Answers = []
    codec.receive(response(reply(body)), found)
    assert (found, codec.ended, codec.waiting) == ([], True, ())

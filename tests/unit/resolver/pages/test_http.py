"""One exchange, byte by byte: what is asked, what is refused, and what hostile bytes come to."""

from __future__ import annotations

import re
from http import HTTPStatus

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.pages.http import BODY_BYTES_MAX, HEAD_BYTES_MAX, Exchange, Request, Response, host_name

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
PAGE = Response(HTTPStatus.OK, (("Content-Type", "text/html"),), b"<p>page</p>")


def asked(data: bytes) -> Request | Response | None:
    return Exchange().receive(data)


@pytest.mark.parametrize(
    ("data", "request_"),
    [
        (b"GET / HTTP/1.1\r\nHost: bad.example\r\n\r\n", Request("GET", "bad.example", "/")),
        (b"HEAD /a?b HTTP/1.1\r\nHost: BAD.Example:80\r\n\r\n", Request("HEAD", "bad.example", "/a")),
        (b"GET / HTTP/1.0\r\n\r\n", Request("GET", None, "/")),
        (b"GET / HTTP/1.0\nHost: bad.example\n\n", Request("GET", "bad.example", "/")),
        (
            b"POST /login HTTP/1.1\r\nHost: bad.example.\r\nContent-Length: 3\r\n\r\na=b",
            Request("POST", "bad.example", "/login"),
        ),
        (b"GET http://bad.example/x HTTP/1.1\r\nHost: other.example\r\n\r\n", Request("GET", "bad.example", "/x")),
        (b"GET HTTP://bad.example HTTP/1.1\r\nHost: other.example\r\n\r\n", Request("GET", "bad.example", "/")),
        (b"GET / HTTP/1.1\r\nHost: <script>alert(1)</script>\r\n\r\n", Request("GET", None, "/")),
        (b"PROPFIND / HTTP/1.1\r\nHost: bad.example\r\n\r\n", Request("PROPFIND", "bad.example", "/")),
        (
            b"POST / HTTP/1.1\r\nHost: bad.example\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
            Request("POST", "bad.example", "/"),
        ),
    ],
)
def test_what_is_asked(data: bytes, request_: Request) -> None:
    assert asked(data) == request_
    byte_by_byte = Exchange()
    answers = [byte_by_byte.receive(data[at : at + 1]) for at in range(len(data))]
    assert answers[-1] == request_
    assert answers[:-1] == [None] * (len(data) - 1)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a.example\r\n", None),
        (b"", None),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /" + b"a" * HEAD_BYTES_MAX, 431),
        (b"GET / HTTP/1.1\r\nHost: a.example\r\nX: " + b"a" * HEAD_BYTES_MAX, 431),
    ],
)
def test_what_is_no_request_is_refused(data: bytes, status: int | None) -> None:
    answer = asked(data)
    assert answer is None if status is None else isinstance(answer, Response) and answer.status == status


def test_a_body_has_a_bound_and_is_not_awaited_beyond_it() -> None:
    exchange = Exchange()
    head = b"POST / HTTP/1.1\r\nHost: bad.example\r\nContent-Length: 999999999\r\n\r\n"
    assert exchange.receive(head) is None
    assert exchange.receive(b"a" * (BODY_BYTES_MAX + 1)) == Request("POST", "bad.example", "/")
    said = exchange.respond(PAGE, DATE)
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(("method", "body"), [("GET", PAGE.body), ("POST", PAGE.body), ("HEAD", b"")])
def test_a_response_is_the_last_of_its_connection(method: str, body: bytes) -> None:
    exchange = Exchange()
    exchange.receive(f"{method} / HTTP/1.1\r\nHost: bad.example\r\nContent-Length: 0\r\n\r\n".encode())
    head, _, rest = exchange.respond(PAGE, DATE).partition(b"\r\n\r\n")
    assert rest == body
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert fields == {
        b"date": DATE.lower().encode(),
        b"content-type": b"text/html",
        b"content-length": b"11",
        b"connection": b"close",
    }
    assert exchange.respond(PAGE, DATE) == b""


@given(
    st.binary(max_size=200) | st.text(max_size=80).map(lambda text: f"GET / HTTP/1.1\r\nHost: {text}\r\n\r\n".encode())
)
def test_whatever_is_sent_the_host_is_a_name_or_nothing(data: bytes) -> None:
    exchange = Exchange()
    found = exchange.receive(data)
    if isinstance(found, Request):
        assert found.host is None or re.fullmatch(r"[a-z0-9._-]{3,253}", found.host, re.ASCII)
    if found is not None:
        client = h11.Connection(h11.CLIENT)
        method = found.method if isinstance(found, Request) else "GET"
        client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        client.receive_data(exchange.respond(PAGE, DATE))
        assert isinstance(client.next_event(), h11.Response)


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        (b"a.example", "a.example"),
        (b"A_b.a--b.Example.:8080", "a_b.a--b.example"),
        (b"a.example:", "a.example"),
        (b"192.0.2.80", "192.0.2.80"),
        (b"localhost", None),
        (b"[2001:db8::80]:80", None),
        (b"user@a.example", None),
        (b"a.example:80:80", None),
        ("ví-dụ.example".encode(), None),
        (b"a..example", None),
        (b"a.example ", None),
        (b"a.example\n", None),
        (b"%3Cb%3E.example", None),
        (b"a" * 64 + b".example", None),
        (b".".join([b"a" * 63] * 4), None),
        (b"", None),
    ],
)
def test_a_host_is_a_name_or_nothing(authority: bytes, name: str | None) -> None:
    assert host_name(authority) == name

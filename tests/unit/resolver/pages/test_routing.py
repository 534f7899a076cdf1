"""The host decides which page; whatever is asked, what comes back is bounded, escaped and counted without names."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.pages.checkpage import Place
from resolver.pages.http import Exchange, Request, Response
from resolver.pages.routing import Router
from tests.support.pages import NAME, NONCE, NOW, STRANGER, STUDENT, SUBSCRIBER, facts, override, pages
from tests.support.structure import Structure

FACTS = facts()
PLACE = Place("http", 80)


def answer(
    host: str | None, path: str = "/", method: str = "GET", client: str = STUDENT, router: Router | None = None
) -> Response:
    one = router or Router(pages())
    return one.answer(Request(method, host, path), FACTS, PLACE, client, NOW, NONCE)


@pytest.mark.parametrize(
    ("host", "path", "client", "status", "shown"),
    [
        ("bad.example", "/", SUBSCRIBER, 451, ("block", "gambling")),
        ("bad.example", "/any/path", STUDENT, 451, ("block", "gambling")),
        ("school-only.example", "/", STUDENT, 403, ("block", "scam")),
        ("school-only.example", "/", SUBSCRIBER, 404, ("block", "none")),
        ("bad.example", "/", STRANGER, 404, ("block", "none")),
        ("clean.example", "/", STUDENT, 404, ("block", "none")),
        (None, "/", STUDENT, 404, ("block", "none")),
        ("bad.example", "/favicon.ico", STUDENT, 200, None),
        (NAME, "/", STUDENT, 200, ("check", "none")),
        (NAME, "/", STRANGER, 200, ("check", "none")),
        (NAME, "/favicon.ico", STUDENT, 200, None),
        (NAME, "/mark.svg", STUDENT, 404, None),
        (NAME, "/other", STUDENT, 404, None),
        (f"{NONCE}.{NAME}", "/mark.svg", STUDENT, 200, ("mark", "none")),
        (f"{NONCE}.{NAME}", "/", STUDENT, 200, ("check", "none")),
        (f"other.{NAME}", "/", STUDENT, 404, None),
        (f"bad.example.{NAME}", "/", STUDENT, 404, None),
    ],
)
def test_the_host_decides(host: str, path: str, client: str, status: int, shown: tuple[str, str] | None) -> None:
    router = Router(pages())
    assert answer(host, path, client=client, router=router).status == status
    assert dict(router.shown) == ({shown: 1} if shown else {})


@pytest.mark.parametrize("host", ["bad.example", "clean.example", NAME, f"{NONCE}.{NAME}", f"x.{NAME}"])
def test_nobody_keeps_it_indexes_it_or_is_told_of_it(host: str) -> None:
    fields = dict(answer(host).headers)
    assert fields["Cache-Control"] == "no-store"
    assert fields["X-Robots-Tag"] == "noindex, nofollow"
    assert fields["X-Content-Type-Options"] == "nosniff"
    assert fields["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in fields


def test_a_listed_name_is_answered_whatever_the_method_the_others_only_read() -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT", "CONNECT"):
        assert answer("bad.example", method=method).status == HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS
    refused = answer(NAME, method="POST")
    assert refused.status == HTTPStatus.METHOD_NOT_ALLOWED
    assert dict(refused.headers)["Allow"] == "GET, HEAD"


def test_without_a_name_every_host_came_by_the_sinkhole() -> None:
    assert (
        Router(pages(name=None)).answer(Request("GET", NAME, "/"), FACTS, PLACE, STUDENT, NOW, NONCE).status
        == HTTPStatus.NOT_FOUND
    )


def test_a_name_is_shown_only_where_it_is_listed() -> None:
    assert b"www.bad.example" in answer("www.bad.example").body
    assert b"clean.example" not in answer("clean.example").body
    assert b"school-only.example" not in answer("school-only.example", client=SUBSCRIBER).body


HOSTS = st.one_of(
    st.binary(max_size=60),
    st.text(alphabet="<>\"'&;=/ ().-_abc\r\n\0%\u00ea", max_size=60).map(str.encode),
    st.sampled_from([b"bad.example", b"bad.example.", b"BAD.EXAMPLE:80", f"{NONCE}.{NAME}".encode(), NAME.encode()]),
)
PATHS = st.text(alphabet="<>\"'&/?#.%abc", max_size=40).map(lambda text: f"/{text}".encode())


@given(HOSTS, PATHS, st.sampled_from([b"GET", b"HEAD", b"POST", b"TRACE"]))
def test_what_a_client_wrote_never_becomes_markup_or_a_header(host: bytes, path: bytes, method: bytes) -> None:
    exchange = Exchange()
    request = exchange.receive(method + b" " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    if not isinstance(request, Request):
        return
    response = Router(pages()).answer(request, FACTS, PLACE, STUDENT, NOW, NONCE)
    if response.body.startswith(b"<!doctype"):
        page = Structure.of(response.body.decode())
        assert page.problems() == []
        assert all(one in ("/favicon.ico", f"http://{NONCE}.{NAME}/mark.svg") for one in page.fetched)
    head = exchange.respond(response, "Sun, 06 Nov 1994 08:49:37 GMT").partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
    assert len(names) == len(set(names))
    assert names.count(b"content-length") == 1


def test_what_an_override_lets_pass_is_shown_and_counted_as_nothing_blocked() -> None:
    one = Router(pages())
    known = facts(overrides=(override("bad.example"),))
    request = Request("GET", "bad.example", "/")
    assert one.answer(request, known, PLACE, STUDENT, NOW, NONCE).status == 404
    assert one.answer(request, known, PLACE, STUDENT, NOW + 60, NONCE).status == 451
    assert one.shown == {("block", "none"): 1, ("block", "gambling"): 1}

"""RFC 8484 without HTTP: what a request wants, and for how long an answer holds."""

from __future__ import annotations

import base64
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.listeners import doh
from resolver.listeners.doh import Awaiting, Head, Query, Refusal, Resource
from tests.support.packets import question, reply

QUERY = question("www.example", id=0)
RESOURCE = Resource({"/dns-query/school": 2, "/open": 0}, {"school.dns.example": 1})


def encoded(message: bytes) -> bytes:
    return base64.urlsafe_b64encode(message).rstrip(b"=")


def head(
    target: bytes,
    method: bytes = b"GET",
    *,
    authority: bytes = b"dns.example",
    content_type: bytes | None = None,
    content_length: int | None = None,
    size: int = 100,
) -> Head:
    return Head(method, target, authority, content_type, content_length, size)


def post(content_type: bytes | None = doh.MEDIA_TYPE, length: int | None = 30, target: bytes = b"/dns-query") -> Head:
    return head(target, b"POST", content_type=content_type, content_length=length)


def status(one: Head, server_name: str | None = None, resource: Resource = RESOURCE) -> int:
    found = resource.read_head(one, server_name)
    assert isinstance(found, Refusal)
    return int(found.status)


@pytest.mark.parametrize("padding", range(4))
def test_a_get_holds_the_query(padding: int) -> None:
    message = QUERY + bytes(padding)
    for target in (b"/dns-query?dns=", b"/dns-query?a=1&dns=", b"/dns-query?dns="):
        assert RESOURCE.read_head(head(target + encoded(message)), None) == Query(message, -1)


def test_a_post_brings_it_in_its_body() -> None:
    assert RESOURCE.read_head(post(), None) == Awaiting(-1)
    assert RESOURCE.read_head(post(b"Application/DNS-message; charset=x", None), None) == Awaiting(-1)
    assert doh.read_message(QUERY, 3) == Query(QUERY, 3)


@pytest.mark.parametrize(
    ("target", "server_name", "profile"),
    [
        (b"/dns-query", None, -1),
        (b"/dns-query", "dns.example", -1),
        (b"/dns-query", "school.dns.example", 1),
        (b"/dns-query/school", None, 2),
        (b"/dns-query/school", "school.dns.example", 2),
        (b"/open", "school.dns.example", 0),
    ],
)
def test_the_path_chooses_the_profile_or_else_the_name_of_the_handshake(
    target: bytes, server_name: str | None, profile: int
) -> None:
    authority = (server_name or "dns.example").encode()
    asked = head(target + b"?dns=" + encoded(QUERY), authority=authority)
    assert RESOURCE.read_head(asked, server_name) == Query(QUERY, profile)


def test_the_default_path_may_have_a_profile() -> None:
    resource = Resource({"/dns-query": 1}, {})
    assert resource.read_head(post(), None) == Awaiting(1)


@pytest.mark.parametrize("authority", [b"school.dns.example", b"School.DNS.example:443"])
def test_a_connection_of_another_name_does_not_reach_a_name_with_a_profile(authority: bytes) -> None:
    asked = head(b"/dns-query?dns=" + encoded(QUERY), authority=authority)
    assert status(asked, "dns.example") == status(asked, None) == HTTPStatus.MISDIRECTED_REQUEST
    assert RESOURCE.read_head(asked, "school.dns.example") == Query(QUERY, 1)
    # Where names have no profiles, it does not matter by which one somebody came.
    assert Resource({}, {}).read_head(asked, "dns.example") == Query(QUERY, -1)


@pytest.mark.parametrize("authority", [b"", b"127.0.0.1", b"[::1]:443", b"\xff", b":", b"dns.example:x"])
def test_any_other_authority_is_served(authority: bytes) -> None:
    assert isinstance(RESOURCE.read_head(head(b"/dns-query?dns=" + encoded(QUERY), authority=authority), None), Query)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (head(b"/"), 404),
        (head(b"/dns-query/"), 404),
        (head(b"/DNS-QUERY"), 404),
        (head(b"https://dns.example/dns-query"), 404),
        (head(b"*", b"OPTIONS"), 404),
        (head(b""), 404),
        (head(b"/dns-query", b"PUT"), 405),
        (head(b"/dns-query", b"HEAD"), 405),
        (head(b"/dns-query", b"get"), 405),
        (head(b"/dns-query"), 400),
        (head(b"/dns-query?"), 400),
        (head(b"/dns-query?dns"), 400),
        (head(b"/dns-query?dns="), 400),
        (head(b"/dns-query?dns=A"), 400),
        (head(b"/dns-query?dns=AAAA"), 400),
        (head(b"/dns-query?dns=" + base64.urlsafe_b64encode(QUERY + b"\0")), 400),
        (head(b"/dns-query?dns=" + b"+" * 40), 400),
        (head(b"/dns-query?dns=" + b"!" * 40), 400),
        (head(b"/dns-query?dns=" + encoded(QUERY[:2] + b"\x80" + QUERY[3:])), 400),
        (head(b"/dns-query?dns=" + b"A" * 5000), 414),
        (head(b"/dns-query", size=20_000), 431),
        (post(None), 415),
        (post(b"application/json"), 415),
        (post(b"application/dns-message-x"), 415),
        (post(length=65_536), 413),
        (post(length=10**19), 413),
    ],
)
def test_what_is_wrong_has_its_status(asked: Head, expected: int) -> None:
    assert status(asked) == expected


@pytest.mark.parametrize(
    ("message", "expected"), [(b"", 400), (bytes(11), 400), (b"\0\0\x80" + bytes(20), 400), (bytes(65_536), 413)]
)
def test_a_body_that_is_no_query_has_its_status(message: bytes, expected: int) -> None:
    found = doh.read_message(message, -1)
    assert isinstance(found, Refusal)
    assert found.status == expected


def test_a_refusal_is_kept_by_nobody_and_says_what_is_allowed() -> None:
    headers = dict(Refusal(HTTPStatus.METHOD_NOT_ALLOWED).headers)
    assert headers == {b"allow": b"GET, POST", b"content-length": b"0", b"cache-control": b"no-store"}
    assert b"allow" not in dict(doh.BAD_REQUEST.headers)


SOA = "www.example. {ttl} IN SOA ns.example. h.example. 1 2 3 4 {minimum}"


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ((), None),
        (("www.example. 300 IN A 192.0.2.1",), 300),
        (("www.example. 300 IN A 192.0.2.1", "www.example. 20 IN A 192.0.2.2"), 20),
        (("www.example. 300 IN CNAME a.example.", "a.example. 7 IN A 192.0.2.2"), 7),
        (("www.example. 0 IN A 192.0.2.1",), 0),
        ((SOA.format(ttl=900, minimum=60),), 60),
        ((SOA.format(ttl=30, minimum=60),), 30),
    ],
)
def test_an_answer_holds_as_long_as_its_shortest_record(lines: tuple[str, ...], seconds: int | None) -> None:
    answer = reply(QUERY, *lines)
    assert doh.freshness(answer) == seconds
    control = dict(doh.answer_headers(answer))[b"cache-control"]
    assert control == (b"no-store" if seconds is None else b"private, max-age=%d" % seconds)


def test_a_time_with_its_highest_bit_set_is_none_at_all() -> None:
    answer = bytearray(reply(QUERY, "www.example. 300 IN A 192.0.2.1", edns=False))
    assert doh.freshness(bytes(answer)) == 300
    answer[-10:-6] = b"\x80\0\0\0"
    assert doh.freshness(bytes(answer)) == 0


@given(st.binary(max_size=120))
def test_whatever_an_answer_is_nothing_is_raised(answer: bytes) -> None:
    assert (doh.freshness(answer) or 0) >= 0


@given(st.binary(max_size=80), st.binary(max_size=20), st.binary(max_size=20))
def test_whatever_a_target_is_nothing_is_raised(value: bytes, authority: bytes, method: bytes) -> None:
    RESOURCE.read_head(head(b"/dns-query?dns=" + value, method or b"GET", authority=authority), None)
    RESOURCE.read_head(head(value, b"GET", authority=authority), "school.dns.example")

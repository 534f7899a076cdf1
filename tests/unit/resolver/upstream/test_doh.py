"""What a client of DNS over HTTPS asks, and what it believes."""

from __future__ import annotations

import pytest

from resolver.upstream.doh import MEDIA_TYPE, Resource, Response, body
from resolver.upstream.question import HEADER_BYTES, MESSAGE_MAX, Question
from tests.support.packets import question, read, reply

QUESTION = question("www.ok.example", edns=False, id=0)
LINE = "www.ok.example. 300 IN A 192.0.2.1"
GOOD = [(b"content-type", MEDIA_TYPE)]


def asked() -> Question:
    return Question(QUESTION[HEADER_BYTES:], 1, lambda _: None, 0.0)


@pytest.mark.parametrize(
    ("host", "port", "authority"),
    [
        ("dns.example", 443, b"dns.example"),
        ("dns.example", 8443, b"dns.example:8443"),
        ("2001:db8::1", 443, b"[2001:db8::1]"),
        ("192.0.2.1", 444, b"192.0.2.1:444"),
    ],
)
def test_the_authority_is_the_name_and_a_port_that_is_not_the_usual_one(host: str, port: int, authority: bytes) -> None:
    assert Resource.at(host, port, "/q") == Resource(authority, b"/q")


def test_a_query_has_the_id_that_may_be_kept_and_is_padded() -> None:
    posted = body(asked())
    assert posted[:2] == b"\0\0"
    assert len(posted) == 128
    assert read(posted).ednsflags


def test_an_answer_is_one() -> None:
    response = Response(asked())
    assert response.head(b"200", [(b"content-type", b"Application/DNS-Message; a=b"), (b"content-length", b"20")])
    message = reply(QUESTION, LINE)
    assert response.more(message[:20])
    assert response.more(message[20:])
    assert response.answer() == message
    assert response.problem == ""


def test_an_answer_is_as_old_as_who_kept_it_says() -> None:
    response = Response(asked())
    assert response.head(b"200", [*GOOD, (b"age", b"100")])
    response.more(reply(QUESTION, LINE))
    assert read(response.answer()).answer[0].ttl == 200


@pytest.mark.parametrize(
    ("status", "headers", "problem"),
    [
        (b"503", GOOD, "HTTP status 503"),
        (b"301", [*GOOD, (b"location", b"/elsewhere")], "HTTP status 301"),
        (b"200", [], "a content of another type than DNS messages have"),
        (b"200", [(b"content-type", b"text/html")], "a content of another type than DNS messages have"),
        (b"200", [*GOOD, (b"content-length", b"65536")], "a content longer than DNS messages are"),
        (b"200", [*GOOD, (b"content-length", b"9" * 5000)], "a content longer than DNS messages are"),
    ],
)
def test_a_head_that_no_answer_has_ends_it(status: bytes, headers: list[tuple[bytes, bytes]], problem: str) -> None:
    response = Response(asked())
    assert not response.head(status, headers)
    assert response.problem == problem


def test_a_body_ends_where_no_message_is_longer() -> None:
    response = Response(asked())
    assert response.head(b"200", GOOD)
    assert response.more(bytes(MESSAGE_MAX))
    assert not response.more(b"\0")


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\1" + reply(QUESTION)[2:], reply(QUESTION).replace(b"www", b"wwx"), QUESTION, b"\0\0\x81\x81" + bytes(8)],
)
def test_what_does_not_answer_the_question_is_no_answer(content: bytes) -> None:
    response = Response(asked())
    assert response.head(b"200", GOOD)
    assert response.more(content)
    assert response.answer() is None
    assert response.problem == "a content that does not answer the question"

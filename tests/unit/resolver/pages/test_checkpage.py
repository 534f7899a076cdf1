"""The school's page and its mark: what they say of this network, and how a browser finds out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest

from resolver.pages.checkpage import Place, mark, nonce_of, respond
from resolver.pages.facts import Facts
from tests.support.pages import NAME, NONCE, NOW, STRANGER, STUDENT, SUBSCRIBER, facts, override, pages
from tests.support.structure import Structure

ORIGIN = f"https://{NONCE}.{NAME}"


def page(known: Facts, client: str = STUDENT, *, found: bool = False, **settings: Any) -> Structure:
    response = respond(known, pages(**settings), client, NOW, None if found else ORIGIN)
    assert response.status == HTTPStatus.OK
    made = Structure.of(response.body.decode())
    assert made.problems() == []
    assert client not in made.text
    return made


def test_the_mark_is_looked_for_where_this_resolver_alone_answers() -> None:
    response = respond(facts(), pages(), STUDENT, NOW, ORIGIN)
    policy = dict(response.headers)["Content-Security-Policy"]
    assert f"object-src {ORIGIN}; frame-src {ORIGIN};" in policy
    assert "script" not in policy
    made = Structure.of(response.body.decode())
    assert made.fetched == ["/favicon.ico", f"{ORIGIN}/mark.svg"]
    # What stands in its place says so, and leads there for browsers that show no pictures.
    assert "Mạng này chưa được bảo vệ" in made.inside("object")
    assert f"{ORIGIN}/" in made.links


def test_opened_under_the_mark_s_own_name_it_needs_no_picture() -> None:
    made = page(facts(), found=True)
    assert "Mạng này được bảo vệ" in made.text
    assert "chưa được bảo vệ This network is not" not in made.text
    assert made.fetched == ["/favicon.ico"]


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (STUDENT, "trường học"),
        (SUBSCRIBER, "mức chung cho mọi người"),
        (STRANGER, "không thuộc mạng nào mà bộ phân giải này phục vụ"),
    ],
)
def test_it_tells_the_filter_of_the_network_it_is_opened_from(client: str, said: str) -> None:
    made = page(facts(), client)
    assert said in made.text
    assert ("cờ bạc" in made.text) == (client == STUDENT)


def test_it_tells_which_list_is_in_force_and_how_old_it_is() -> None:
    tls = {"certificate": "/c.pem", "key": "/k.pem"}
    sync = {"repository": "https://list.example", "root": "/root.json", "ca": "/ca.pem", "tls": tls}
    made = page(facts(blocklist={"sync": sync}))
    assert "số 42, ban hành 2 giờ trước" in made.text
    assert "number 42, published 2 hours ago" in made.text
    assert "30 giây trước" in made.text
    assert "chưa có danh sách nào" in page(facts(listed=False)).text


@pytest.mark.parametrize(
    ("known", "vi", "good"),
    [
        (facts(), "Mạng này được bảo vệ", True),
        (facts(shadow=True), "đang chạy thử", False),
        (facts(listed=False), "chưa có danh sách", False),
    ],
    ids=["blocking", "shadow", "no list"],
)
def test_nobody_is_told_to_be_protected_where_nothing_is_blocked(known: Facts, vi: str, good: bool) -> None:
    response = mark(known, Place("https", 8443), NAME)
    picture = response.body.decode()
    assert vi in picture
    assert ("được bảo vệ" in picture) == good
    assert dict(response.headers)["Content-Type"] == "image/svg+xml; charset=utf-8"
    assert f"frame-ancestors https://{NAME}:8443" in dict(response.headers)["Content-Security-Policy"]
    made = page(known, found=True)
    assert vi in made.text
    assert ("có: tên trong danh sách bị chặn" in made.text) == good


def test_it_tells_what_to_set_and_whom_to_ask() -> None:
    tls = {"certificate": "/c.pem", "key": "/k.pem"}
    listen: list[dict[str, Any]] = [
        {"address": "192.0.2.53"},
        {"address": "127.0.0.1"},
        {"address": "0.0.0.0", "port": 5353},
        {
            "address": "192.0.2.53",
            "protocol": "dot",
            "tls": tls,
            "profiles": {"server_names": {"school.dns.example": "school"}},
        },
    ]
    made = page(facts(listen=listen), help="mailto:help@operator-a.example")
    assert "đặt máy chủ DNS là 192.0.2.53, và xóa" in made.text
    assert "school.dns.example (mức lọc: trường học)" in made.text
    assert made.links.count("mailto:help@operator-a.example") == 2
    named = page(facts(listen=listen, local={"name": "dns.example", "addresses": ["203.0.113.53"]}))
    assert "đặt máy chủ DNS là 203.0.113.53, và xóa" in named.text
    assert "dns.example (mức lọc: theo mạng của thiết bị)" in named.text
    assert "địa chỉ mà nhà mạng cho biết" in page(facts(listen=[{"address": "127.0.0.1"}])).text


@pytest.mark.parametrize(
    ("place", "origin"),
    [
        (Place("http", 80), "http://a.example"),
        (Place("https", 443), "https://a.example"),
        (Place("http", 8080), "http://a.example:8080"),
        (Place("https", 80), "https://a.example:80"),
    ],
)
def test_an_origin_names_its_port_where_it_is_not_the_scheme_s(place: Place, origin: str) -> None:
    assert place.origin("a.example") == origin


@pytest.mark.parametrize(
    ("host", "nonce"),
    [
        (f"{NONCE}.{NAME}", NONCE),
        (NAME, None),
        (f"a.{NONCE}.{NAME}", None),
        (f"{NONCE[:-1]}.{NAME}", None),
        (f"{NONCE[:-1]}g.{NAME}", None),
        (f"{NONCE}.other.example", None),
        ("", None),
    ],
)
def test_a_mark_s_host_is_a_nonce_and_the_page_s_name(host: str, nonce: str | None) -> None:
    assert nonce_of(host, NAME) == nonce


def test_emergency_overrides_are_counted_not_named() -> None:
    assert "Ngoại lệ khẩn cấp" not in page(facts()).text
    known = facts(overrides=(override("bad.example"), override("worse.example"), override("x.example", ends_at=NOW)))
    made = page(known)
    assert "2 mục đang tạm thời được cho qua" in made.text
    assert "2 entries let listed names pass for the time being" in made.text
    assert "bad.example" not in made.text

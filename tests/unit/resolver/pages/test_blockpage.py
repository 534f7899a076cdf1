"""The block page: what it says, in which order, and with which status."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from blocklist_sync.artifact.categories import Category
from resolver.pages import words
from resolver.pages.blockpage import respond
from resolver.pages.facts import Reason
from resolver.pages.http import Response
from tests.support.pages import pages
from tests.support.structure import Structure

LAW = Reason("www.bad.example", "default", Category.GAMBLING, True, "12/QĐ <b>")
WISH = Reason("school-only.example", "school", Category.SCAM, False, "34/QĐ")
APPEAL = "https://operator-a.example/appeal?a=1&b=2"


def page(reason: Reason | None, **settings: object) -> tuple[Response, Structure]:
    response = respond(reason, pages(**settings))
    return response, Structure.of(response.body.decode())


@pytest.mark.parametrize("reason", [LAW, WISH, None], ids=["law", "wish", "none"])
def test_it_can_be_read_by_everybody(reason: Reason | None) -> None:
    _, page_ = page(reason, appeal=APPEAL)
    assert page_.problems() == []
    assert page_.root_language == "vi"
    # Without its style, it is the hotline, then Vietnamese, then English.
    assert page_.text.startswith("111 Trẻ em gặp nguy hiểm?")
    assert page_.links[0] == "tel:111"
    assert page_.headings[0][0] == 1
    assert page_.languages_of("Is this a mistake?") == ["en"]


def test_it_says_what_is_blocked_why_and_at_whose_request() -> None:
    _, page_ = page(LAW, appeal=APPEAL, operator="Nhà mạng <Mẫu>")
    for said in ("www.bad.example", "cờ bạc", "gambling", "cơ quan quản lý", "12/QĐ <b>", "Nhà mạng <Mẫu>"):
        assert said in page_.text
    assert page_.links.count(APPEAL) == 2
    assert "không làm được gì" in page_.text
    _, wished = page(WISH)
    assert "mức lọc mà mạng này đã chọn (trường học)" in wished.text
    assert "cơ quan quản lý" not in wished.text


@pytest.mark.parametrize("reason", [LAW, WISH])
def test_what_an_override_lets_pass_is_not_said_to_be_blocked(reason: Reason) -> None:
    response = respond(reason, pages(), lifted=True)
    page_ = Structure.of(response.body.decode())
    assert (response.status, page_.problems()) == (HTTPStatus.NOT_FOUND, [])
    assert "not blocked at the moment" in page_.text
    assert "hiện không bị chặn" in page_.text
    for said in (reason.name, "is on the list", "is not on this network's list", "12/QĐ", "34/QĐ"):
        assert said not in page_.text


def test_the_law_is_451_and_says_who_blocks_a_wish_is_403_and_nothing_is_404() -> None:
    law, _ = page(LAW, operator_url="https://operator-a.example/")
    assert law.status == HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS
    assert dict(law.headers)["Link"] == '<https://operator-a.example/>; rel="blocked-by"'
    wish, _ = page(WISH, operator_url="https://operator-a.example/")
    assert wish.status == HTTPStatus.FORBIDDEN
    assert "Link" not in dict(wish.headers)
    nothing, _ = page(None)
    assert nothing.status == HTTPStatus.NOT_FOUND


def test_what_the_operator_blocks_is_not_put_down_to_the_law() -> None:
    response, page_ = page(Reason("own.example", "default", None, False, None), operator_url="https://isp.example/")
    assert response.status == HTTPStatus.FORBIDDEN
    assert page_.problems() == []
    assert "quy định riêng của nhà mạng" in page_.text
    assert "để bảo vệ trẻ em" not in page_.text
    assert "authority, for everybody" not in page_.text


def test_no_reason_is_made_up() -> None:
    _, page_ = page(None)
    assert not any(said.vi in page_.text for said in words.CATEGORIES.values())
    assert "không nằm trong danh sách" in page_.text


def test_an_order_that_is_not_told_leaves_no_gap() -> None:
    _, page_ = page(Reason("worse.example", "default", Category.CSAM, True, None))
    assert "Văn bản yêu cầu" not in page_.text
    assert page_.problems() == []


def test_nothing_runs_and_nothing_is_fetched_but_the_icon() -> None:
    response, page_ = page(LAW, appeal=APPEAL)
    policy = dict(response.headers)["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert page_.fetched == ["/favicon.ico"]
    assert len(response.body) < 12_000

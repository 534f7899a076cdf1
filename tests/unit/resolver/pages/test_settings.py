"""The pages' settings: what they take, what they refuse, and where clients reach them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.pages import pages

TLS = {"certificate": "/etc/lachan/tls/pages.pem", "key": "/etc/lachan/tls/pages.key"}


def test_a_port_is_that_of_the_scheme_unless_one_is_given() -> None:
    made = pages(
        listen=[
            {"address": "192.0.2.80"},
            {"address": "192.0.2.80", "tls": TLS},
            {"address": "192.0.2.80", "port": 8443, "tls": TLS},
        ]
    )
    assert [(one.scheme, one.port) for one in made.listen] == [("http", 80), ("https", 443), ("https", 8443)]


def test_clients_reach_the_page_where_it_listens_unless_told_otherwise() -> None:
    listen = [{"address": "192.0.2.80"}, {"address": "192.0.2.80", "port": 8080}, {"address": "2001:db8::80"}]
    assert pages(listen=listen).reached_at == ("192.0.2.80", "2001:db8::80")
    assert pages(listen=listen, addresses=["203.0.113.80"]).reached_at == ("203.0.113.80",)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"listen": []}, "at least 1"),
        ({"listen": [{"address": "192.0.2.80"}, {"address": "192.0.2.80"}]}, "stand once"),
        ({"listen": [{"address": "0.0.0.0"}]}, "by which one clients come"),
        ({"listen": [{"address": "nowhere"}]}, "IPv4 or IPv6"),
        ({"name": "check"}, "two labels"),
        ({"name": "-.a..example"}, "label"),
        ({"operator": "one\ntwo"}, "printable"),
        ({"operator": " "}, "blanks"),
        ({"operator_url": "javascript:alert(1)"}, "pattern"),
        ({"operator_url": "https://a.example/>; rel=x"}, "pattern"),
        ({"appeal": 'https://a.example/"><b>'}, "pattern"),
        ({"appeal": "data:text/html,x"}, "pattern"),
        ({"appeal": "https://a.example/\r\nX: y"}, "pattern"),
    ],
)
def test_what_cannot_be_served_or_told_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        pages(**settings)


def test_an_appeal_may_be_a_page_a_letter_or_a_call() -> None:
    for way in ("https://operator-a.example/appeal?from=block", "mailto:appeal@operator-a.example", "tel:+84123"):
        assert pages(appeal=way).appeal == way
    # On every address, where no page has a name.
    assert pages(listen=[{"address": "0.0.0.0"}], name=None).reached_at == ()

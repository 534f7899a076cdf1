"""Values that several parts of the configuration share."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from resolver.values import Network, ServerName, UrlPath, spelled, with_port

PORTS = {"dot": 853, "doh": 443}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"protocol": "dot"}, {"protocol": "dot", "port": 853}),
        ({"protocol": "doh", "port": 8443}, {"protocol": "doh", "port": 8443}),
        ({"protocol": "quic"}, {"protocol": "quic"}),
        ({}, {}),
        ("text", "text"),
    ],
)
def test_a_protocol_stands_for_its_port_where_none_is_written(written: object, expected: object) -> None:
    assert with_port(written, PORTS) == expected


def test_what_was_written_is_left_as_it_is() -> None:
    written = {"protocol": "dot"}
    with_port(written, PORTS)
    assert written == {"protocol": "dot"}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Network, "192.0.2.0/24", "192.0.2.1/24"),
        (ServerName, "dns.operator.example", "dns.operator.example."),
        (UrlPath, "/dns-query/school", "dns-query"),
    ],
)
def test_kinds_take_what_they_name(kind: object, good: str, bad: str) -> None:
    adapter = TypeAdapter(kind)
    assert str(adapter.validate_python(good)) == good.lower()
    with pytest.raises(ValidationError):
        adapter.validate_python(bad)


def test_a_name_is_spelled_one_way() -> None:
    assert spelled("WWW.Bad.example.", "no root") == "www.bad.example"


@pytest.mark.parametrize(
    ("name", "reason"), [(".", "no root"), ("", "no root"), ("a..example", "label"), ("x" * 64, "label")]
)
def test_what_is_no_name_is_refused(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        spelled(name, "no root")

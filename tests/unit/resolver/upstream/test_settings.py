"""Upstreams as written: each protocol's port, and what it has no use for."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from resolver.upstream.settings import Forwarding, Upstream

PIN = base64.b64encode(bytes(32)).decode()


def made(**settings: Any) -> Upstream:
    return Upstream.model_validate({"address": "192.0.2.1"} | settings)


def test_each_protocol_has_its_port() -> None:
    ports = {protocol: made(protocol=protocol).port for protocol in ("udp", "tcp", "dot", "doh")}
    assert ports == {"udp": 53, "tcp": 53, "dot": 853, "doh": 443}
    assert (made().protocol, made().group, made(protocol="dot", port=8853).port) == ("udp", "default", 8853)


def test_it_is_named_by_how_and_where_it_is_asked() -> None:
    assert made().label == "udp:192.0.2.1:53"
    assert made(address="2001:DB8::0:1", protocol="doh").label == "doh:[2001:db8::1]:443"


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"server_name": "dns.example"}, "server_name: for dot and doh only"),
        ({"protocol": "tcp", "ca": "ca.pem"}, "ca: for dot and doh only"),
        ({"protocol": "tcp", "pins": [PIN]}, "pins: for dot and doh only"),
        ({"protocol": "dot", "path": "/dns-query"}, "path: for doh only"),
        ({"protocol": "dot", "pins": [PIN[:-4]]}, "a pin is a SHA-256"),
        ({"protocol": "dot", "pins": ["?" * 44]}, "a pin is a SHA-256"),
        ({"protocol": "doh", "path": "dns-query"}, "path"),
        ({"group": "A group"}, "group"),
        ({"protocol": "doq"}, "protocol"),
    ],
)
def test_what_it_has_no_use_for_is_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        made(**settings)


def test_an_encrypted_one_may_say_whom_to_trust() -> None:
    upstream = made(protocol="doh", server_name="dns.example", path="/q", ca="ca.pem", pins=[PIN])
    assert (upstream.server_name, upstream.path, upstream.pins) == ("dns.example", "/q", (PIN,))


# Groups ---------------------------------------------------------------------------------------------------------------

CORP = made(address="192.0.2.2", group="corp")


def forwarding(**settings: Any) -> Forwarding:
    return Forwarding.model_validate(settings)


def test_groups_have_numbers_and_strategies() -> None:
    both = (CORP, made(), made(address="192.0.2.3", group="abc"))
    made_of = forwarding(
        strategy="fastest",
        groups={"corp": {"strategy": "parallel_best"}},
        domains=[{"names": ["Corp.Example."], "group": "corp"}, {"names": ["abc"], "group": "abc"}],
    )
    assert made_of.problems(both) == []
    assert made_of.group_names(both) == ("default", "abc", "corp")
    assert [made_of.strategy_of(name) for name in made_of.group_names(both)] == ["fastest", "strict", "parallel_best"]
    assert made_of.domains[0].names == ("corp.example",)


@pytest.mark.parametrize(
    ("settings", "upstreams", "match"),
    [
        ({}, (CORP,), "none is in the group 'default'"),
        ({}, (made(), CORP), "nothing is forwarded to the group 'corp'"),
        ({"domains": [{"names": ["a.example"], "group": "corp"}]}, (made(),), "no upstream is in the group 'corp'"),
        ({"groups": {"corp": {}}}, (made(),), "forwarding.groups.corp: no upstream"),
        ({"groups": {"default": {}}}, (made(),), "its strategy is `forwarding.strategy`"),
        ({"domains": [{"names": ["a.example", "A.example"], "group": "corp"}]}, (made(), CORP), "'a.example' stands"),
        ({"sockets": 1024}, (made(),) * 5, "4096 sockets"),
        ({}, (made(), made()), "upstreams: udp:192.0.2.1:53 stands twice"),
    ],
)
def test_groups_that_do_not_fit_are_told(settings: dict[str, Any], upstreams: tuple[Upstream, ...], match: str) -> None:
    assert any(match in problem for problem in forwarding(**settings).problems(upstreams))


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "loudest"},
        {"domains": [{"names": [], "group": "corp"}]},
        {"domains": [{"names": ["a..example"], "group": "corp"}]},
        {"domains": [{"names": [""], "group": "corp"}]},
        {"misses_per_upstream": 0},
    ],
)
def test_what_is_no_way_to_forward_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        forwarding(**settings)

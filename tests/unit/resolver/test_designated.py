"""Service bindings and resolver information as dnspython reads them."""

from __future__ import annotations

import dns.rdata
import pytest

from lachan.labels import wire_name
from resolver.designated import Endpoint, information, service

NAME = "dns.operator.example"
ADDRESSES = ("192.0.2.53", "2001:db8::53", "192.0.2.54")


def text(rdata: bytes, rtype: int = 64) -> str:
    return dns.rdata.from_wire(1, rtype, rdata, 0, len(rdata)).to_text()


HINTS4, HINTS6 = 'ipv4hint="192.0.2.53,192.0.2.54"', 'ipv6hint="2001:db8::53"'


@pytest.mark.parametrize(
    ("endpoint", "addresses", "expected"),
    [
        (Endpoint("dot", 853), (), 'alpn="dot"'),
        (Endpoint("dot", 8853), (), 'alpn="dot" port="8853"'),
        (Endpoint("doq", 853), ADDRESSES[:1], 'alpn="doq" ipv4hint="192.0.2.53"'),
        (Endpoint("doh", 443), ADDRESSES[1:2], f'alpn="h2" {HINTS6} dohpath="/dns-query{{?dns}}"'),
        (Endpoint("doh", 8443, "/s"), ADDRESSES, f'alpn="h2" port="8443" {HINTS4} {HINTS6} dohpath="/s{{?dns}}"'),
    ],
)
def test_an_endpoint_is_told_as_rfc_9461_has_it(endpoint: Endpoint, addresses: tuple[str, ...], expected: str) -> None:
    assert text(service(endpoint, 1, NAME, addresses)) == f"1 {NAME}. {expected}"


def test_the_octets_of_a_service_binding() -> None:
    assert service(Endpoint("dot", 853), 2, NAME, ["192.0.2.53"]) == (
        b"\0\2" + wire_name(NAME) + b"\0\1\0\4\3dot" + b"\0\4\0\4\xc0\0\2\x35"
    )


def test_information_is_told_as_rfc_9606_has_it() -> None:
    assert text(information(False, None), 261) == '"exterr=3,13,14,15,16,17,18,19,22"'
    assert text(information(True, "https://dns.operator.example/about"), 261) == (
        '"qnamemin" "exterr=3,13,14,15,16,17,18,19,22" "infourl=https://dns.operator.example/about"'
    )

"""The table of networks against a walk through all of them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver._hot.networks import Networks
from tests.support.engine import mapped

Row = tuple[bytes, int, int]


def network(text: str, value: int) -> Row:
    net = ipaddress.ip_network(text)
    return mapped(str(net.network_address)), net.prefixlen + (96 if net.version == 4 else 0), value


def walked(networks: list[Row], address: bytes) -> int:
    """What the longest network that covers the address says; of two that are the same, the first."""
    number = int.from_bytes(address, "big")
    covering = [
        (-length, place, value)
        for place, (first, length, value) in enumerate(networks)
        if number >> 128 - length == int.from_bytes(first, "big") >> 128 - length
    ]
    return min(covering)[2] if covering else -1


NESTED = [
    network("10.0.0.0/8", 0),
    network("10.64.0.0/10", 1),
    network("10.64.1.0/24", 2),
    network("10.64.1.255/32", 3),
    network("10.127.255.255/32", 4),
    network("255.255.255.255/32", 5),
    network("2001:db8::/32", 6),
    network("2001:db8:ff::/48", 7),
    network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 8),
    network("10.0.0.0/8", 9),
]


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("9.255.255.255", -1),
        ("10.0.0.0", 0),
        ("10.64.0.0", 1),
        ("10.64.1.7", 2),
        ("10.64.1.255", 3),
        ("10.64.2.0", 1),
        ("10.127.255.255", 4),
        ("10.128.0.0", 0),
        ("11.0.0.0", -1),
        ("255.255.255.255", 5),
        ("::1:0:0:0", -1),
        ("2001:db8::1", 6),
        ("2001:db8:ff:ffff::1", 7),
        ("2001:db8:100::", 6),
        ("2001:db9::", -1),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 8),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", -1),
    ],
)
def test_the_longest_network_decides(address: str, value: int) -> None:
    assert Networks(NESTED).find_address(mapped(address)) == value
    assert walked(NESTED, mapped(address)) == value


def test_without_networks_there_is_none() -> None:
    assert Networks([]).find_address(bytes(16)) == -1


def test_everything_may_be_one_network() -> None:
    table = Networks([(bytes(16), 0, 3)])
    assert table.find_address(bytes(16)) == table.find_address(b"\xff" * 16) == 3


# Few bits, so that networks meet, nest and touch.
FEW = st.integers(0, 255).map(lambda bits: bytes([bits & 0xF0]) + bytes(14) + bytes([bits & 0x0F]))
LENGTHS = st.sampled_from([0, 1, 2, 3, 4, 8, 64, 120, 124, 125, 126, 127, 128])


@given(st.lists(st.tuples(FEW, LENGTHS, st.integers(0, 5)), max_size=40), st.lists(FEW, min_size=1, max_size=30))
def test_it_finds_what_a_walk_finds(networks: list[Row], addresses: list[bytes]) -> None:
    table = Networks(networks)
    edges = [
        (int.from_bytes(first, "big") + step) % (1 << 128) for first, length, _ in networks
        for step in (-1, 0, 1, (1 << 128 - length) - 1, 1 << 128 - length)
    ]  # fmt: skip
    for address in (*addresses, *(edge.to_bytes(16, "big") for edge in edges)):
        assert table.find_address(address) == walked(networks, address)


@pytest.mark.parametrize("row", [(bytes(4), 8, 0), (bytes(16), 129, 0), (bytes(16), -1, 0), (bytes(16), 8, -1)])
def test_what_is_no_network_is_refused(row: Row) -> None:
    with pytest.raises(ValueError, match="network 1"):
        Networks([(bytes(16), 0, 0), row])


def test_their_number_has_a_bound() -> None:
    with pytest.raises(ValueError, match="65536"):
        Networks([(bytes(16), 128, 0)] * 65537)
    with pytest.raises(ValueError, match="16 bytes"):
        Networks([]).find_address(bytes(4))

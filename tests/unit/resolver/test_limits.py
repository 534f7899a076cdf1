"""Rates as configured, and the tables that follow from them."""

from __future__ import annotations

import pytest

from lachan.config import ConfigError, parse
from resolver.limits import RateLimitSettings, make_limits
from tests.support.engine import mapped

SECRET = bytes(16)
HERE = mapped("192.0.2.1")
START = 10**9


def passed(settings: RateLimitSettings, address: str, count: int) -> int:
    table = make_limits(settings, bytearray(settings.table_bytes), SECRET)
    return sum(table.weigh(mapped(address), START) == "pass" for _ in range(count))


def test_the_defaults_hold_a_client_and_let_this_host_pass() -> None:
    settings = RateLimitSettings()
    assert settings.table_bytes == 1 << 20
    assert passed(settings, "192.0.2.1", 1500) == 1000
    assert passed(settings, "2001:db8::1", 1500) == 1000
    assert passed(settings, "127.0.0.1", 5000) == passed(settings, "::1", 5000) == 5000


def test_a_network_has_its_own_rate() -> None:
    settings = parse(
        """
        queries_per_second: 10
        burst: 20
        exceptions:
          - {network: 198.51.100.0/24, queries_per_second: 1000, misses: 5000}
          - {network: "2001:db8::/32", queries_per_second: 5, burst: 3}
        """,
        RateLimitSettings,
    )
    assert passed(settings, "203.0.113.1", 100) == 20
    assert passed(settings, "198.51.100.7", 5000) == 2000
    assert passed(settings, "2001:db8::7", 100) == 3
    table = make_limits(settings, bytearray(settings.table_bytes), SECRET)
    assert table.misses_of(HERE) == 512
    assert table.misses_of(mapped("198.51.100.7")) == 5000
    assert table.misses_of(mapped("2001:db8::7")) == 0xFFFFFFFF


def test_switched_off_it_limits_nobody() -> None:
    settings = parse(
        "{enabled: false, exceptions: [{network: 198.51.100.0/24, queries_per_second: 1}]}", RateLimitSettings
    )
    assert passed(settings, "192.0.2.1", 5000) == passed(settings, "198.51.100.1", 5000) == 5000
    # What waits for upstreams stays bounded.
    assert make_limits(settings, bytearray(settings.table_bytes), SECRET).misses_of(HERE) == 512


@pytest.mark.parametrize(
    "text",
    [
        "{queries_per_second: 0}",
        "{slip: 101}",
        "{ipv4_prefix: 33}",
        "{ipv6_prefix: 129}",
        "{exceptions: [{network: 192.0.2.1/24, queries_per_second: 1}]}",
        "{exceptions: [{queries_per_second: 1}]}",
        "{rate: 5}",
    ],
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text, RateLimitSettings)

"""Buckets of clients' prefixes against a token bucket in plain Python; full tables; counts of what is on its way."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver._hot.limits import ADMISSIONS, BUCKET_BYTES, Limits, Outstanding
from tests.support.engine import mapped

SECRET = bytes(range(16))
NO_LIMIT = 0xFFFFFFFF
HERE = mapped("192.0.2.1")
START = 10**9


def limits(
    per_second: int = 10,
    burst: int = 5,
    *,
    exceptions: list[tuple[bytes, int, int, int, int]] | None = None,
    prefixes: tuple[int, int] = (32, 56),
    slip: int = 0,
    entries: int = 1024,
    misses: int = 100,
    memory: bytearray | None = None,
) -> Limits:
    return Limits(
        memory if memory is not None else bytearray(entries * BUCKET_BYTES),
        SECRET,
        (per_second, burst, misses),
        exceptions or [],
        prefixes,
        slip,
    )


def passed(table: Limits, address: bytes, now: int, count: int) -> int:
    return sum(table.weigh(address, now) == "pass" for _ in range(count))


def test_a_burst_passes_and_then_the_rate() -> None:
    table = limits(10, 5)
    assert passed(table, HERE, START, 20) == 5
    assert passed(table, HERE, START + 99, 5) == 0
    assert passed(table, HERE, START + 100, 5) == 1
    # Silence earns a burst, never more.
    assert passed(table, HERE, START + 10_000, 20) == 5


class TokenBucket:
    def __init__(self, per_second: int, burst: int) -> None:
        self.per_second, self.burst, self.tokens, self.at = per_second, burst, burst * 1000, 0

    def admits(self, now: int) -> bool:
        self.tokens = min(self.burst * 1000, self.tokens + (now - self.at) * self.per_second)
        self.at = now
        if self.tokens < 1000:
            return False
        self.tokens -= 1000
        return True


@given(
    st.sampled_from([1, 2, 5, 10, 100, 250, 1000]),
    st.integers(1, 50),
    st.lists(st.integers(0, 3000), min_size=1, max_size=200),
)
def test_it_is_a_token_bucket(per_second: int, burst: int, pauses: list[int]) -> None:
    table, oracle = limits(per_second, burst), TokenBucket(per_second, burst)
    now = START
    for pause in pauses:
        now += pause
        assert (table.weigh(HERE, now) == "pass") == oracle.admits(now)


def test_a_rate_of_zero_has_no_limit() -> None:
    assert passed(limits(0, 1), HERE, START, 1000) == 1000


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8:0:ff::ffff", True),
        ("2001:db8::1", "2001:db8:0:100::1", False),
        ("::ffff:0:0", "::1", False),
    ],
)
def test_a_prefix_is_one_client(one: str, other: str, same: bool) -> None:
    table = limits()
    assert passed(table, mapped(one), START, 20) == 5
    assert passed(table, mapped(other), START, 20) == (0 if same else 5)
    assert (table.prefix_key(mapped(one)) == table.prefix_key(mapped(other))) == same


@pytest.mark.parametrize(
    ("prefixes", "one", "other"),
    [
        ((24, 56), "192.0.2.1", "192.0.2.254"),
        ((1, 56), "128.0.0.1", "203.0.113.1"),
        ((32, 128), "2001:db8::1", "2001:db8::1"),
        ((32, 72), "2001:db8:0:0:ab00::1", "2001:db8:0:0:abff::1"),
        ((32, 1), "8000::", "ffff::"),
    ],
)
def test_a_prefix_is_as_long_as_configured(prefixes: tuple[int, int], one: str, other: str) -> None:
    table = limits(prefixes=prefixes)
    assert table.prefix_key(mapped(one)) == table.prefix_key(mapped(other))
    assert table.prefix_key(mapped(one)) != table.prefix_key(mapped("2001:db7::" if ":" not in one else "192.0.2.1"))


@pytest.mark.parametrize("slip", [1, 2, 3, 10])
def test_every_so_many_refused_one_is_answered(slip: int) -> None:
    table = limits(slip=slip, burst=1)
    answers = [table.weigh(HERE, START) for _ in range(1 + 10 * slip)]
    assert answers == ["pass", *([*["drop"] * (slip - 1), "slip"] * 10)]
    # Where the clients mix, each has its own turn.
    other = mapped("192.0.2.2")
    assert [table.weigh(other, START) for _ in range(1 + slip)] == ["pass", *["drop"] * (slip - 1), "slip"]


def test_networks_may_have_their_own_rates() -> None:
    table = limits(
        exceptions=[
            (mapped("198.51.100.0"), 120, 100, 50, 700),
            (mapped("198.51.100.128"), 121, 0, 1, NO_LIMIT),
            (mapped("198.51.100.200"), 128, 10, 5, 100),
        ]
    )
    expected = {"192.0.2.9": (5, 100), "198.51.100.9": (50, 700), "198.51.100.130": (500, NO_LIMIT)}
    # The general rate again, inside.
    expected["198.51.100.200"] = (5, 100)
    for address, (burst, misses) in expected.items():
        assert passed(table, mapped(address), START, 500) == burst, address
        assert table.misses_of(mapped(address)) == misses


def test_a_slower_rate_of_a_new_configuration_is_not_waited_out() -> None:
    memory = bytearray(1024 * BUCKET_BYTES)
    assert passed(limits(1, 1000, memory=memory), HERE, START, 1000) == 1000
    table = limits(10, 5, memory=memory)
    assert passed(table, HERE, START, 5) == 0
    assert passed(table, HERE, START + 99, 5) == 0
    assert passed(table, HERE, START + 100, 5) == 1


def test_whatever_stands_in_the_memory_a_client_waits_no_longer_than_its_burst() -> None:
    memory = bytearray(random.Random(5).randbytes(4 * BUCKET_BYTES))
    table = limits(10, 5, memory=memory)
    for number in range(50):
        address = mapped(f"192.0.2.{number}")
        table.weigh(address, START)
        assert table.weigh(address, START + 1000) == "pass"


def test_workers_share_the_memory() -> None:
    memory = bytearray(1024 * BUCKET_BYTES)
    one, other = limits(memory=memory), limits(memory=memory)
    assert passed(one, HERE, START, 3) == 3
    assert passed(other, HERE, START, 9) == 2
    del one, other
    assert len(memory) == 1024 * BUCKET_BYTES


def test_a_flood_of_prefixes_cannot_wash_out_whoever_is_refused() -> None:
    table = limits(10, 100, entries=1024)
    loud = [mapped(f"198.51.100.{number}") for number in range(20)]
    for address in loud:
        assert passed(table, address, START, 150) == 100
    for number in range(50_000):
        # Each of them once: nearer to idle than the loud ones.
        assert table.weigh(mapped(f"2001:db8:{number >> 8:x}:{number & 255:x}00::"), START) == "pass"
    assert [passed(table, address, START, 10) for address in loud] == [0] * 20
    assert passed(table, HERE, START, 150) == 100


def test_ten_thousand_polite_clients_fit_into_far_fewer_buckets() -> None:
    table = limits(100, 10, entries=1024)
    refused = 0
    for second in range(5):
        for number in range(10_000):
            now = START + second * 1000 + number // 10
            refused += table.weigh(mapped(f"10.0.{number >> 8}.{number & 255}"), now) != "pass"
    assert refused == 0


def test_the_smallest_table_works() -> None:
    table = limits(1, 1, entries=4)
    for number in range(100):
        assert table.weigh(mapped(f"192.0.2.{number}"), START) == "pass"


@pytest.mark.parametrize(
    "arguments",
    [
        {"memory": bytearray(BUCKET_BYTES)},
        {"memory": bytearray()},
        {"memory": bytearray(4 * BUCKET_BYTES + 1)},
        {"per_second": -1},
        {"per_second": 10_000_001},
        {"burst": 0},
        {"misses": 0},
        {"prefixes": (0, 56)},
        {"prefixes": (32, 129)},
        {"slip": 101},
        {"exceptions": [(bytes(16), 129, 1, 1, 1)]},
        {"exceptions": [(bytes(16), 128, 1, burst, 1) for burst in range(1, 300)]},
    ],
)
def test_bounds_are_kept(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"memory|rate|prefixes|slip|network|exceptions"):
        limits(**arguments)  # type: ignore[arg-type] # what does not fit is the point


def test_a_secret_and_an_address_have_their_lengths() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Limits(bytearray(64), b"short", (1, 1, 1), [], (32, 56), 0)
    table = limits()
    for ask in (
        lambda: table.weigh(bytes(4), START),
        lambda: table.prefix_key(b""),
        lambda: table.misses_of(bytes(17)),
    ):
        with pytest.raises(ValueError, match="16 bytes"):
            ask()
    assert ADMISSIONS == ("pass", "slip", "drop")


# What is on its way --------------------------------------------------------------------------------------------------


def test_a_key_has_so_many_questions_and_no_more() -> None:
    table = Outstanding(100, 1)
    assert [table.take(7, 3) for _ in range(5)] == [True, True, True, False, False]
    assert table.take(8, 3)
    table.give(7)
    assert table.take(7, 3)
    assert not table.take(7, 3)
    assert table.used == 2


def test_a_limit_of_zero_lets_nothing_through() -> None:
    table = Outstanding(1, 1)
    assert not table.take(1, 0)
    assert table.used == 0


def test_a_full_table_refuses_strangers_only() -> None:
    table = Outstanding(8, 1)
    assert [table.take(key, 2) for key in range(1, 11)] == [True] * 8 + [False] * 2
    assert table.take(3, 2)
    table.give(5)
    assert table.take(9, 2)


def test_what_was_never_taken_is_not_given_back() -> None:
    table = Outstanding(8, 1)
    table.give(5)
    assert table.take(5, 1)
    assert table.used == 1


def test_zero_is_a_key() -> None:
    table = Outstanding(8, 1)
    assert table.take(0, 1)
    assert not table.take(0, 1)
    table.give(0)
    assert table.used == 0


@given(
    st.integers(1, 40),
    st.integers(0, (1 << 64) - 1),
    st.lists(st.tuples(st.booleans(), st.integers(0, 60).map(lambda key: key * 0x0123456789ABCDEF % (1 << 64)))),
)
def test_it_counts_as_a_counter_does(capacity: int, secret: int, steps: list[tuple[bool, int]]) -> None:
    table, oracle = Outstanding(capacity, secret), Counter[int]()
    for take, key in steps:
        name = key or 1
        if take:
            wanted = oracle[name] < 3 and (oracle[name] > 0 or len(+oracle) < capacity)
            assert table.take(key, 3) == wanted
            oracle[name] += wanted
        else:
            table.give(key)
            oracle[name] -= oracle[name] > 0
        assert table.used == len(+oracle)


@pytest.mark.parametrize("capacity", [0, (1 << 22) + 1])
def test_a_capacity_has_bounds(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity"):
        Outstanding(capacity, 1)
    assert Outstanding(5, 1).capacity == 5

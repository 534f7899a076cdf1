"""Domains of groups: the most specific decides, for itself and what is under it."""

from __future__ import annotations

import random

import pytest

from lachan.labels import wire_name
from resolver._hot.routes import Routes


def routes(**groups: int) -> Routes:
    return Routes([(wire_name(name.replace("_", ".")), group) for name, group in groups.items()])


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("corp.example", 1), ("www.corp.example", 1), ("lab.corp.example", 2), ("x.y.lab.corp.example", 2),
        ("example", 0), (".", 0), ("xcorp.example", 0), ("corp.example.test", 0), ("corp", 3), ("a.corp", 3),
    ],
)  # fmt: skip
def test_the_most_specific_domain_decides(name: str, group: int) -> None:
    table = routes(corp_example=1, lab_corp_example=2, corp=3)
    assert table.count == 3
    assert table.group(wire_name(name)) == group
    assert Routes([]).group(wire_name(name)) == 0


def test_it_is_what_a_plain_search_finds() -> None:
    source = random.Random(7)
    labels = ["a", "b", "c", "long-label", "x" * 63]

    def drawn(most: int) -> str:
        return ".".join(source.choice(labels) for _ in range(source.randint(1, most)))

    domains = {drawn(3): source.randrange(16) for _ in range(60)}
    table = Routes([(wire_name(name), group) for name, group in domains.items()])
    for _ in range(2000):
        name = drawn(3) if source.random() < 0.9 else ".".join(["a"] * 120)
        parts = name.split(".")
        suffixes = [".".join(parts[at:]) for at in range(len(parts))]
        assert table.group(wire_name(name)) == next((domains[one] for one in suffixes if one in domains), 0)


@pytest.mark.parametrize(
    "domains",
    [
        [(b"\0", 1)], [(b"", 1)], [(b"\4corp", 1)], [(b"\4corp\0x", 1)], [(b"\1a\0", 16)], [(b"\1a\0", -1)],
        [(b"\1a\0", 1), (b"\1a\0", 1)], [(b"\1a\0", 1)] * 8193,
    ],
    ids=["root", "empty", "open", "longer", "group", "negative", "twice", "many"],
)  # fmt: skip
def test_what_makes_no_table_is_refused(domains: list[tuple[bytes, int]]) -> None:
    with pytest.raises(ValueError, match=r"no name|no group|twice|the most"):
        Routes(domains)


def test_the_most_fit() -> None:
    table = Routes([(wire_name(f"d{number}.example"), number % 16) for number in range(8192)])
    assert table.group(wire_name("www.d8191.example")) == 15

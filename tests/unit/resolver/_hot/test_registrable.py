"""The number of a registrable domain, against the public suffix list as its own library reads it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from lachan.labels import wire_name
from resolver._hot.registrable import RULES, Registrable
from resolver.limits import make_registrable

TABLE = make_registrable(0x1234567890ABCDEF)
ORACLE = PublicSuffixList()


def key(name: str) -> int:
    return TABLE.key_of(wire_name(name))


def domain(name: str) -> str:
    return ORACLE.privatesuffix(name) or name


@pytest.mark.parametrize(
    ("name", "registrable"),
    [
        ("a.b.ok.example", "ok.example"),
        ("ok.example", "ok.example"),
        ("example", "example"),
        ("a.b.ok.com.vn", "ok.com.vn"),
        ("x.y.tenant.github.io", "tenant.github.io"),
        ("x.www.ck", "www.ck"),
        ("x.y.foo.ck", "y.foo.ck"),
        ("9.2.0.192.in-addr.arpa", "192.in-addr.arpa"),
        ("x.ok.xn--55qx5d.cn", "ok.xn--55qx5d.cn"),
    ],
)
def test_names_of_one_domain_have_one_number(name: str, registrable: str) -> None:
    assert domain(name) == registrable
    assert key(name) == key(registrable)
    assert key(name) != key(f"x{registrable}")


# Ends on which the list says something of each kind, and labels that meet its rules or miss them by one.
ENDS = [
    "example",
    "com.vn",
    "vn",
    "ck",
    "www.ck",
    "co.uk",
    "uk",
    "github.io",
    "io",
    "arpa",
    "in-addr.arpa",
    "er",
    "com",
]
NAMES = st.tuples(
    st.lists(st.sampled_from(["a", "b", "www", "city", "com", "xn--a"]), max_size=4), st.sampled_from(ENDS)
)


@given(NAMES, NAMES)
def test_two_names_share_a_number_where_they_share_a_domain(
    one: tuple[list[str], str], other: tuple[list[str], str]
) -> None:
    first, second = (".".join([*labels, end]) for labels, end in (one, other))
    assert (key(first) == key(second)) == (domain(first) == domain(second))


def test_every_rule_of_the_list_is_kept() -> None:
    suffixes = sorted(rule for rule in ORACLE._publicsuffix if rule.isascii() and rule[0] not in "!*")
    assert len(suffixes) > 5000
    for suffix in suffixes:
        assert key(f"a.zzq1.{suffix}") == key(f"c.zzq1.{suffix}"), suffix
        if domain(f"zzq1.{suffix}") == f"zzq1.{suffix}":
            assert key(f"a.zzq1.{suffix}") != key(f"a.zzq2.{suffix}"), suffix
    numbers = sorted(key(f"zzq1.{suffix}") for suffix in suffixes if domain(f"zzq1.{suffix}") == f"zzq1.{suffix}")
    assert all(one != other for one, other in pairwise(numbers))


def test_names_between_rules_are_no_rules() -> None:
    rules = {"deep.down.example": "here", "wide.example": "below", "not.wide.example": "not_here"}
    table = Registrable([(wire_name(name), RULES[kind]) for name, kind in rules.items()], 7)

    def same(one: str, other: str) -> bool:
        return table.key_of(wire_name(one)) == table.key_of(wire_name(other))

    assert same("a.down.example", "b.down.example")
    assert same("down.example", "x.y.down.example")
    assert not same("a.deep.down.example", "b.deep.down.example")
    assert same("x.a.deep.down.example", "y.a.deep.down.example")
    assert not same("x.a.wide.example", "y.a.wide.example")
    assert same("x.y.a.wide.example", "z.y.a.wide.example")
    assert same("x.not.wide.example", "not.wide.example")
    assert same("x.other", "y.x.other")
    assert not same("x.other", "y.other")


def test_the_root_has_a_number_too() -> None:
    assert key(".") == key(".")


@pytest.mark.parametrize("name", [b"", b"\3abc", b"\3abc\0x", b"\x05ab\0", bytes(300)])
def test_what_is_no_name_is_refused(name: bytes) -> None:
    with pytest.raises(ValueError, match="wire form"):
        TABLE.key_of(name)
    with pytest.raises(ValueError, match="wire form"):
        Registrable([(name, RULES["here"])], 1)


def test_rules_have_their_bounds() -> None:
    with pytest.raises(ValueError, match="no rule"):
        Registrable([(b"\2vn\0", 8)], 1)
    deep = [(b"".join(b"\1%c" % (97 + (number >> shift & 15)) for shift in range(0, 40, 4)) + b"\0", 1)
            for number in range(0, 1 << 40, (1 << 40) // 600)]  # fmt: skip
    with pytest.raises(ValueError, match="too many names above"):
        Registrable(deep, 1)

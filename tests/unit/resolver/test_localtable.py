"""Entries of each profile, and the sets of records they become."""

from __future__ import annotations

import dns.message
import pytest

from lachan.labels import wire_name
from lachan.message import AAAA, CNAME, TXT, A
from resolver.localtable import LocalError, LocalTable
from tests.support.packets import question, read


def records(table: LocalTable, name: str, rdtype: str = "A", profile: int = 0) -> list[str]:
    way, answer = table.compile().lookup(question(name, rdtype), profile)
    assert way == "answer"
    return [rrset.to_text() for rrset in read(answer).answer]


def way(table: LocalTable, name: str, rdtype: str = "A", profile: int = 0) -> tuple[str, bytes]:
    found, data = table.compile().lookup(question(name, rdtype), profile)
    return found, data if found == "rewrite" else b""


def test_records_of_one_type_are_one_set() -> None:
    table = LocalTable(1)
    for host in (1, 2):
        table.record("WWW.Example", A, 60, bytes([192, 0, 2, host]))
    table.record("www.example", AAAA, 90, bytes(15) + b"\1")
    assert records(table, "www.example") == [f"www.example. 60 IN A 192.0.2.{host}" for host in (1, 2)]
    assert records(table, "www.example", "AAAA") == ["www.example. 90 IN AAAA ::1"]


def chain() -> LocalTable:
    table = LocalTable(1)
    table.record("a.example", CNAME, 10, wire_name("B.example"))
    table.record("b.example", CNAME, 20, wire_name("c.example"))
    table.record("c.example", A, 30, bytes([192, 0, 2, 3]))
    table.record("c.example", TXT, 40, b"\2hi")
    return table


def test_a_chain_of_aliases_is_followed_to_its_end() -> None:
    links = ["a.example. 10 IN CNAME b.example.", "b.example. 20 IN CNAME c.example."]
    assert records(chain(), "a.example") == [*links, "c.example. 30 IN A 192.0.2.3"]
    assert records(chain(), "a.example", "TXT") == [*links, 'c.example. 40 IN TXT "hi"']
    assert records(chain(), "a.example", "CNAME") == links[:1]
    # Whoever asks for what is not there learns where it would be.
    assert records(chain(), "a.example", "MX") == links
    assert records(chain(), "b.example") == [links[1], "c.example. 30 IN A 192.0.2.3"]


def test_an_alias_of_a_name_elsewhere_is_left_to_the_caller() -> None:
    table = LocalTable(1)
    table.record("a.example", CNAME, 10, wire_name("b.example"))
    table.record("b.example", CNAME, 20, wire_name("Other.example"))
    for name in ("a.example", "b.example"):
        assert way(table, name) == ("rewrite", wire_name("other.example"))


@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("a", "b", "c", "d")])
def test_a_circle_of_aliases_is_refused(names: tuple[str, ...]) -> None:
    table = LocalTable(1)
    for name, target in zip(names, (*names[1:], names[0]), strict=True):
        table.alias(name, target, 1)
    with pytest.raises(LocalError, match="a: the chain of aliases has no end"):
        table.compile()


def test_an_alias_holds_nothing_else() -> None:
    for rtype, data in ((A, bytes(4)), (CNAME, wire_name("c.example"))):
        table = LocalTable(1)
        table.record("a.example", CNAME, 1, wire_name("b.example"))
        table.record("a.example", rtype, 1, data)
        with pytest.raises(LocalError, match=r"a\.example: an alias holds nothing else"):
            table.compile()


def test_what_comes_later_stands_over_what_came_before() -> None:
    table = LocalTable(1)
    table.zone("a.example", 60, "denied")
    table.record("a.example", A, 60, bytes([192, 0, 2, 1]))
    assert records(table, "a.example") == ["a.example. 60 IN A 192.0.2.1"]
    table.alias("a.example", "b.example", 60)
    assert way(table, "a.example")[0] == "rewrite"
    table.zone("a.example", 60, "refused")
    assert way(table, "a.example") == ("answer", b"")


def test_a_record_at_a_zones_apex_is_the_zones() -> None:
    table = LocalTable(1)
    table.zone("a.example", 60)
    table.record("a.example", A, 60, bytes([192, 0, 2, 1]))
    assert records(table, "a.example") == ["a.example. 60 IN A 192.0.2.1"]
    assert way(table, "x.a.example") == ("answer", b"")


def test_profiles_are_apart_and_share_what_is_the_same() -> None:
    table = LocalTable(3)
    table.record("same.example", A, 60, bytes([192, 0, 2, 1]))
    table.record("own.example", A, 60, bytes([192, 0, 2, 1]))
    table.record("own.example", A, 60, bytes([192, 0, 2, 2]), profiles=[1])
    table.alias("safe.example", "other.example", 60, profiles=[2])
    assert [len(records(table, "own.example", profile=p)) for p in range(3)] == [1, 2, 1]
    assert [way(table, "safe.example", profile=p)[0] for p in range(3)] == ["on", "on", "rewrite"]
    # same, own twice, safe, and `example` above them.
    assert table.compile().count == 5


def test_addresses_stand_beside_what_leads_to_them() -> None:
    table = LocalTable(1)
    table.record("_dns.example", TXT, 60, b"\2hi", beside="Host.example")
    table.record("host.example", AAAA, 60, bytes(15) + b"\1")
    table.record("host.example", A, 60, bytes([192, 0, 2, 1]))
    message = dns.message.from_wire(table.compile().lookup(question("_dns.example", "TXT"))[1])
    assert [rrset.to_text() for rrset in message.additional] == [
        "host.example. 60 IN A 192.0.2.1",
        "host.example. 60 IN AAAA ::1",
    ]


def test_a_set_of_records_has_a_bound() -> None:
    table = LocalTable(1)
    for _ in range(2000):
        table.record("a.example", A, 60, bytes(4))
    with pytest.raises(LocalError, match="set of records"):
        table.compile()


@pytest.mark.parametrize("profiles", [0, 9])
def test_profiles_have_a_bound(profiles: int) -> None:
    with pytest.raises(LocalError, match="1 to 8"):
        LocalTable(profiles)

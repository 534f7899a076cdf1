"""The compiled table of local answers, against a walk through plain dictionaries; dnspython reads every answer."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lachan.labels import wire_name
from resolver._hot.locals import FLAGS, KINDS, WAYS, Locals
from tests.support.packets import error_code, question, read

A, TXT = 1, 16
EVERYBODY = 0xFF
NONE = 0xFFFF
Set = tuple[int, int, bytes, int, bytes]
Node = tuple[bytes, int, int, int, int, int, int, list[Set], bytes]


def rr(rtype: int, rdata: bytes, owner: bytes = b"\xc0\x0c", ttl: int = 60, rclass: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", rtype, rclass, ttl, len(rdata)) + rdata


def a_set(*hosts: int) -> Set:
    return A, len(hosts), b"".join(rr(A, bytes([192, 0, 2, host])) for host in hosts), 0, b""


def node(
    name: str,
    kind: str,
    *records: Set,
    profiles: int = EVERYBODY,
    flags: tuple[str, ...] = (),
    ttl: int = 600,
    ede: int = NONE,
    target: str = "",
    qclass: int = 1,
) -> Node:
    bits = sum(FLAGS[flag] for flag in flags)
    return (
        wire_name(name),
        qclass,
        KINDS[kind],
        profiles,
        bits,
        ttl,
        ede,
        list(records),
        wire_name(target) if target else b"",
    )


def ask(
    table: Locals, name: str, rdtype: str = "A", profile: int = 0, **more: object
) -> tuple[str, dns.message.Message]:
    way, answer = table.lookup(question(name, rdtype, **more), profile)  # type: ignore[arg-type] # a query's settings
    return way, read(answer) if way == "answer" else dns.message.Message()


def told(message: dns.message.Message) -> tuple[str, str | None]:
    """RCODE, and the owner of the SOA of a denial."""
    owners = [str(rrset.name) for rrset in message.authority]
    assert len(owners) <= 1
    return dns.rcode.to_text(message.rcode()), owners[0] if owners else None


TABLE = Locals(
    [
        node("zone.example", "zone", a_set(1), ttl=900),
        node("www.zone.example", "name", a_set(2, 3)),
        node("deep.down.zone.example", "name", a_set(4)),
        node("hole.zone.example", "forward"),
        node("kept.hole.zone.example", "name", a_set(5)),
        node("inner.zone.example", "zone"),
        node("wide.example", "zone", a_set(6), flags=("covers",)),
        node("except.wide.example", "name", a_set(7)),
        node("gone.example", "denied", ede=17),
        node("back.gone.example", "name", a_set(8)),
        node("closed.example", "refused", ede=18),
        node("alone.example", "name", a_set(9), ttl=77),
        node("open.example", "name", a_set(10), flags=("open",)),
        node("open.zone.example", "name", a_set(11), flags=("open",)),
        node("alias.example", "rewrite", target="safe.other.example"),
        node("ask.example", "ask"),
        node("school.example", "zone", profiles=0b10),
        node("both.example", "name", a_set(20), profiles=0b01),
        node("both.example", "name", a_set(21), profiles=0b10),
        node("chaos.bind", "name", (TXT, 1, rr(TXT, b"\2hi", rclass=3), 0, b""), qclass=3),
    ]
)


@pytest.mark.parametrize(
    ("name", "rdtype", "way", "rcode", "soa", "hosts"),
    [
        ("zone.example", "A", "answer", "NOERROR", None, [1]),
        ("zone.example", "AAAA", "answer", "NOERROR", "zone.example.", []),
        ("ZONE.Example", "A", "answer", "NOERROR", None, [1]),
        ("www.zone.example", "A", "answer", "NOERROR", None, [2, 3]),
        ("www.zone.example", "TXT", "answer", "NOERROR", "zone.example.", []),
        ("no.www.zone.example", "A", "answer", "NXDOMAIN", "zone.example.", []),
        ("no.zone.example", "A", "answer", "NXDOMAIN", "zone.example.", []),
        # What has something below it exists (RFC 8020).
        ("down.zone.example", "A", "answer", "NOERROR", "zone.example.", []),
        ("no.down.zone.example", "A", "answer", "NXDOMAIN", "zone.example.", []),
        ("hole.zone.example", "A", "on", "", None, []),
        ("x.hole.zone.example", "A", "on", "", None, []),
        ("kept.hole.zone.example", "A", "answer", "NOERROR", None, [5]),
        ("kept.hole.zone.example", "MX", "answer", "NOERROR", "kept.hole.zone.example.", []),
        ("x.inner.zone.example", "A", "answer", "NXDOMAIN", "inner.zone.example.", []),
        ("wide.example", "A", "answer", "NOERROR", None, [6]),
        ("any.thing.wide.example", "A", "answer", "NOERROR", None, [6]),
        ("any.thing.wide.example", "MX", "answer", "NOERROR", "wide.example.", []),
        ("except.wide.example", "A", "answer", "NOERROR", None, [7]),
        ("gone.example", "A", "answer", "NXDOMAIN", "gone.example.", []),
        ("x.gone.example", "MX", "answer", "NXDOMAIN", "gone.example.", []),
        ("back.gone.example", "A", "answer", "NOERROR", None, [8]),
        ("closed.example", "A", "answer", "REFUSED", None, []),
        ("x.closed.example", "A", "answer", "REFUSED", None, []),
        ("alone.example", "A", "answer", "NOERROR", None, [9]),
        ("alone.example", "MX", "answer", "NOERROR", "alone.example.", []),
        ("x.alone.example", "A", "on", "", None, []),
        ("open.example", "A", "answer", "NOERROR", None, [10]),
        ("open.example", "MX", "on", "", None, []),
        ("open.zone.example", "MX", "answer", "NOERROR", "zone.example.", []),
        ("example", "A", "on", "", None, []),
        (".", "A", "on", "", None, []),
        ("zone.example.other", "A", "on", "", None, []),
        ("xzone.example", "A", "on", "", None, []),
        ("both.example", "A", "answer", "NOERROR", None, [20]),
        ("chaos.bind", "TXT", "on", "", None, []),
    ],
)  # fmt: skip
def test_each_name_has_its_answer(
    name: str, rdtype: str, way: str, rcode: str, soa: str | None, hosts: list[int]
) -> None:
    found, message = ask(TABLE, name, rdtype)
    assert found == way
    if way != "answer":
        return
    assert told(message) == (rcode, soa)
    assert [str(rrset[0]) for rrset in message.answer] == [f"192.0.2.{host}" for host in hosts]
    # The case that was asked in stands in the answer.
    assert str(message.question[0].name) == f"{name}."
    assert all(str(rrset.name) == f"{name}." for rrset in message.answer)


def test_an_answer_speaks_with_authority_of_its_zone_only() -> None:
    for name, aa in {
        "zone.example": True,
        "no.zone.example": True,
        "gone.example": False,
        "closed.example": False,
    }.items():
        _, message = ask(TABLE, name, cd=True)
        assert bool(message.flags & dns.flags.AA) == aa
        assert message.flags & (dns.flags.QR | dns.flags.RA | dns.flags.CD | dns.flags.RD) == 0x8190
        assert not message.flags & dns.flags.AD
    _, message = ask(TABLE, "zone.example", rd=False)
    assert not message.flags & dns.flags.RD


def test_a_zone_has_an_soa_and_a_name_server() -> None:
    _, message = ask(TABLE, "zone.example", "SOA")
    soa = "zone.example. nobody.invalid. 1 3600 1200 604800 900"
    assert [rrset.to_text() for rrset in message.answer] == [f"zone.example. 900 IN SOA {soa}"]
    _, message = ask(TABLE, "zone.example", "NS")
    assert [rrset.to_text() for rrset in message.answer] == ["zone.example. 900 IN NS zone.example."]
    _, message = ask(TABLE, "www.zone.example", "SOA")
    assert [rrset.to_text() for rrset in message.authority] == [f"zone.example. 900 IN SOA {soa}"]
    assert message.answer == []


def test_the_ds_records_of_a_zone_are_its_parents() -> None:
    assert ask(TABLE, "zone.example", "DS")[0] == "on"
    assert ask(TABLE, "ask.example", "DS")[0] == "on"
    assert told(ask(TABLE, "inner.zone.example", "DS")[1]) == ("NOERROR", "zone.example.")
    assert told(ask(TABLE, "www.zone.example", "DS")[1]) == ("NOERROR", "zone.example.")
    # What does not exist has no parent that knows better.
    assert told(ask(TABLE, "gone.example", "DS")[1]) == ("NXDOMAIN", "gone.example.")


def test_any_gets_one_set() -> None:
    assert [str(rrset[0]) for rrset in ask(TABLE, "www.zone.example", "ANY")[1].answer] == ["192.0.2.2", "192.0.2.3"]
    [soa] = ask(TABLE, "inner.zone.example", "ANY")[1].answer
    assert soa.rdtype == dns.rdatatype.SOA


@pytest.mark.parametrize("rdtype", ["AXFR", "IXFR", "MAILB", "TYPE249"])
def test_nothing_is_transferred(rdtype: str) -> None:
    assert told(ask(TABLE, "zone.example", rdtype)[1]) == ("REFUSED", None)


def test_an_alias_tells_where_it_leads() -> None:
    for rdtype in ("A", "AAAA", "HTTPS", "TXT"):
        assert TABLE.lookup(question("Alias.example", rdtype)) == ("rewrite", wire_name("safe.other.example"))
    assert TABLE.lookup(question("x.alias.example")) == ("on", b"")


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("abcdefgh.ask.example", "TXT", "ask"),
        ("abcdefg.ask.example", "TXT", "NOERROR"),
        ("abcdefgh.ask.example", "A", "NOERROR"),
        ("x.abcdefgh.ask.example", "TXT", "NXDOMAIN"),
        ("ask.example", "TXT", "NOERROR"),
    ],
)
def test_python_is_asked_for_a_nonce_alone(name: str, rdtype: str, expected: str) -> None:
    way, message = ask(TABLE, name, rdtype)
    assert way == "ask" if expected == "ask" else told(message) == (expected, "ask.example.")


def test_profiles_have_their_own_answers() -> None:
    assert ask(TABLE, "x.school.example", profile=0)[0] == "on"
    assert told(ask(TABLE, "x.school.example", profile=1)[1]) == ("NXDOMAIN", "school.example.")
    assert [str(ask(TABLE, "both.example", profile=p)[1].answer[0][0]) for p in (0, 1)] == ["192.0.2.20", "192.0.2.21"]
    assert ask(TABLE, "both.example", profile=2)[0] == "on"


def test_classes_are_apart() -> None:
    way, answer = TABLE.lookup(question("chaos.bind", "TXT", rdclass="CH"))
    assert way == "answer"
    [rrset] = dns.message.from_wire(answer).answer
    assert (rrset.rdclass, rrset[0].to_text()) == (dns.rdataclass.CHAOS, '"hi"')
    assert ask(TABLE, "zone.example", rdclass="CH")[0] == "on"


def test_a_denial_tells_why() -> None:
    assert error_code(ask(TABLE, "gone.example")[1]) == 17
    assert error_code(ask(TABLE, "closed.example")[1]) == 18
    assert error_code(ask(TABLE, "no.zone.example")[1]) is None
    assert not ask(TABLE, "gone.example", edns=False)[1].options


def long_txt(size: int) -> Set:
    return (
        TXT,
        size,
        b"".join(rr(TXT, b"\x63" + b"x" * 99) for _ in range(size)),
        1,
        rr(A, bytes(4), wire_name("b.example")),
    )


def test_what_is_too_long_is_cut_at_a_record_or_not_told_at_all() -> None:
    table = Locals([node("a.example", "name", long_txt(9))])
    query = question("a.example", "TXT")
    whole = 12 + 15 + 9 * 112
    for limit, answers, additionals in (
        (2000, 9, 1),
        (whole + 25 + 39, 9, 1),
        (whole + 25 + 38, 9, 0),
        (whole + 39, 9, 0),
    ):
        _, answer = table.lookup(query, 0, limit)
        message = read(answer)
        assert (len(message.answer), len(message.additional)) == (answers, additionals)
        assert not message.flags & dns.flags.TC
    _, answer = table.lookup(query, 0, whole + 38)
    message = read(answer)
    assert message.flags & dns.flags.TC
    assert not message.answer + message.additional
    # Without OPT, its room is free.
    assert len(read(table.lookup(question("a.example", "TXT", edns=False), 0, whole)[1]).answer) == 9


def test_an_empty_table_answers_nothing() -> None:
    table = Locals([])
    assert table.lookup(question("localhost")) == ("on", b"")
    assert table.count == 0


@pytest.mark.parametrize(
    "nodes",
    [
        [node(".", "zone")],
        [(b"\3abc", 1, 2, 255, 0, 0, NONE, [], b"")],
        [(b"\3ABC\0", 1, 2, 255, 0, 0, NONE, [], b"")],
        [(b"\3abc\0", 1, 9, 255, 0, 0, NONE, [], b"")],
        [(b"\3abc\0", 1, 2, 256, 0, 0, NONE, [], b"")],
        [(b"\3abc\0", 1, 2, 255, 4, 0, NONE, [], b"")],
        [node("a.example", "zone"), node("a.example", "name")],
        [node("a.example", "zone", profiles=3), node("a.example", "name", profiles=6)],
        [node("a.example", "rewrite")],
        [node("a.example", "name", target="b.example")],
        [(b"\3abc\0", 1, 6, 255, 0, 0, NONE, [], b"\3abc")],
        [node("a.example", "name", (A, 0, b"", 0, b""))],
        [node("a.example", "name", (A, 1, bytes(16385), 0, b""))],
        [node("a.example", "name", (A, 1, bytes(16), 1, bytes(16385)))],
    ],
)
def test_what_cannot_be_a_table_is_refused(nodes: list[Node]) -> None:
    with pytest.raises(
        ValueError, match=r"no lowercased name|no such kind|stands twice|alias has a target|set of records"
    ):
        Locals(nodes)


def test_bounds_of_a_lookup() -> None:
    for profile, limit in ((8, 65535), (0, 511), (0, 65536)):
        with pytest.raises(ValueError, match="limit of 512"):
            TABLE.lookup(question("zone.example"), profile, limit)
    with pytest.raises(ValueError, match="cannot be read"):
        TABLE.lookup(b"x" * 40)
    assert WAYS == ("on", "answer", "rewrite", "ask")


# The oracle: names as tuples of labels, root last ---------------------------------------------------------------------

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Expected:
    way: str
    rcode: str = ""
    soa: Labels | None = None
    host: int | None = None


def walk(nodes: dict[Labels, tuple[str, int | None, bool]], name: Labels) -> Expected:
    """What A of a name is told: from kind, host and `covers` of each node."""
    suffixes = [name[at:] for at in range(len(name))]
    zone = next((s for s in suffixes if s in nodes and nodes[s][0] not in {"name", "rewrite"}), None)
    kind = nodes[zone][0] if zone else "forward"
    own, host, _ = nodes.get(name, ("", None, False))
    if own == "rewrite":
        return Expected("rewrite")
    if own == "name":
        if host is not None:
            return Expected("answer", "NOERROR", None, host)
        return Expected("answer", "NOERROR", zone if kind == "zone" else name)
    if kind == "forward" or zone is None:
        return Expected("on")
    if kind == "refused":
        return Expected("answer", "REFUSED")
    if kind == "denied":
        return Expected("answer", "NXDOMAIN", zone)
    _, host, covers = nodes[zone]
    if (zone == name or covers) and host is not None:
        return Expected("answer", "NOERROR", None, host)
    exists = covers or any(other[-len(name) :] == name for other in nodes)
    return Expected("answer", "NOERROR" if exists else "NXDOMAIN", zone)


LABELS = st.lists(st.sampled_from(["a", "b", "c", "long-label-of-more-than-eight"]), min_size=1, max_size=4).map(tuple)
ENTRIES = st.tuples(
    st.sampled_from(["name", "zone", "denied", "refused", "forward", "rewrite"]),
    st.one_of(st.none(), st.integers(1, 254)),
    st.booleans(),
)


@given(st.dictionaries(LABELS, ENTRIES, max_size=12), st.lists(LABELS, min_size=1, max_size=12))
def test_it_finds_what_a_walk_finds(nodes: dict[Labels, tuple[str, int | None, bool]], names: list[Labels]) -> None:
    table = Locals(
        [
            node(
                ".".join(labels),
                kind,
                *([a_set(host)] if host is not None and kind in {"name", "zone"} else []),
                flags=("covers",) if covers and kind == "zone" else (),
                target="t" if kind == "rewrite" else "",
            )
            for labels, (kind, host, covers) in nodes.items()
        ]
    )
    plain = {name: (kind, host, covers and kind == "zone") for name, (kind, host, covers) in nodes.items()}
    for name in [*names, *nodes, *(("x", *labels) for labels in nodes)]:
        wanted = walk(plain, name)
        way, message = ask(table, ".".join(name))
        assert way == wanted.way
        if way == "answer":
            rcode, soa = told(message)
            assert rcode == wanted.rcode
            assert soa == (".".join(wanted.soa) + "." if wanted.soa else None)
            assert [str(rrset[0]) for rrset in message.answer] == [f"192.0.2.{wanted.host}"] * (wanted.host is not None)


@given(st.binary(max_size=300), st.integers(0, 7))
def test_whatever_is_asked_the_answer_is_whole(tail: bytes, profile: int) -> None:
    query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + tail
    try:
        way, answer = TABLE.lookup(query, profile, 512)
    except ValueError:
        return
    if way == "answer":
        assert len(answer) <= 512
        read(answer)


@given(
    st.lists(st.binary(min_size=1, max_size=63), max_size=4),
    st.sampled_from(["zone.example", "wide.example", "gone.example", "closed.example", "ask.example", "example"]),
    st.sampled_from([1, 2, 5, 6, 16, 28, 43, 65, 255, 261, 65535]),
    st.booleans(),
)
def test_whatever_stands_below_a_zone_the_answer_is_whole(
    labels: list[bytes], end: str, rtype: int, edns: bool
) -> None:
    name = b"".join(bytes([len(label)]) + label for label in labels) + wire_name(end)
    if len(name) > 255:
        return
    opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0" if edns else b""
    query = b"\x12\x34\1\0\0\1\0\0\0\0\0" + bytes([edns]) + name + struct.pack("!HH", rtype, 1) + opt
    way, answer = TABLE.lookup(query, 0, 512)
    assert way in {"on", "answer", "ask"}
    if way == "answer":
        message = read(answer)
        assert message.question[0].name.to_wire() == name
        assert (message.edns >= 0) == edns
        for rrset in message.authority:
            assert message.question[0].name.is_subdomain(rrset.name)

"""What clients get, held against dnspython and lachan.message: upstreams' answers whole, and names of our own.

A record that an upstream sent arrives as it was sent but for its time to live, or the answer says that it was cut.
"""

from __future__ import annotations

from functools import cache

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lachan.message import parse
from resolver.local import LocalSettings, compile_locals
from tests.support.engine import SCHOOL, TCP, UDP, Rig, policy, rig
from tests.support.packets import error_code, header_flags, question, read

TTL_MAX = 86_400
OPT_BYTES = 11
NUMBERS = iter(range(1 << 30))

LABEL = st.binary(min_size=1, max_size=20)
NAME = st.lists(LABEL, max_size=3).map(lambda labels: dns.name.Name([*labels, b"ok", b"example", b""]))
TEXT = st.lists(st.binary(max_size=255), min_size=1, max_size=4).map(
    lambda strings: b"".join(bytes([len(string)]) + string for string in strings)
)
DATA = st.one_of(
    st.tuples(st.just(1), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(28), st.binary(min_size=16, max_size=16)),
    st.tuples(st.sampled_from([2, 5, 12, 39]), NAME.map(lambda name: name.to_wire())),
    st.tuples(st.just(15), NAME.map(lambda name: b"\0\x0a" + name.to_wire())),
    st.tuples(st.just(16), TEXT),
    st.tuples(st.just(65_280), st.binary(min_size=4, max_size=300)),
)
RECORD = st.tuples(NAME, st.integers(0, 0x7FFFFFFF), DATA)
SECTION = st.lists(RECORD, max_size=5)


@cache
def forwarding() -> Rig:
    """One engine for all examples; every name is new."""
    return rig(policy(), sockets=2, ttl_max=TTL_MAX)


def section(drawn: list[tuple[dns.name.Name, int, tuple[int, bytes]]]) -> list[dns.rrset.RRset]:
    return [
        dns.rrset.from_rdata(name, ttl, dns.rdata.from_wire(dns.rdataclass.IN, rtype, data, 0, len(data)))
        for name, ttl, (rtype, data) in drawn
    ]


def lines(message: dns.message.Message, age: int = 0) -> list[list[str]]:
    """The records of each section, each as a client is to have it."""
    found = []
    for rrsets in (message.answer, message.authority, message.additional):
        found.append([])
        for rrset in rrsets:
            copy = rrset.copy()
            copy.update_ttl(max(min(rrset.ttl, TTL_MAX) - age, 0))
            copy.ttl = max(min(rrset.ttl, TTL_MAX) - age, 0)
            found[-1].append(copy.to_text())
    return found


@given(
    sections=st.tuples(SECTION, SECTION, SECTION),
    rcode=st.sampled_from([0, 0, 3]),
    flags=st.integers(0, 0xFFFF),
    options=st.none() | st.lists(st.tuples(st.integers(65_001, 65_534), st.binary(max_size=20)), max_size=2),
    client=st.none() | st.sampled_from([0, 512, 700, 1232, 4096, 65_535]),
    do=st.booleans(),
    age=st.integers(0, 200),
)
@example(
    sections=([], [], [(dns.name.from_text(name), 0, (1, bytes(4))) for name in ("Q.ok.example", "q.ok.example")]),
    rcode=0, flags=0, options=None, client=None, do=False, age=0,
)  # fmt: skip
@settings(max_examples=300)
def test_what_an_upstream_says_arrives_whole_or_cut_short_and_in_time(
    sections: tuple[list[tuple[dns.name.Name, int, tuple[int, bytes]]], ...],
    rcode: int,
    flags: int,
    options: list[tuple[int, bytes]] | None,
    client: int | None,
    do: bool,
    age: int,
) -> None:
    own = forwarding()
    # What stands there would grow older than the machine.
    own.cache.flush(b"\0", True)
    name = f"q{next(NUMBERS)}.ok.example"
    query = question(name, edns=client is not None, do=do and client is not None, size=client or 0)
    assert own.ask(query) is None
    asked, source = own.upstreams[0].receive()
    said = dns.message.Message(id=int.from_bytes(asked[:2], "big"))
    # Neither TC, which leads to TCP, nor another opcode, which answers nothing.
    said.flags = 0x8000 | flags & 0x05F0
    said.question = dns.message.from_wire(asked).question
    # What is answered belongs to the name that was asked for; other names have tests of their own.
    answers, *others = sections
    said.answer = section([(read(query).question[0].name, ttl, data) for _, ttl, data in answers])
    said.authority, said.additional = map(section, others)
    if options is not None:
        said.use_edns(0, flags & 0x8000, 4096, options=[dns.edns.GenericOption(*option) for option in options])
    said.set_rcode(rcode)
    wire = said.to_wire(max_size=65_535)
    # As it stands there: compression takes one name for another that differs in its letters' case.
    said = read(wire)
    own.upstreams[0].send(wire, source)
    answer = own.wait(own.token)
    check(query, answer, said, 0, 65_535)
    # Later, whoever has it of the cache: by a datagram as much as there is room for.
    own.age(age)
    limit = 512 if client is None else min(max(client, 512), 1232)
    for transport, room in ((TCP, 65_535), (UDP, limit)):
        again = own.onlooker.ask(query, transport=transport)
        assert again is not None
        if read(again).rcode() != dns.rcode.SERVFAIL:
            check(query, again, said, age, room)


def check(query: bytes, answer: bytes, said: dns.message.Message, age: int, room: int) -> None:
    """An answer made from what an upstream said."""
    asked, message = read(query), read(answer)
    assert len(answer) <= room
    assert (
        answer[12 : 12 + len(asked.question[0].name.to_wire()) + 4]
        == query[12 : 12 + len(asked.question[0].name.to_wire()) + 4]
    )
    assert (message.id, message.rcode(), message.opcode()) == (asked.id, said.rcode(), 0)
    assert (message.edns, message.options) == (asked.edns, ())
    assert message.ednsflags == asked.ednsflags & 0x8000
    bare = said.to_wire(max_size=65_535)
    if said.edns >= 0:
        bare = bare[: -OPT_BYTES - sum(4 + len(option.to_wire()) for option in said.options)]
    fits = len(bare) + (OPT_BYTES if asked.edns >= 0 else 0) <= room
    passed = dns.flags.AD if said.flags & dns.flags.AD and asked.ednsflags & 0x8000 else 0
    if fits:
        assert header_flags(message) == dns.flags.QR | dns.flags.RA | dns.flags.RD | passed
        assert lines(message) == lines(said, age)
    else:
        assert header_flags(message) == dns.flags.QR | dns.flags.RA | dns.flags.RD | dns.flags.TC
        assert lines(message) == [[], [], []]
    parsed = parse(answer)
    assert (parsed.id, parsed.rcode, len(parsed.answers)) == (asked.id, said.rcode(), len(message.answer))


# Names of our own -----------------------------------------------------------------------------------------------------

ZONES = ("inside.example", "test", "10.in-addr.arpa", "resolver.arpa", "localhost", "invalid")
HOLE = "out.inside.example"
LOCAL = LocalSettings.model_validate({
    "name": "resolver.example", "addresses": ["192.0.2.53"], "zones": ["inside.example"], "forwarded": [HOLE],
    "records": [
        {"name": "host.inside.example", "type": "A", "value": "192.0.2.10"},
        {"name": "a.deep.host.inside.example", "type": "AAAA", "value": "2001:db8::1"},
        {"name": "alias.inside.example", "type": "CNAME", "value": "host.inside.example"},
        {"name": "long.inside.example", "type": "TXT", "value": "x" * 900},
        {"name": "taught.inside.example", "type": "A", "value": "192.0.2.11", "profiles": ["school"]},
    ],
})  # fmt: skip
OWNED = tuple(record.name for record in LOCAL.records)


@cache
def local() -> Rig:
    """One engine for all examples; what is not its own fails at once."""
    return rig(policy(), upstreams=0, here=compile_locals(LOCAL, ("default", "school")))


def within(name: dns.name.Name, zone: str) -> bool:
    return name.is_subdomain(dns.name.from_text(zone))


PLACES = st.sampled_from([*ZONES, HOLE, *OWNED, "deep.host.inside.example", "example", "resolver.example"])
PLACE = st.builds(
    lambda labels, place: dns.name.Name([*labels, *dns.name.from_text(place).labels]),
    st.lists(st.sampled_from([b"a", b"HOST", b"deep", b"out", b"1", b"\0\xff."]), max_size=2),
    PLACES,
)
TYPES = st.sampled_from(["A", "AAAA", "TXT", "CNAME", "SOA", "NS", "DS", "MX", "ANY", "AXFR", "TYPE65280"])


@given(PLACE, TYPES, st.booleans(), st.sampled_from([512, 1232]), st.booleans())
@example(dns.name.from_text("long.inside.example"), "TXT", False, 512, True)
@settings(max_examples=500)
def test_names_of_our_own_are_answered_here_and_no_others(
    name: dns.name.Name, rdtype: str, school: bool, size: int, datagram: bool
) -> None:
    client = {"client": SCHOOL} if school else {}
    transport = UDP if datagram else TCP
    answer = local().ask(question(name.to_text(), rdtype, size=size), transport=transport, **client)
    message = read(answer)
    assert answer is not None
    assert len(answer) <= (size if datagram else 65_535)
    assert parse(answer).rcode == message.rcode()
    rcode = message.rcode()
    inside = any(within(name, zone) for zone in ZONES) and not within(name, HOLE)
    apart = rdtype == "DS" and name.to_text(omit_final_dot=True).lower() in ZONES
    if not inside or apart:
        # Whoever else knows: here nobody does. ANY and transfers are answered without them.
        alone = within(name, "resolver.example") or rdtype in {"ANY", "AXFR"}
        assert alone or (rcode, error_code(message)) == (dns.rcode.SERVFAIL, 22)
        return
    assert rcode in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.REFUSED}
    assert rcode != dns.rcode.REFUSED or rdtype == "AXFR"
    if rcode == dns.rcode.REFUSED:
        return
    assert message.flags & dns.flags.AA
    for rrset in (*message.answer, *message.authority):
        assert name.is_subdomain(rrset.name) or within(rrset.name, "inside.example")
    if not message.answer and not message.flags & dns.flags.TC:
        [soa] = message.authority
        assert soa.rdtype == dns.rdatatype.SOA
        assert name.is_subdomain(soa.name)
    # RFC 8020: below what does not exist, nothing does; and what has something below it exists.
    mine = [owned for owned in OWNED if school or owned != "taught.inside.example"]
    exists = any(within(dns.name.from_text(owned), name.to_text()) for owned in (*mine, HOLE, *ZONES))
    assert (rcode == dns.rcode.NOERROR) == (
        exists or within(name, "localhost") or within(name, "1.0.0.127.in-addr.arpa")
    )

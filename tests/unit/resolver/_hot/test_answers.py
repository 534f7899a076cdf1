"""Answers that lead to other names: judged at each of them, fresh from the upstream and out of the cache."""

from __future__ import annotations

import ipaddress
import itertools
import struct
from collections.abc import Callable

import dns.name
import dns.rcode
import pytest

from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.artifact.records import Entry
from blocklist_sync.artifact.rules import Scope
from tests.support.blocklist import OFFER, entry
from tests.support.engine import CLIENT, SCHOOL, TCP, Rig, policy, rig
from tests.support.packets import denial, error_code, question, raw, read, record, records, reply, soa

BAD = entry("bad.example")
TO_BAD = ("www.ok.example. 300 IN CNAME x.bad.example.", "x.bad.example. 20 IN A 192.0.2.66")
THROUGH = (
    "www.ok.example. 300 IN CNAME a.cdn.test.", "a.cdn.test. 30 IN CNAME y.bad.example.",
    "y.bad.example. 20 IN CNAME z.bad.example.", "z.bad.example. 20 IN A 192.0.2.66",
)  # fmt: skip

Ask = Callable[..., bytes]
"""Asks for a name whose upstream's answer is the lines given."""


def fresh(own: Rig, name: str, *lines: str, rdtype: str = "A", client: bytes = CLIENT) -> bytes:
    return own.exchange(question(name, rdtype), lambda query: reply(query, *lines), client=client)


def kept(own: Rig, name: str, *lines: str, rdtype: str = "A", client: bytes = CLIENT) -> bytes:
    own.exchange(question(name, rdtype), lambda query: reply(query, *lines), client=client)
    answer = own.ask(question(name, rdtype), client=client)
    assert answer is not None
    return answer


@pytest.fixture(params=[fresh, kept])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param


def test_a_chain_to_a_listed_name_ends_there(ask: Ask) -> None:
    answer = read(ask(rig(policy(BAD)), "WWW.ok.example", *TO_BAD))
    assert records(answer) == ["WWW.ok.example. 300 IN CNAME x.bad.example."]
    # RFC 6604: response code and SOA are those of the last name.
    assert denial(answer) == ("NXDOMAIN", "bad.example.", 10, 10)
    assert error_code(answer) == 16


def test_the_chain_is_kept_as_far_as_it_was_followed(ask: Ask) -> None:
    for lines in (THROUGH, THROUGH[::-1]):
        answer = read(ask(rig(policy(BAD)), "www.ok.example", *lines))
        assert records(answer) == [*THROUGH[:2]]
        assert denial(answer)[:2] == ("NXDOMAIN", "bad.example.")


def test_blocks_met_on_the_way_are_counted_once_an_answer(ask: Ask) -> None:
    own = rig(policy(BAD))
    ask(own, "www.ok.example", *THROUGH)
    answers = own.queries(rcode=3)
    assert answers == own.blocked(Category.GAMBLING, Action.NXDOMAIN) == (1 if ask is fresh else 2)


@pytest.mark.parametrize(
    ("entries", "rcode", "owner"),
    [
        ([entry("x.bad.example", scope=Scope.EXACT)], "NOERROR", "x.bad.example."),
        ([BAD, entry("fine.bad.example", exception=True)], "NOERROR", "x.bad.example."),
        ([BAD, entry("x.bad.example", Category.SCAM)], "NXDOMAIN", "x.bad.example."),
        ([entry("x.bad.example")], "NXDOMAIN", "x.bad.example."),
    ],
)
def test_a_denial_of_a_target_reaches_as_far_as_its_rule(
    ask: Ask, entries: list[Entry], rcode: str, owner: str
) -> None:
    answer = read(ask(rig(policy(*entries)), "www.ok.example", *TO_BAD))
    assert denial(answer) == (rcode, owner, 10, 10)
    assert len(answer.answer) == 1


@pytest.mark.parametrize(
    ("action", "rdtype", "last"),
    [
        (Action.NULL_IP, "A", "x.bad.example. 10 IN A 0.0.0.0"),
        (Action.SINKHOLE, "A", "x.bad.example. 10 IN A 192.0.2.80"),
        (Action.SINKHOLE, "AAAA", "x.bad.example. 10 IN AAAA 2001:db8::80"),
    ],
)
def test_a_target_may_lead_to_the_block_page(ask: Ask, action: Action, rdtype: str, last: str) -> None:
    lines = (
        TO_BAD[0],
        "x.bad.example. 20 IN A 192.0.2.66" if rdtype == "A" else "x.bad.example. 20 IN AAAA 2001:db8::",
    )
    own = rig(policy(BAD, actions={Category.GAMBLING: action}))
    answer = read(ask(own, "www.ok.example", *lines, rdtype=rdtype))
    assert records(answer) == [TO_BAD[0], last]
    assert (answer.rcode(), answer.authority, error_code(answer)) == (dns.rcode.NOERROR, [], 16)


def test_a_target_may_be_refused(ask: Ask) -> None:
    own = rig(policy(BAD, actions={Category.GAMBLING: Action.REFUSED}))
    answer = read(ask(own, "www.ok.example", *TO_BAD))
    assert (answer.rcode(), answer.answer, answer.authority, error_code(answer)) == (dns.rcode.REFUSED, [], [], 16)


def test_a_shadowed_target_is_counted_and_passes(ask: Ask) -> None:
    own = rig(policy(BAD, shadow=True))
    answer = read(ask(own, "www.ok.example", *TO_BAD))
    assert (records(answer), error_code(answer)) == ([*TO_BAD], None)
    assert own.blocked(Category.GAMBLING, 6) == (1 if ask is fresh else 2)


def test_a_chain_to_a_listed_name_that_does_not_exist_ends_there_as_well(ask: Ask) -> None:
    own = rig(policy(BAD))

    def respond(query: bytes) -> bytes:
        return reply(query, TO_BAD[0], authority=[soa("bad.example.")], rcode="NXDOMAIN")

    answer = own.exchange(question("www.ok.example"), respond)
    if ask is kept:
        answer = own.ask(question("www.ok.example")) or b""
    assert denial(read(answer)) == ("NXDOMAIN", "bad.example.", 10, 10)


def test_where_a_dname_leads_is_judged(ask: Ask) -> None:
    lines = (
        "ok.example. 300 IN DNAME bad.example.", "www.ok.example. 0 IN CNAME www.bad.example.",
        "www.bad.example. 20 IN A 192.0.2.66",
    )  # fmt: skip
    # A CNAME made from a DNAME has a TTL of 0 with some servers: only fresh then.
    lines = lines if ask is fresh else (lines[0], lines[1].replace(" 0 ", " 30 "), lines[2])
    answer = read(ask(rig(policy(BAD)), "www.ok.example", *lines))
    assert records(answer) == [lines[1]]
    assert denial(answer)[:2] == ("NXDOMAIN", "bad.example.")


def test_what_a_dname_does_not_lead_to_passes(ask: Ask) -> None:
    lines = (
        "ok.example. 300 IN DNAME bad.example.", "www.ok.example. 30 IN CNAME www.bad.example.",
        "www.bad.example. 20 IN A 192.0.2.66",
    )  # fmt: skip
    own = rig(policy(entry("bad.example", scope=Scope.EXACT)))
    assert records(read(ask(own, "www.ok.example", *lines))) == [*lines]


@pytest.mark.parametrize(
    ("listed", "dnames", "end"),
    [
        ("bad.example", ["ok.example. 300 IN DNAME bad.example."], "www.bad.example."),
        # The listed name stands below where the DNAME points.
        ("www.other.example", ["ok.example. 300 IN DNAME other.example."], "www.other.example."),
        (
            "bad.example",
            ["ok.example. 300 IN DNAME more.test.", "test. 300 IN DNAME bad.example."],
            "www.more.bad.example.",
        ),
    ],
)
def test_a_dname_without_the_cname_that_is_made_from_it_is_followed_too(
    ask: Ask, listed: str, dnames: list[str], end: str
) -> None:
    # With something at the end, which makes it an answer that is kept.
    lines = [*dnames, f"{end} 20 IN A 192.0.2.66"]
    answer = read(ask(rig(policy(entry(listed))), "www.ok.example", *lines))
    assert all(" CNAME " in line for line in records(answer))
    assert len(records(answer)) == len(dnames)
    assert denial(answer)[:2] == ("NXDOMAIN", f"{listed}.")
    # Who it is listed for alone: the same answer from the cache passes for others.
    own = rig(policy(entry(listed, order=OFFER)))
    assert records(read(ask(own, "www.ok.example", *lines))) == lines
    assert denial(read(own.ask(question("www.ok.example"), client=SCHOOL)))[0] == "NXDOMAIN"


def test_a_dname_that_makes_a_name_too_long_is_not_shown() -> None:
    long = ".".join(["x" * 60] * 3)
    own = rig(policy(BAD))
    answer = read(fresh(own, f"{long}.ok.example", f"ok.example. 300 IN DNAME {'y' * 60}.{'y' * 60}.test."))
    assert answer.rcode() == dns.rcode.SERVFAIL


def test_a_dname_of_another_name_leads_nowhere(ask: Ask) -> None:
    for owner in ("k.example.", "www.ok.example.", "other.example.", "a.www.ok.example."):
        lines = [f"{owner} 300 IN DNAME bad.example.", "www.bad.example. 20 IN A 192.0.2.66"]
        answer = read(ask(rig(policy(BAD)), "www.ok.example", *lines))
        assert (answer.rcode(), answer.answer) == (dns.rcode.SERVFAIL, [])
    # A name's own DNAME is no alias of the name.
    lines = ["www.ok.example. 300 IN DNAME bad.example.", "www.ok.example. 20 IN A 192.0.2.1"]
    assert records(read(ask(rig(policy(BAD)), "www.ok.example", *lines))) == lines


@pytest.mark.parametrize("rdtype", ["HTTPS", "SVCB"])
@pytest.mark.parametrize("data", ["0 x.bad.example.", "1 x.bad.example. alpn=h2 ipv4hint=192.0.2.66"])
@pytest.mark.parametrize("action", Action)
def test_a_service_binding_to_a_listed_name_is_as_if_there_were_none(
    ask: Ask, rdtype: str, data: str, action: Action
) -> None:
    own = rig(policy(BAD, actions={Category.GAMBLING: action}))
    lines = (f"www.ok.example. 300 IN {rdtype} 1 .", f"www.ok.example. 300 IN {rdtype} {data}")
    answer = read(ask(own, "www.ok.example", *lines, rdtype=rdtype))
    assert answer.answer == []
    assert denial(answer) == ("NOERROR", "www.ok.example.", 10, 10)
    assert error_code(answer) == 16


def test_a_service_binding_behind_a_chain_is_judged(ask: Ask) -> None:
    lines = ("www.ok.example. 300 IN CNAME a.cdn.test.", "a.cdn.test. 300 IN HTTPS 1 x.bad.example.")
    answer = read(ask(rig(policy(BAD)), "www.ok.example", *lines, rdtype="HTTPS"))
    assert records(answer) == [lines[0]]
    assert denial(answer)[:2] == ("NOERROR", "a.cdn.test.")


def test_bindings_and_chains_to_other_names_pass(ask: Ask) -> None:
    own = rig(policy(BAD))
    service = 'www.ok.example. 300 IN HTTPS 1 . alpn="h2"'
    assert records(read(ask(own, "www.ok.example", service, rdtype="HTTPS"))) == [service]
    chain = ("b.ok.example. 300 IN CNAME badder.example.", "badder.example. 20 IN A 192.0.2.1")
    assert records(read(ask(own, "b.ok.example", *chain))) == [*chain]


# Profiles and lists that change ---------------------------------------------------------------------------------------


def test_one_answer_is_judged_for_each_profile() -> None:
    own = rig(policy(entry("bad.example", order=OFFER)))
    assert records(read(fresh(own, "www.ok.example", *TO_BAD))) == [*TO_BAD]
    school = read(own.ask(question("www.ok.example"), client=SCHOOL))
    assert (denial(school)[:2], error_code(school)) == (("NXDOMAIN", "bad.example."), 17)
    assert records(read(own.ask(question("www.ok.example")))) == [*TO_BAD]


def test_those_who_wait_together_are_judged_apart() -> None:
    own = rig(policy(entry("bad.example", order=OFFER)))
    asked = question("www.ok.example", id=1), question("WWW.ok.example", id=2)
    assert own.ask(asked[0], client=SCHOOL) is None
    school = own.token
    assert own.ask(asked[1]) is None
    everybody = own.token
    query, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(query, *TO_BAD), source)
    denied, passed = read(own.wait(school)), read(own.wait(everybody))
    assert (denial(denied)[0], denied.id) == ("NXDOMAIN", 1)
    assert (records(passed)[1], passed.id) == (TO_BAD[1], 2)
    assert own.upstreams[0].waiting() == []


def test_a_list_that_changes_is_heard_in_the_cache() -> None:
    own = rig(policy())
    assert records(read(fresh(own, "www.ok.example", *TO_BAD))) == [*TO_BAD]
    for epoch in range(2, 8):
        listed = epoch % 2 == 0
        own.engine.use(policy(*[BAD] * listed, epoch=epoch, serial=epoch))
        # The verdict is made once and kept; it is the same the second time.
        for _ in range(2):
            answer = read(own.ask(question("www.ok.example")))
            assert len(answer.answer) == (1 if listed else 2)
            assert answer.rcode() == (dns.rcode.NXDOMAIN if listed else dns.rcode.NOERROR)
    assert own.upstreams[0].waiting() == []


def test_a_verdict_on_what_stood_in_its_place_before_is_not_believed() -> None:
    own = rig(policy(BAD))
    fresh(own, "www.ok.example", *TO_BAD)
    [slot] = own.memory.slots()
    assert slot.verdict == slot.sequence << 32 | 1 << 1 | 1
    # As a worker writes it that had read the slot's last answer before this one was put there.
    slot.verdict = slot.sequence - 2 << 32 | 1 << 1
    slot.write()
    assert denial(read(own.ask(question("www.ok.example"))))[0] == "NXDOMAIN"
    # Made anew, it stands.
    [slot] = own.memory.slots()
    assert slot.verdict == slot.sequence << 32 | 1 << 1 | 1


def test_a_list_that_changes_while_a_question_is_on_its_way_holds_for_the_answer() -> None:
    own = rig(policy())
    assert own.ask(question("www.ok.example")) is None
    token = own.token
    query, source = own.upstreams[0].receive()
    own.engine.use(policy(BAD, epoch=2))
    own.upstreams[0].send(reply(query, *TO_BAD), source)
    assert denial(read(own.wait(token)))[0] == "NXDOMAIN"


def test_a_judged_answer_counts_its_chain_down() -> None:
    own = rig(policy(BAD))
    fresh(own, "www.ok.example", *TO_BAD)
    own.age(9)
    assert records(read(own.ask(question("www.ok.example")))) == ["www.ok.example. 291 IN CNAME x.bad.example."]
    own.age(11)
    # Its shortest-lived record ends it.
    assert own.ask(question("www.ok.example")) is None


# Hostile chains -------------------------------------------------------------------------------------------------------


def chain(links: int, end: str) -> tuple[str, ...]:
    names = ["www.ok.example.", *(f"l{number}.cdn.test." for number in range(links - 1)), end]
    return (
        *(f"{name} 300 IN CNAME {target}" for name, target in itertools.pairwise(names)),
        f"{end} 300 IN A 192.0.2.66",
    )


@pytest.mark.parametrize("links", [1, 2, 15, 16, 17, 40, 90])
def test_however_long_a_chain_its_end_is_never_shown(ask: Ask, links: int) -> None:
    answer = read(ask(rig(policy(BAD)), "www.ok.example", *chain(links, "x.bad.example.")))
    if links <= 16:
        assert denial(answer)[:2] == ("NXDOMAIN", "bad.example.")
        assert len(answer.answer) == links
    else:
        # Longer than anybody follows: it failed.
        assert (answer.rcode(), answer.answer, answer.authority) == (dns.rcode.SERVFAIL, [], [])


def test_a_long_chain_to_nothing_listed_is_the_upstreams_affair(ask: Ask) -> None:
    assert len(read(ask(rig(policy(BAD)), "www.ok.example", *chain(40, "x.fine.example."))).answer) == 41


def test_a_chain_in_a_circle_ends(ask: Ask) -> None:
    lines = (
        "www.ok.example. 300 IN CNAME a.ok.example.", "a.ok.example. 300 IN CNAME www.ok.example.",
        "b.ok.example. 300 IN CNAME x.bad.example.", "c.ok.example. 300 IN A 192.0.2.66",
    )  # fmt: skip
    answer = read(ask(rig(policy(BAD)), "www.ok.example", *lines))
    assert (answer.rcode(), answer.answer) == (dns.rcode.SERVFAIL, [])


@pytest.mark.parametrize(
    "target",
    [b"", b"\xc0", b"\xc0\xff", b"\xff\xff", b"\x3fabc", b"\xc0\x30", b"\x40a\0", b"\1a" * 130 + b"\0"],
    ids=lambda target: target[:8].hex() or "empty",
)
@pytest.mark.parametrize("rtype", [5, 39, 64, 65])
def test_a_target_that_is_no_name_is_never_shown(rtype: int, target: bytes) -> None:
    # Some clients follow pointers that lead forwards: what cannot be judged here must not reach them.
    own = rig(policy(BAD))
    data = target if rtype in (5, 39) else b"\0\1" + target
    query = question("www.ok.example", "HTTPS" if rtype == 65 else "SVCB" if rtype == 64 else "A")
    answer = own.exchange(
        query, lambda asked: raw(asked, record(rtype, data), record(1, bytes(4), b"\3bad\7example\0"))
    )
    for said in (answer, own.ask(query)):
        assert (read(said).rcode(), read(said).answer) == (dns.rcode.SERVFAIL, [])


def test_pointers_backwards_are_followed() -> None:
    own = rig(policy(BAD))
    # CNAME to "x" and, compressed, "bad.example" in the record before.
    at = 12 + 16 + 4 + 12
    lines = (
        record(16, b"\3bad\7example\0"),
        record(5, b"\1x" + struct.pack("!H", 0xC000 | at)),
    )
    answer = read(own.exchange(question("www.ok.example"), lambda asked: raw(asked, *lines)))
    assert records(answer) == ["www.ok.example. 300 IN CNAME x.bad.example."]
    assert denial(answer)[:2] == ("NXDOMAIN", "bad.example.")


def test_chains_of_the_longest_names_fit() -> None:
    own = rig(policy(BAD))

    def name(number: int) -> dns.name.Name:
        return dns.name.Name(
            [
                bytes([65 + number]) * 63,
                b"b" * 63,
                b"c" * 63,
                b"d" * 49,
                b"bad" if number == 16 else b"fin",
                b"example",
                b"",
            ]
        )

    asked = name(0).to_text()
    lines = tuple(f"{name(number)} 300 IN CNAME {name(number + 1)}" for number in range(16))
    query = question(asked)
    assert own.ask(query) is None
    token = own.token
    at, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(at, *lines), source)
    answer = read(own.wait(token))
    assert len(answer.answer) == 16
    assert denial(answer)[:2] == ("NXDOMAIN", "bad.example.")
    assert own.queries(TCP, rcode=3) == 1


# Private addresses of public names ------------------------------------------------------------------------------------

PRIVATE = [
    "A 10.0.0.1", "A 172.16.0.1", "A 172.31.255.255", "A 192.168.1.1", "A 100.64.0.1", "A 100.127.255.255",
    "A 127.0.0.1", "A 169.254.1.1", "A 0.0.0.0", "AAAA ::", "AAAA ::1", "AAAA fe80::1", "AAAA febf::1", "AAAA fec0::1",
    "AAAA fc00::1", "AAAA fdff::1", "AAAA ::ffff:192.168.1.1", "AAAA ::10.0.0.1", "AAAA 64:ff9b::10.1.2.3",
    "AAAA 2002:c0a8:101::1", "HTTPS 1 . alpn=h2 ipv4hint=198.51.100.1,10.0.0.1",
    "HTTPS 1 . ipv6hint=2001:db8::1,fd00::1", "SVCB 1 svc.ok.example. port=53 ipv6hint=::ffff:127.0.0.1",
]  # fmt: skip
NETWORKS = [
    ipaddress.IPv4Network(text)
    for text in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
]
PUBLIC = [
    *(f"A {network.network_address - 1}" for network in NETWORKS),
    *(f"A {network.broadcast_address + 1}" for network in NETWORKS),
    "AAAA 2001:db8::1", "AAAA ::ffff:198.51.100.1", "AAAA 64:ff9b::c000:aa", "AAAA fe00::1", "AAAA 2002:c633::",
    "AAAA ff02::1", "AAAA 64:ff9b:1::a00:1", "HTTPS 1 . alpn=h2 ipv4hint=198.51.100.1 ipv6hint=2001:db8::1",
    "HTTPS 0 svc.ok.example.", "HTTPS 1 .", 'TXT "10.0.0.1"',
]  # fmt: skip


def shielded(*names: tuple[str, str, str], entries: tuple[Entry, ...] = ()) -> Rig:
    """Schools see no private address of a public name; everybody else does."""
    return rig(policy(*entries, shielded=[False, True], names=names))


@pytest.mark.parametrize("data", PRIVATE)
def test_a_public_name_with_a_private_address_has_none_for_those_who_are_shielded(ask: Ask, data: str) -> None:
    own = shielded()
    line = f"www.ok.example. 300 IN {data}"
    answer = read(ask(own, "WWW.ok.example", line, rdtype=data.partition(" ")[0], client=SCHOOL))
    assert (records(answer), denial(answer), error_code(answer)) == (
        [],
        ("NOERROR", "WWW.ok.example.", 10, 10),
        15,
    )
    assert own.count("rebound") in {1, 2}, "it is counted whenever it is told"
    assert len(records(read(own.ask(question("www.ok.example", data.partition(" ")[0]))))) == 1, (
        "others see what there is"
    )


@pytest.mark.parametrize("data", PUBLIC)
def test_what_is_public_passes(ask: Ask, data: str) -> None:
    own = shielded()
    line = f"www.ok.example. 300 IN {data}"
    assert len(records(read(ask(own, "www.ok.example", line, rdtype=data.partition(" ")[0], client=SCHOOL)))) == 1
    assert own.count("rebound") == 0


def test_one_private_address_takes_all_with_it_wherever_it_stands(ask: Ask) -> None:
    for lines in (
        ("www.ok.example. 300 IN A 198.51.100.1", "www.ok.example. 300 IN A 192.168.0.1"),
        ("www.ok.example. 300 IN CNAME a.cdn.test.", "a.cdn.test. 300 IN A 10.0.0.1"),
    ):
        answer = read(ask(shielded(), "www.ok.example", *lines, client=SCHOOL))
        assert (records(answer), error_code(answer)) == ([], 15)
    own = shielded()
    query = question("svc.ok.example", "HTTPS")
    beside = ["a.cdn.test. 300 IN A 127.0.0.1"]
    line = "svc.ok.example. 300 IN HTTPS 1 a.cdn.test."
    assert records(read(own.exchange(query, lambda q: reply(q, line, additional=beside), client=SCHOOL))) == []


@pytest.mark.parametrize(
    ("rtype", "data"),
    [
        (1, b""), (1, b"\xc6\x33\x64"), (1, b"\xc6\x33\x64\1\0"), (28, bytes(15)), (28, b"\x20\1" + bytes(15)),
        (65, b""), (65, b"\0\1"), (65, b"\0\1\1a"), (65, b"\0\1\0\0\4"), (65, b"\0\1\0\0\4\0\5\xc6\x33\x64\1\1"),
        (65, b"\0\1\0\0\4\0\5\xc6\x33\x64\1"), (65, b"\0\1\0\0\6\0\3abc"), (65, b"\0\1\xc0\x0c\0\3\0\2\0\x35"),
        (65, b"\0\1\0" + b"\0\3\0\2\0\x35" + b"\0\4\0\4\x7f\0\0\1"),
    ],
)  # fmt: skip
def test_data_that_some_client_might_read_otherwise_is_not_shown(rtype: int, data: bytes) -> None:
    own = shielded()
    query = question("www.ok.example", "A" if rtype == 1 else "AAAA" if rtype == 28 else "HTTPS")
    answer = read(own.exchange(query, lambda asked: raw(asked, record(rtype, data)), client=SCHOOL))
    # A target that cannot be read is SERVFAIL for everybody; all else has no data.
    assert (records(answer), answer.rcode() in {dns.rcode.NOERROR, dns.rcode.SERVFAIL}) == ([], True)


def test_an_owner_that_is_compressed_hides_nothing() -> None:
    own = shielded()
    respond = itertools.cycle([b"\xc0\x0c", b"\3www\xc0\x10", b"\3www\2ok\xc0\x13"])
    for _ in range(3):
        answer = own.exchange(
            question("www.ok.example"), lambda q: raw(q, record(1, b"\x0a\0\0\1", next(respond), ttl=0)), client=SCHOOL
        )
        assert (records(read(answer)), error_code(read(answer))) == ([], 15)


def test_where_private_addresses_are_right_they_are_shown(ask: Ask) -> None:
    names = (("corp.example", "private", "subtree"), ("lan", "private", "subtree"))
    for name in ("corp.example", "x.y.corp.example", "printer.lan"):
        own = shielded(*names)
        assert len(records(read(ask(own, name, f"{name}. 300 IN A 10.0.0.1", client=SCHOOL)))) == 1
    # What is asked counts: a stranger's alias to such a name is the attack itself.
    lines = ("www.ok.example. 300 IN CNAME corp.example.", "corp.example. 300 IN A 10.0.0.1")
    assert records(read(ask(shielded(*names), "www.ok.example", *lines, client=SCHOOL))) == []


def test_a_listed_target_is_told_before_a_private_address(ask: Ask) -> None:
    lines = ("www.ok.example. 300 IN CNAME x.bad.example.", "x.bad.example. 20 IN A 10.0.0.1")
    answer = read(ask(shielded(entries=(BAD,)), "www.ok.example", *lines, client=SCHOOL))
    assert (denial(answer)[0], error_code(answer)) == ("NXDOMAIN", 16)


def test_waiters_of_one_question_are_shielded_each_by_their_own_profile() -> None:
    own = shielded()
    query = question("www.ok.example")
    assert own.ask(query, client=SCHOOL) is None
    school = own.token
    assert own.ask(query) is None
    other = own.token
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(reply(asked, "www.ok.example. 300 IN A 10.0.0.1"), source)
    assert (len(records(read(own.wait(school)))), len(records(read(own.wait(other))))) == (0, 1)

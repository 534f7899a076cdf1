"""Which profile a client has, which rule decides, and the answer for a listed name."""

from __future__ import annotations

import dns.flags
import dns.rcode
import pytest

from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from resolver._hot.policy import Policy
from tests.support.blocklist import MANDATE, OFFER, entry
from tests.support.engine import CLIENT, KEY, PROFILES, SCHOOL, STRANGER, TCP, UDP, Rig, mapped, policy, rig
from tests.support.packets import denial, error_code, header_flags, question, read, records, reply

TYPES = ["A", "AAAA", "CNAME", "HTTPS", "SVCB", "MX", "TXT", "NS", "SOA", "DS", "SRV", "PTR", "ANY", "TYPE65280"]
CLEAN = "www.ok.example. 300 IN A 192.0.2.1"


def blocking(**more: object) -> Rig:
    return rig(policy(entry("bad.example"), **more), upstreams=0)  # type: ignore[arg-type] # passed on as they are


def passes(own: Rig, name: str, client: bytes = CLIENT) -> bool:
    """Whether the list lets a name pass: what is not listed and wants no recursion is refused, and says why."""
    answer = read(own.ask(question(name, rd=False), client=client))
    return (answer.rcode(), error_code(answer)) == (dns.rcode.REFUSED, 18)


@pytest.mark.parametrize("transport", [UDP, TCP])
@pytest.mark.parametrize("rdtype", TYPES)
def test_every_type_of_a_listed_name_and_of_names_below_does_not_exist(rdtype: str, transport: int) -> None:
    own = blocking()
    for name in ("bad.example", "a.b.c.bad.example"):
        answer = read(own.ask(question(name, rdtype), transport=transport))
        assert denial(answer) == ("NXDOMAIN", "bad.example.", 10, 10)
        assert answer.answer == []
        assert error_code(answer) == 16
        assert header_flags(answer) == dns.flags.QR | dns.flags.RA | dns.flags.RD
    assert own.blocked(Category.GAMBLING, Action.NXDOMAIN) == own.queries(transport, rcode=3) == 2


def test_the_soa_tells_the_serial_in_force() -> None:
    own = rig(policy(entry("bad.example"), serial=77), upstreams=0)
    soa = read(own.ask(question("bad.example"))).authority[0][0]
    assert (soa.serial, str(soa.mname), str(soa.rname)) == (77, "bad.example.", "hostmaster.bad.example.")


@pytest.mark.parametrize("rdtype", TYPES)
def test_what_has_an_exception_below_exists_without_data(rdtype: str) -> None:
    own = rig(policy(entry("bad.example"), entry("ok.bad.example", exception=True)), upstreams=0)
    for name in ("bad.example", "www.bad.example"):
        # An NXDOMAIN would deny ok.bad.example too (RFC 8020).
        assert denial(read(own.ask(question(name, rdtype)))) == ("NOERROR", f"{name}.", 10, 10)
    assert passes(own, "ok.bad.example")
    assert passes(own, "www.ok.bad.example")


def test_an_exact_rule_reaches_no_further() -> None:
    own = rig(policy(entry("bad.example", scope=Scope.EXACT)), upstreams=0)
    assert denial(read(own.ask(question("bad.example")))) == ("NOERROR", "bad.example.", 10, 10)
    assert passes(own, "www.bad.example")
    assert passes(own, "example")


def test_names_beside_and_above_pass() -> None:
    own = blocking()
    for name in ("example", "bad.test", "notbad.example", "bad.example.test", "b.ad.example", "."):
        assert passes(own, name)


def test_the_case_of_the_question_is_kept_and_means_nothing() -> None:
    own = blocking()
    answer = own.ask(question("wWw.BaD.ExAmPlE"))
    assert answer is not None
    assert answer[12:29] == b"\3wWw\3BaD\7ExAmPlE\0"
    # Names are compared without regard to case; what is compressed to the question has its letters.
    assert denial(read(answer)) == ("NXDOMAIN", "BaD.ExAmPlE.", 10, 10)


def test_do_and_cd_and_ad_change_nothing() -> None:
    own = blocking()
    plain = read(own.ask(question("bad.example")))
    for do in (False, True):
        for cd in (False, True):
            for ad in (False, True):
                answer = read(own.ask(question("bad.example", do=do, cd=cd, ad=ad)))
                assert denial(answer) == denial(plain)
                assert not answer.flags & dns.flags.AD
                assert bool(answer.flags & dns.flags.CD) == cd


# Actions --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "rdtype", "data"),
    [
        (Action.NULL_IP, "A", "0.0.0.0"),
        (Action.NULL_IP, "AAAA", "::"),
        (Action.SINKHOLE, "A", "192.0.2.80"),
        (Action.SINKHOLE, "AAAA", "2001:db8::80"),
    ],
)
def test_addresses_for_those_who_ask_for_addresses(action: Action, rdtype: str, data: str) -> None:
    own = blocking(actions={Category.GAMBLING: action})
    answer = read(own.ask(question("WWW.bad.example", rdtype)))
    assert records(answer) == [f"WWW.bad.example. 10 IN {rdtype} {data}"]
    assert (answer.rcode(), answer.authority, error_code(answer)) == (dns.rcode.NOERROR, [], 16)
    assert own.blocked(Category.GAMBLING, action) == 1


@pytest.mark.parametrize("action", [Action.NULL_IP, Action.SINKHOLE, Action.NODATA])
@pytest.mark.parametrize("rdtype", [rdtype for rdtype in TYPES if rdtype not in {"A", "AAAA"}])
def test_other_types_have_no_data_where_the_name_is_said_to_exist(action: Action, rdtype: str) -> None:
    own = blocking(actions={Category.GAMBLING: action})
    answer = read(own.ask(question("www.bad.example", rdtype)))
    assert denial(answer) == ("NOERROR", "www.bad.example.", 10, 10)
    assert (answer.answer, error_code(answer)) == ([], 16)


def test_nodata_is_nodata_for_addresses_too() -> None:
    own = blocking(actions={Category.GAMBLING: Action.NODATA})
    for rdtype in ("A", "AAAA"):
        assert denial(read(own.ask(question("www.bad.example", rdtype)))) == ("NOERROR", "www.bad.example.", 10, 10)


def test_refused_is_a_header_and_a_reason() -> None:
    own = blocking(actions={Category.GAMBLING: Action.REFUSED})
    answer = read(own.ask(question("bad.example", "TXT")))
    assert (answer.rcode(), error_code(answer), answer.answer, answer.authority) == (dns.rcode.REFUSED, 16, [], [])
    assert own.blocked(Category.GAMBLING, Action.REFUSED) == 1


def test_each_category_has_its_own_action() -> None:
    entries = [entry(f"{category.name.lower().replace('_', '-')}.example", category) for category in Category]
    actions = {category: Action(1 + number % 5) for number, category in enumerate(Category)}
    own = rig(policy(*entries, actions=actions), upstreams=0)
    for category in Category:
        own.ask(question(f"{category.name.lower().replace('_', '-')}.example"))
        assert own.blocked(category, actions[category]) == 1


def test_shadow_counts_and_lets_pass() -> None:
    own = rig(policy(entry("bad.example"), shadow=True))
    line = "www.bad.example. 300 IN A 192.0.2.1"
    answer = read(own.exchange(question("www.bad.example"), lambda query: reply(query, line)))
    assert (records(answer), error_code(answer)) == ([line], None)
    assert own.blocked(Category.GAMBLING, 6) == 1
    assert records(read(own.ask(question("www.bad.example")))) == [line]
    assert own.blocked(Category.GAMBLING, 6) == 2


@pytest.mark.parametrize("action", Action)
def test_a_reason_is_told_only_to_those_who_speak_edns(action: Action) -> None:
    own = blocking(actions={Category.GAMBLING: action})
    answer = read(own.ask(question("bad.example", edns=False)))
    assert (answer.edns, answer.additional) == (-1, [])
    assert error_code(read(own.ask(question("bad.example")))) == 16


def test_the_reason_says_whose_wish_it_was() -> None:
    profiles = [("default", [], False), ("school", [Category.VIOLENCE], False), ("own", [Category.VIOLENCE], True)]
    own = rig(
        policy(
            entry("must.example", Category.VIOLENCE),
            entry("may.example", Category.VIOLENCE, order=OFFER),
            profiles=[(name, [int(one) for one in wanted], operator) for name, wanted, operator in profiles],
            networks=[("192.0.2.0/28", 1), ("192.0.2.16/28", 2), ("192.0.2.0/24", 0)],
        ),
        upstreams=0,
    )
    told = {
        (name, host): error_code(read(own.ask(question(name, rd=False), client=mapped(f"192.0.2.{host}"))))
        for name in ("must.example", "may.example")
        for host in (1, 17, 33)
    }
    assert told == {
        ("must.example", 1): 16, ("must.example", 17): 16, ("must.example", 33): 16,
        ("may.example", 1): 17, ("may.example", 17): 15, ("may.example", 33): 18,
    }  # fmt: skip


# Which rule wins ------------------------------------------------------------------------------------------------------


def test_a_schools_rule_on_a_deeper_name_does_not_shadow_what_is_mandated() -> None:
    own = rig(
        policy(
            entry("bad.example", Category.CSAM),
            entry("www.bad.example", Category.SCAM, order=OFFER),
            actions={Category.SCAM: Action.SINKHOLE},
        ),
        upstreams=0,
    )
    for client in (CLIENT, SCHOOL):
        answer = read(own.ask(question("www.bad.example"), client=client))
        assert (denial(answer)[:2], error_code(answer)) == (("NXDOMAIN", "bad.example."), 16)


def test_an_exception_lifts_its_own_category_alone() -> None:
    own = rig(
        policy(
            entry("bad.example", Category.GAMBLING),
            entry("bad.example", Category.SCAM),
            entry("www.bad.example", Category.GAMBLING, exception=True),
        ),
        upstreams=0,
    )
    own.ask(question("www.bad.example"))
    assert own.blocked(Category.SCAM, Action.NXDOMAIN) == 1


def test_an_offered_exception_does_not_lift_what_is_mandated() -> None:
    entries = [entry("bad.example"), entry("bad.example", exception=True, order=OFFER)]
    own = rig(policy(*entries), upstreams=0)
    assert not passes(own, "bad.example", SCHOOL)
    assert not passes(own, "bad.example", CLIENT)
    own = rig(policy(entry("bad.example", order=OFFER), entry("bad.example", exception=True, order=OFFER)), upstreams=0)
    assert passes(own, "bad.example", SCHOOL)


@pytest.mark.parametrize("crowd", [60, 64, 65, 250])
def test_no_crowd_of_rules_hides_one_that_is_mandated(crowd: int) -> None:
    # As many exceptions as one name can carry, all in force for a school, stand before the mandated rule.
    orders = [Order(f"{number}/VB", mandated=False) for number in range(crowd)]
    own = rig(
        policy(
            *(entry("bad.example", Category.SCAM, order=order, exception=True) for order in orders),
            entry("www.bad.example", Category.CSAM),
        ),
        upstreams=0,
    )
    assert not passes(own, "www.bad.example", SCHOOL)
    assert passes(own, "bad.example", SCHOOL)


def test_of_many_rules_on_one_name_the_lowest_category_decides() -> None:
    own = rig(
        policy(
            *(entry("bad.example", category, order=order) for category in Category for order in (MANDATE, OFFER)),
            actions={Category.CSAM: Action.REFUSED},
        ),
        upstreams=0,
    )
    own.ask(question("bad.example"))
    assert own.blocked(Category.CSAM, Action.REFUSED) == 1


# Clients --------------------------------------------------------------------------------------------------------------


def test_the_first_network_that_covers_a_client_decides() -> None:
    own = rig(
        policy(
            entry("offered.example", order=OFFER),
            networks=[
                ("192.0.2.7/32", 0), ("192.0.2.0/24", 1), ("192.0.0.0/8", 0),
                ("2001:db8:0:1::/64", 1), ("2001:db8::/32", 0),
            ],
        ),
        upstreams=0,
    )  # fmt: skip
    of = {address: passes(own, "offered.example", mapped(address)) for address in (
        "192.0.2.6", "192.0.2.7", "192.0.2.8", "192.0.3.7", "2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1",
    )}  # fmt: skip
    assert of == {
        "192.0.2.6": False, "192.0.2.7": True, "192.0.2.8": False, "192.0.3.7": True,
        "2001:db8::1": True, "2001:db8:0:1::1": False, "2001:db8:0:2::1": True,
    }  # fmt: skip
    assert own.queries(profile=1, rcode=3) == 3
    assert own.queries(profile=0, rcode=5) == 4


def test_a_network_of_all_addresses_covers_both_families() -> None:
    own = rig(policy(networks=[("::/0", 0)]), upstreams=0)
    for address in ("203.0.113.1", "2001:db8::1"):
        assert passes(own, "ok.example", mapped(address))
    own = rig(policy(networks=[("0.0.0.0/0", 0)], refuse=False), upstreams=0)
    assert passes(own, "ok.example", mapped("203.0.113.1"))
    assert own.ask(question("ok.example"), client=mapped("2001:db8::1")) == b""


def test_strangers_are_refused() -> None:
    own = blocking()
    for name in ("bad.example", "ok.example"):
        answer = read(own.ask(question(name), client=STRANGER))
        assert (answer.rcode(), error_code(answer), answer.authority) == (dns.rcode.REFUSED, 18, [])
    # What they cannot even say right gets a header, what is no query gets nothing.
    malformed = own.ask(question("ok.example")[:-1] + b"\0\0", client=STRANGER)
    assert malformed == b"\x12\x34\x81\x05" + bytes(8)
    assert own.ask(b"\x12\x34\x81\x00", client=STRANGER) == b""
    assert own.queries(rcode=5) == 3
    assert own.blocked(Category.GAMBLING, Action.NXDOMAIN) == 0


def test_strangers_get_silence_where_that_is_wanted() -> None:
    own = blocking(refuse=False)
    assert own.ask(question("bad.example"), client=STRANGER) == b""
    assert own.ask(b"", client=STRANGER) == b""
    assert own.count("drop", 1) == 2


# Lists ----------------------------------------------------------------------------------------------------------------


def test_without_a_list_everything_passes_and_is_kept_apart() -> None:
    own = rig(policy(listed=False))
    assert records(read(own.exchange(question("www.ok.example"), lambda query: reply(query, CLEAN)))) == [CLEAN]
    assert records(read(own.ask(question("www.ok.example")))) == [CLEAN]
    assert own.ask(question("bad.example")) is None


def test_a_new_list_holds_from_the_next_query_on_whatever_the_cache_has() -> None:
    own = rig(policy())
    own.exchange(question("www.ok.example"), lambda query: reply(query, CLEAN))
    own.engine.use(policy(entry("ok.example"), epoch=2, serial=2))
    assert denial(read(own.ask(question("www.ok.example"))))[:2] == ("NXDOMAIN", "ok.example.")
    own.engine.use(policy(epoch=3, serial=3))
    assert records(read(own.ask(question("www.ok.example")))) == [CLEAN]


# Tables ---------------------------------------------------------------------------------------------------------------


def made(**changed: object) -> Policy:
    arguments = {
        "epoch": 1, "snapshot": None, "profiles": list(PROFILES), "actions": {}, "networks": [],
        "sinkhole": (bytes(4), bytes(16)), "shadow": False, "refuse": True, "key": KEY,
    }  # fmt: skip
    return Policy(**{**arguments, **changed})  # type: ignore[arg-type] # what is wrong with them is the point


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"profiles": []}, "0 profiles"),
        ({"profiles": [("p", [], False)] * 9}, "9 profiles"),
        ({"profiles": [("p", [0], False)]}, "profile p: there is no category 0"),
        ({"profiles": [("p", [16], False)]}, "profile p: there is no category 16"),
        ({"actions": {0: 1}}, "category 0"),
        ({"actions": {16: 1}}, "category 16"),
        ({"actions": {1: 0}}, "no action 0"),
        ({"actions": {1: 6}}, "no action 6"),
        ({"networks": [(bytes(4), 8, 0)]}, "network 0"),
        ({"networks": [(bytes(16), 129, 0)]}, "network 0"),
        ({"networks": [(bytes(16), -1, 0)]}, "network 0"),
        ({"networks": [(bytes(16), 0, 0), (bytes(16), 0, 2)]}, "network 1"),
        ({"networks": [(bytes(16), 0, 0)] * 4097}, "4097 networks"),
        ({"sinkhole": (bytes(3), bytes(16))}, "sinkhole"),
        ({"sinkhole": (bytes(4), bytes(15))}, "sinkhole"),
    ],
)
def test_tables_have_bounds(changed: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        made(**changed)


def test_tables_tell_what_they_were_made_of() -> None:
    own = policy(entry("bad.example"), epoch=9)
    assert (own.epoch, own.profiles) == (9, ("default", "school"))
    assert own.snapshot is not None
    assert own.snapshot.serial == 1
    assert made().snapshot is None

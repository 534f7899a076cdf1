from __future__ import annotations

import dns.rcode
import pytest

from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.artifact.rules import Scope
from resolver._hot.own import EXACT, KINDS, MOST, SUBTREE, OwnNames
from tests.support.blocklist import OFFER, entry
from tests.support.engine import SCHOOL, Rig, policy, rig
from tests.support.packets import denial, error_code, question, read, records, reply

BAD = entry("bad.example")
OFFERED = entry("games.example", order=OFFER)
PASSES = ("REFUSED", 18)


def seen(own: Rig, name: str, client: bytes = SCHOOL) -> tuple[str, int | None]:
    """Response code and extended error; what is let through is refused by RD=0, with 18."""
    answer = read(own.ask(question(name, rd=False), client=client))
    return dns.rcode.to_text(answer.rcode()), error_code(answer)


def test_an_override_lifts_what_is_mandated_and_is_counted_apart() -> None:
    own = rig(policy(BAD, names=[("www.bad.example", "override", "subtree")]))
    assert seen(own, "www.bad.example") == seen(own, "a.www.bad.example") == PASSES
    assert seen(own, "other.bad.example")[1] == 16
    assert (own.count("overridden"), own.count("allowed")) == (2, 0)
    assert own.blocked(Category.GAMBLING, Action.NODATA) + own.blocked(Category.GAMBLING, Action.NXDOMAIN) == 1


def test_an_exact_override_reaches_no_further() -> None:
    own = rig(policy(BAD, names=[("bad.example", "override", "exact")]))
    assert seen(own, "bad.example") == PASSES
    assert seen(own, "www.bad.example") == ("NXDOMAIN", 16)


def test_what_is_listed_below_an_override_stays_listed() -> None:
    own = rig(policy(BAD, entry("deep.bad.example", Category.SCAM), names=[("bad.example", "override", "subtree")]))
    assert seen(own, "www.bad.example") == PASSES
    assert seen(own, "deep.bad.example") == ("NXDOMAIN", 16)


def test_no_denial_above_reaches_what_is_let_through() -> None:
    own = rig(policy(BAD, names=[("a.b.bad.example", "override", "exact")]))
    # RFC 8020: an NXDOMAIN of bad.example or of b.bad.example would deny a.b.bad.example downstream.
    for name in ("bad.example", "b.bad.example", "c.bad.example"):
        assert denial(read(own.ask(question(name))))[:2] == ("NOERROR", f"{name}.")


def test_an_override_of_what_nobody_lists_is_no_event() -> None:
    own = rig(policy(BAD, names=[("fine.example", "override", "subtree"), ("good.example", "allow", "subtree")]))
    assert seen(own, "fine.example") == seen(own, "good.example") == PASSES
    assert (own.count("overridden"), own.count("allowed")) == (0, 0)


def test_the_allowlist_lifts_what_a_profile_asked_for_and_nothing_that_is_mandated() -> None:
    names = [("games.example", "allow", "subtree"), ("bad.example", "allow", "subtree")]
    own = rig(policy(BAD, OFFERED, names=names))  # type: ignore[arg-type] # triples of strings, every one
    assert seen(own, "www.games.example") == PASSES
    assert seen(own, "www.bad.example")[1] == 16
    assert (own.count("overridden"), own.count("allowed")) == (0, 1)


def test_an_override_is_counted_where_the_allowlist_alone_would_not_do() -> None:
    both = [("games.example", "allow", "exact"), ("games.example", "override", "exact")]
    own = rig(policy(OFFERED, names=both))  # type: ignore[arg-type] # triples of strings, every one
    assert seen(own, "games.example") == PASSES
    assert (own.count("overridden"), own.count("allowed")) == (0, 1)
    own = rig(policy(OFFERED, entry("games.example"), names=both))  # type: ignore[arg-type] # as above
    assert seen(own, "games.example") == PASSES
    assert (own.count("overridden"), own.count("allowed")) == (1, 0)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Action.NXDOMAIN, ("NXDOMAIN", 15)),
        (Action.NODATA, ("NOERROR", 15)),
        (Action.REFUSED, ("REFUSED", 15)),
    ],
)
def test_a_name_of_the_operators_own_is_blocked_on_his_account(action: Action, expected: tuple[str, int]) -> None:
    own = rig(policy(names=[("ads.example", "block", "subtree", action)]))
    assert seen(own, "x.ads.example") == expected
    # Category 0: no claim about the list, and no hit of a listed name.
    assert own.blocked(0, action) == 1
    assert own.tally[:] == bytes(len(own.tally))


def test_own_blocks_hold_before_the_first_list_and_send_to_the_sinkhole() -> None:
    own = rig(policy(listed=False, names=[("ads.example", "block", "exact", Action.SINKHOLE)]))
    assert records(read(own.ask(question("ads.example")))) == ["ads.example. 10 IN A 192.0.2.80"]
    assert seen(own, "www.ads.example") == PASSES


def test_between_the_list_and_the_operator_mandated_wins_then_the_deepest_then_the_list() -> None:
    own = rig(
        policy(
            BAD,
            OFFERED,
            names=[
                ("www.bad.example", "block", "subtree", Action.REFUSED),
                ("www.games.example", "block", "subtree", Action.REFUSED),
                ("games.example", "block", "subtree", Action.REFUSED),
            ],
        )
    )
    assert seen(own, "www.bad.example") == ("NXDOMAIN", 16)
    assert seen(own, "www.games.example") == ("REFUSED", 15)
    assert seen(own, "games.example") == ("NXDOMAIN", 17)


def test_an_allowed_name_lifts_an_own_block_above_it() -> None:
    own = rig(
        policy(
            names=[("ads.example", "block", "subtree", Action.NXDOMAIN), ("ok.ads.example", "allow", "subtree")],
        )
    )
    assert seen(own, "ok.ads.example") == PASSES
    assert own.count("allowed") == 1
    assert seen(own, "ads.example") == ("NOERROR", 15), "an NXDOMAIN would deny what is allowed below"


def test_a_list_exception_does_not_lift_an_own_block() -> None:
    rules = policy(BAD, entry("bad.example", exception=True), names=[("bad.example", "block", "exact", Action.NODATA)])
    assert seen(rig(rules), "bad.example") == ("NOERROR", 15)


def test_shadow_mode_is_about_the_list_alone() -> None:
    own = rig(policy(BAD, shadow=True, names=[("ads.example", "block", "exact", Action.REFUSED)]))
    assert seen(own, "bad.example") == PASSES
    assert seen(own, "ads.example") == ("REFUSED", 15)


def test_a_kept_answer_is_judged_by_what_holds_now() -> None:
    lines = ("www.ok.example. 300 IN CNAME x.games.example.", "x.games.example. 300 IN A 198.51.100.7")
    pupils = [("default", [], False), ("school", [], False)]
    school = [("default", [], False), ("school", [int(Category.GAMBLING)], False)]
    # The epoch stays the same while a schedule turns: what the cache noted holds for every time.
    off = policy(OFFERED, profiles=pupils, ever=[Category.GAMBLING])
    on = policy(OFFERED, profiles=school, ever=[Category.GAMBLING])
    lifted = policy(OFFERED, profiles=school, names=[("x.games.example", "override", "exact")])
    own = rig(off)
    assert len(records(read(own.exchange(question("www.ok.example"), lambda q: reply(q, *lines), client=SCHOOL)))) == 2
    for rules, shown in ((on, 1), (off, 2), (lifted, 2), (on, 1)):
        own.engine.use(rules)
        assert len(records(read(own.ask(question("www.ok.example"), client=SCHOOL)))) == shown
    assert own.count("overridden") == 1


def test_a_name_that_is_counted_on_the_way_is_counted_wherever_the_chain_ends() -> None:
    lines = (
        "www.ok.example. 300 IN CNAME bad.example.",
        "bad.example. 300 IN CNAME cdn.test.",
        "cdn.test. 300 IN A 198.51.100.7",
    )
    own = rig(policy(BAD, shadow=True))
    assert len(records(read(own.exchange(question("www.ok.example"), lambda query: reply(query, *lines))))) == 3
    assert own.blocked(Category.GAMBLING, 6) == 1


def test_exact_rules_are_met_beside_own_names() -> None:
    own = rig(policy(entry("bad.example", scope=Scope.EXACT), names=[("else.example", "allow", "exact")]))
    assert seen(own, "www.bad.example") == PASSES
    assert seen(own, "bad.example")[1] == 16


@pytest.mark.parametrize(
    "names",
    [
        [(b"", "allow", EXACT, 0)],
        [(b"\0", "allow", EXACT, 0)],
        [(b"\1a", "allow", EXACT, 0)],
        [(b"\2a\0", "allow", EXACT, 0)],
        [(b"\1A\0", "allow", EXACT, 0)],
        [(b"\x40" + b"a" * 64 + b"\0", "allow", EXACT, 0)],
        [(b"\1a\0", "permit", EXACT, 0)],
        [(b"\1a\0", "allow", 0, 0)],
        [(b"\1a\0", "block", SUBTREE, 256)],
        [(b"\1a\0", "allow", EXACT, 0)] * (MOST + 1),
    ],
)
def test_names_have_bounds(names: list[tuple[bytes, str, int, int]]) -> None:
    with pytest.raises(ValueError, match="name"):
        OwnNames(1, 2, names)


def test_a_table_takes_every_kind() -> None:
    OwnNames(1, 2, [(b"\1a\1b\0", kind, SUBTREE, 1) for kind in KINDS] * 100)
    OwnNames(1, 2, [])

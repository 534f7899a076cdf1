"""The compiled decision is the reference's, whatever the rules, the name and the profile."""

from __future__ import annotations

import random
from functools import cache

import dns.rcode
from hypothesis import given, settings
from hypothesis import strategies as st

from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.records import Entry
from blocklist_sync.artifact.rules import Match, Scope, decide
from resolver.verdict import Named, OwnNames, Way, judge
from tests.support.blocklist import MANDATE, OFFER
from tests.support.engine import Rig, mapped, policy, rig
from tests.support.packets import denial, error_code, question, read, records

# Few labels, so that names meet one another's suffixes often; a wide choice of everything else.
NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5).map(lambda way: ".".join([*way, "example"]))
ORDERS = st.sampled_from([MANDATE, OFFER, Order("56/CV", mandated=True), Order("78/CV", mandated=False)])
CATEGORIES = st.sampled_from([Category.CSAM, Category.GAMBLING, Category.SCAM])
ENTRIES = st.lists(
    st.builds(Entry, NAMES, st.sampled_from(Scope), st.booleans(), CATEGORIES, ORDERS), max_size=30, unique=True
)
ACTIONS = st.dictionaries(CATEGORIES, st.sampled_from(Action))
WANTED = st.sets(CATEGORIES)


@cache
def shared() -> Rig:
    return rig(upstreams=0)


def random_case(name: str, seed: int) -> str:
    source = random.Random(seed)
    return "".join(source.choice((letter.upper(), letter)) for letter in name)


def check(own: Rig, name: str, client: bytes, won: Match | None, action: Action, wish: int) -> None:
    """Asks without recursion, so that what passes is known by its refusal, and compares all that can be seen."""
    before = {category: own.blocked(category, action) for category in Category}
    answer = read(own.ask(question(name, rd=False), client=client))
    after = {category: own.blocked(category, action) - before[category] for category in Category}
    if won is None:
        assert (answer.rcode(), error_code(answer)) == (dns.rcode.REFUSED, 18)
        assert not any(after.values())
        return
    assert after == {category: int(category is won.rule.category) for category in Category}
    assert error_code(answer) == (16 if won.rule.mandated else wish)
    if action is Action.REFUSED:
        assert answer.rcode() == dns.rcode.REFUSED
    elif action in {Action.NULL_IP, Action.SINKHOLE}:
        address = "0.0.0.0" if action is Action.NULL_IP else "192.0.2.80"
        assert [text.lower() for text in records(answer)] == [f"{name.lower()}. 10 in a {address}"]
    else:
        whole = action is Action.NXDOMAIN and won.rule.scope is Scope.SUBTREE and not won.rule.exception_below
        owner = won.owner if whole else name
        rcode, soa, *ttls = denial(answer)
        assert (rcode, soa.lower(), ttls) == ("NXDOMAIN" if whole else "NOERROR", f"{owner.lower()}.", [10, 10])


@given(ENTRIES, NAMES, WANTED, ACTIONS, st.booleans(), st.integers())
@settings(max_examples=600)
def test_the_core_decides_as_the_reference(
    entries: list[Entry],
    name: str,
    wanted: set[Category],
    actions: dict[Category, Action],
    own_wish: bool,
    seed: int,
) -> None:
    rules = policy(
        *entries,
        profiles=[("default", [], False), ("wish", [int(category) for category in wanted], own_wish)],
        actions=actions,
        networks=[("192.0.2.0/24", 1), ("198.51.100.0/24", 0)],
    )
    own = shared()
    own.engine.use(rules)
    assert rules.snapshot is not None
    matches = rules.snapshot.lookup(name)
    for client, categories in (("192.0.2.1", wanted), ("198.51.100.1", set())):
        won = decide(matches, categories)
        action = actions.get(won.rule.category, Action.NXDOMAIN) if won else Action.NXDOMAIN
        check(own, random_case(name, seed), mapped(client), won, action, 15 if own_wish else 17)


@given(ENTRIES, NAMES, WANTED, st.data())
@settings(max_examples=300)
def test_an_nxdomain_denies_nothing_that_would_pass(
    entries: list[Entry], name: str, wanted: set[Category], data: st.DataObject
) -> None:
    own = shared()
    own.engine.use(
        policy(
            *entries,
            profiles=[("wish", [int(category) for category in wanted], False)],
            networks=[("0.0.0.0/0", 0)],
        )
    )
    answer = read(own.ask(question(name, rd=False)))
    if answer.rcode() == dns.rcode.NXDOMAIN:
        known = [listed.name for listed in entries if listed.name.endswith("." + name)]
        below = data.draw(st.sampled_from([name, f"a.{name}", f"c.b.{name}", *known, *(f"a.{one}" for one in known)]))
        # Downstream caches may deny all that is below from now on (RFC 8020): all of it must be blocked here too.
        assert read(own.ask(question(below, rd=False))).rcode() != dns.rcode.REFUSED


SCOPES = st.sampled_from(["exact", "subtree"])
OWN = st.dictionaries(
    st.tuples(NAMES, st.sampled_from(["override", "allow", "block"])),
    st.tuples(SCOPES, st.sampled_from(Action)),
    min_size=1,
    max_size=12,
)


def stated(named: dict[tuple[str, str], tuple[str, Action]]) -> OwnNames:
    """The same names for the reference."""

    def of(kind: str) -> tuple[Named, ...]:
        return tuple(Named(one, scope == "subtree") for (one, its), (scope, _) in named.items() if its == kind)

    return OwnNames(of("override"), of("allow"), of("block"))


@given(ENTRIES, OWN, NAMES, WANTED)
@settings(max_examples=600)
def test_own_names_lift_and_add_as_stated(
    entries: list[Entry], named: dict[tuple[str, str], tuple[str, Action]], name: str, wanted: set[Category]
) -> None:
    own = shared()
    rules = policy(
        *entries,
        profiles=[("wish", [int(category) for category in wanted], False)],
        networks=[("0.0.0.0/0", 0)],
        names=[(one, kind, scope, action) for (one, kind), (scope, action) in named.items()],
    )
    own.engine.use(rules)
    assert rules.snapshot is not None
    matches = rules.snapshot.lookup(name)
    verdict = judge(name, matches, wanted, stated(named))
    before = own.count("overridden"), own.count("allowed")
    answer = read(own.ask(question(name, rd=False)))
    overridden, allowed = own.count("overridden") - before[0], own.count("allowed") - before[1]
    assert (overridden, allowed) == (int(verdict.way is Way.OVERRIDE), int(verdict.way is Way.ALLOWLIST))
    if verdict.way is Way.LIST:
        assert verdict.match is not None
        assert error_code(answer) == (16 if verdict.match.rule.mandated else 17)
    elif verdict.way is Way.OWN:
        assert error_code(answer) == 15
    else:
        assert (answer.rcode(), error_code(answer)) == (dns.rcode.REFUSED, 18)


@given(ENTRIES, OWN, NAMES, WANTED, st.data())
@settings(max_examples=300)
def test_an_nxdomain_denies_nothing_that_own_names_let_through(
    entries: list[Entry],
    named: dict[tuple[str, str], tuple[str, Action]],
    name: str,
    wanted: set[Category],
    data: st.DataObject,
) -> None:
    own = shared()
    names = [(one, kind, scope, action) for (one, kind), (scope, action) in named.items()]
    profiles = [("wish", [int(category) for category in wanted], False)]
    own.engine.use(policy(*entries, profiles=profiles, networks=[("0.0.0.0/0", 0)], names=names))
    answer = read(own.ask(question(name, rd=False)))
    if answer.rcode() == dns.rcode.NXDOMAIN:
        known = [one for one, _ in named if one.endswith("." + name)]
        below = data.draw(st.sampled_from([name, f"a.{name}", f"c.b.{name}", *known, *(f"a.{one}" for one in known)]))
        assert read(own.ask(question(below, rd=False))).rcode() != dns.rcode.REFUSED or error_code(
            read(own.ask(question(below, rd=False)))
        ) in {15, 16, 17}

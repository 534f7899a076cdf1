from __future__ import annotations

import itertools

from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.artifact.rules import Match, Rule, Scope, decide

SCHOOL = frozenset(set(Category) - ALWAYS_MANDATED)
NOBODY: frozenset[Category] = frozenset()


def match(owner: str, category: Category = Category.GAMBLING, **rule: object) -> Match:
    settings = {"scope": Scope.SUBTREE, "exception": False, "exception_below": False, "mandated": False, "order": 0}
    return Match(owner, owner.count(".") + 1, Rule(category=category, **(settings | rule)))  # type: ignore[arg-type]  # overrides by name


def test_nothing_matched() -> None:
    assert decide([], SCHOOL) is None


def test_a_profile_rule_binds_that_profile_alone() -> None:
    rule = match("bad.example")
    assert decide([rule], SCHOOL) is rule
    assert decide([rule], NOBODY) is None


def test_a_profile_rule_below_never_shadows_a_mandated_one() -> None:
    mandated = match("bad.example", mandated=True)
    school = match("www.bad.example")
    assert decide([mandated, school], SCHOOL) is mandated
    assert decide([mandated, school], NOBODY) is mandated


def test_of_equals_the_deepest_wins_then_exact_then_category_then_order() -> None:
    shallow, deep = match("bad.example"), match("www.bad.example")
    assert decide([shallow, deep], SCHOOL) is deep
    exact = match("www.bad.example", scope=Scope.EXACT, category=Category.SCAM)
    assert decide([deep, exact], SCHOOL) is exact
    lower = match("www.bad.example", category=Category.PORNOGRAPHY)
    assert decide([deep, lower], SCHOOL) is lower
    later = match("www.bad.example", order=1)
    assert decide([later, deep], SCHOOL) is deep


def test_an_exception_lifts_its_own_category_only() -> None:
    excused = match("ok.bad.example", exception=True)
    assert decide([match("bad.example"), excused], SCHOOL) is None
    scam = match("bad.example", category=Category.SCAM)
    assert decide([match("bad.example"), scam, excused], SCHOOL) is scam


def test_an_exception_lifts_its_own_depth_and_above_never_below() -> None:
    excused = match("ok.bad.example", exception=True)
    assert decide([match("ok.bad.example"), excused], SCHOOL) is None
    deeper = match("www.ok.bad.example")
    assert decide([match("bad.example"), excused, deeper], SCHOOL) is deeper


def test_only_a_mandated_exception_lifts_what_is_mandated() -> None:
    mandated = match("bad.example", mandated=True)
    assert decide([mandated, match("ok.bad.example", exception=True)], SCHOOL) is mandated
    lifted = match("ok.bad.example", exception=True, mandated=True)
    assert decide([mandated, match("bad.example"), lifted], SCHOOL) is None


def test_an_exception_out_of_force_excuses_nothing() -> None:
    mandated = match("bad.example", mandated=True)
    assert decide([mandated, match("bad.example", exception=True)], NOBODY) is mandated


def test_the_order_of_collection_does_not_matter() -> None:
    rules = [
        match("bad.example", mandated=True),
        match("www.bad.example"),
        match("www.bad.example", category=Category.SCAM, mandated=True),
        match("www.bad.example", exception=True),
    ]
    assert len({decide(order, SCHOOL) for order in itertools.permutations(rules)}) == 1

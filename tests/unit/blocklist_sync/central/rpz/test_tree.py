"""What a zone has to hold, held against the rules that edges go by."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from blocklist_sync.artifact import rules
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.records import Entry
from blocklist_sync.artifact.rules import Match, Scope, decide
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.rpz.tree import Owner, rule_of
from tests.support.blocklist import MANDATE, OFFER, entry
from tests.support.rpz import Reader, owners_of, zone_of

NOBODY: frozenset[int] = frozenset()
SCHOOL = frozenset({Category.GAMBLING, Category.SCAM})


def told(held: list[Owner]) -> list[tuple[str, bool]]:
    return [(("*." if one.wildcard else "") + one.name, one.rule is not None) for one in held]


def test_a_subtree_is_a_name_and_its_wildcard_twin_an_exact_name_stands_alone(tmp_path: Path) -> None:
    listed = [entry("bad.example"), entry("one.example", scope=Scope.EXACT)]
    assert told(owners_of(listed, NOBODY, tmp_path)) == [
        ("bad.example", True), ("*.bad.example", True), ("one.example", True)
    ]  # fmt: skip


def test_an_exception_passes_and_what_stands_between_is_still_blocked(tmp_path: Path) -> None:
    listed = [entry("bad.example"), entry("ok.a.bad.example", scope=Scope.EXACT, exception=True)]
    assert told(owners_of(listed, NOBODY, tmp_path)) == [
        ("bad.example", True), ("*.bad.example", True),
        # Without these, the exception would hide the wildcard from the names beside and above it.
        ("a.bad.example", True), ("*.a.bad.example", True),
        ("ok.a.bad.example", False), ("*.ok.a.bad.example", True),
    ]  # fmt: skip


def test_an_exception_of_another_category_lifts_nothing(tmp_path: Path) -> None:
    listed = [entry("bad.example"), entry("www.bad.example", Category.SCAM, exception=True)]
    assert all(blocked for _, blocked in told(owners_of(listed, NOBODY, tmp_path)))


def test_a_profile_brings_its_own_names_and_the_mandated_zone_has_none_of_them(tmp_path: Path) -> None:
    listed = [entry("play.example", order=OFFER), entry("bad.example")]
    assert [name for name, _ in told(owners_of(listed, NOBODY, tmp_path))] == ["bad.example", "*.bad.example"]
    assert ("play.example", True) in told(owners_of(listed, SCHOOL, tmp_path))


def test_what_is_mandated_beats_what_a_school_asks_for(tmp_path: Path) -> None:
    listed = [entry("bad.example"), entry("www.bad.example", Category.SCAM, order=OFFER)]
    (winner,) = {one.rule for one in owners_of(listed, SCHOOL, tmp_path) if one.name == "www.bad.example"}
    assert winner is not None
    assert winner.category is Category.GAMBLING


@pytest.mark.parametrize("categories", [NOBODY, SCHOOL], ids=["mandated", "school"])
def test_a_resolver_decides_every_name_as_an_edge_does(tmp_path: Path, categories: frozenset[int]) -> None:
    rng = random.Random(11)
    for _ in range(150):
        names = [".".join([*(rng.choice("ab") for _ in range(rng.randrange(4))), "x", "example"]) for _ in range(6)]
        listed = [
            Entry(
                name,
                rng.choice((Scope.EXACT, Scope.SUBTREE)),
                rng.random() < 0.35,
                rng.choice((Category.CSAM, Category.GAMBLING, Category.SCAM)),
                rng.choice((MANDATE, OFFER)),
            )
            for name in names
        ]
        above = {(a, one.category) for one in listed if one.exception for a in _above(one.name)}
        text, _, _ = zone_of(owners_of(listed, categories, tmp_path))
        reader = Reader(text)
        for name in {*names, *(f"{label}.{name}" for name in names for label in "abz")}:
            won = decide(_matches(listed, above, name), categories)  # type: ignore[arg-type]
            for found in (reader.exact(name), reader.plain(name)):
                assert _blocks(found) == (won is not None), (name, listed, text)


def _above(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(1, len(labels))]


def _matches(listed: list[Entry], above: set[tuple[str, Category]], name: str) -> list[Match]:
    return [
        Match(one.name, one.name.count(".") + 1, _rule(one, above))
        for one in listed
        if one.name == name or (one.scope is Scope.SUBTREE and name.endswith("." + one.name))
    ]


def _rule(one: Entry, above: set[tuple[str, Category]]) -> rules.Rule:
    shadowed = one.scope is Scope.SUBTREE and not one.exception and (one.name, one.category) in above
    return rule_of(Kind(*one[1:]), exception_below=shadowed)


def _blocks(found: object) -> bool:
    return bool(found) and found != [("CNAME", "rpz-passthru.")]

"""What it decides is held against the compiled core in tests/property/test_resolver_policy.py; here is what it says."""

from __future__ import annotations

from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import Category
from lachan.config import parse
from resolver.ownnames import OwnSettings
from resolver.verdict import Named, Way, judge, own_names
from tests.support.blocklist import OFFER, built, entry

SNAPSHOT = Snapshot(built(entry("bad.example"), entry("games.example", order=OFFER)))
OWN = parse(
    "{allow: [{name: games.example, reason: our own}], block: [{name: ads.example, action: nodata, scope: exact}]}",
    OwnSettings,
)


def verdict(name: str, *overrides: tuple[str, str, str]) -> tuple[Way, str | None, str | None]:
    found = judge(name, SNAPSHOT.lookup(name), [Category.GAMBLING], own_names(OWN, overrides))
    return found.way, found.match.owner if found.match else None, found.own.word if found.own else None


def test_the_verdict_names_the_rule_and_the_word_behind_it() -> None:
    assert verdict("www.bad.example") == (Way.LIST, "bad.example", None)
    assert verdict("www.games.example") == (Way.ALLOWLIST, "games.example", "our own")
    assert verdict("ads.example") == (Way.OWN, None, "nodata")
    assert verdict("www.ads.example") == (Way.NOTHING, None, None)
    assert verdict("bad.example", ("bad.example", "exact", "a hospital")) == (
        Way.OVERRIDE,
        "bad.example",
        "a hospital",
    )


def test_a_name_reaches_as_far_as_its_scope() -> None:
    assert Named("a.example", False).reaches("a.example")
    assert not Named("a.example", False).reaches("b.a.example")
    assert Named("a.example", True).reaches("b.a.example")
    assert not Named("a.example", True).reaches("ba.example")

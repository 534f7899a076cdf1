"""The category of a hit, from the list that the node holds."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.artifact.policy import default
from blocklist_sync.artifact.rules import Scope
from lachan.compliance.v1 import report_pb2 as pb
from resolver.rpzlog.hits import Done, Hit
from resolver.rpzlog.judging import List, judge
from tests.support.blocklist import OFFER, built, entry

NOW = List(Snapshot(built(entry("bad.example"), entry("one.example", Category.SCAM, scope=Scope.EXACT))), default())
BEFORE = List(Snapshot(built(entry("gone.example", Category.DRUGS))), default())
SCHOOL = List(Snapshot(built(entry("play.example", order=OFFER))), default())


def hit(name: str, done: Done = Done.NXDOMAIN, *, below: bool = False) -> Hit:
    return Hit(1, done, name, below)


@pytest.mark.parametrize(
    ("one", "cell"),
    [
        (hit("bad.example"), (Category.GAMBLING, pb.ACTION_NXDOMAIN)),
        (hit("www.bad.example", Done.NODATA), (Category.GAMBLING, pb.ACTION_NODATA)),
        (hit("bad.example", Done.SHADOW, below=True), (Category.GAMBLING, pb.ACTION_SHADOW)),
        (hit("bad.example", Done.DROP), (Category.GAMBLING, pb.ACTION_UNSPECIFIED)),
        (hit("bad.example", Done.DATA), (Category.GAMBLING, pb.ACTION_SINKHOLE)),
        (hit("one.example"), (Category.SCAM, pb.ACTION_NXDOMAIN)),
        # An exact rule says nothing of what is below it.
        (hit("one.example", below=True), None),
        # The resolver may still answer by the release before.
        (hit("gone.example"), (Category.DRUGS, pb.ACTION_NXDOMAIN)),
        (hit("never.example"), None),
    ],
)
def test_a_hit_has_the_category_of_its_rule_or_is_unknown(one: Hit, cell: tuple[int, int] | None) -> None:
    judged = judge(one, [NOW, BEFORE], "mandated")
    assert (judged.cell if judged else None) == cell


def test_a_hit_is_one_of_the_rule_that_reached_it() -> None:
    for name in ("bad.example", "www.bad.example"):
        judged = judge(hit(name), [NOW, BEFORE], "mandated")
        assert judged is not None
        assert judged.fingerprint == NOW.rules.fingerprint("bad.example")
        assert judged.fingerprint in NOW.fingerprints()


def test_what_a_profile_asks_for_counts_in_its_zone_alone() -> None:
    assert judge(hit("play.example"), [SCHOOL], "mandated") is None
    judged = judge(hit("play.example"), [SCHOOL], "school")
    assert judged is not None
    assert judged.cell == (Category.GAMBLING, pb.ACTION_NXDOMAIN)


def test_which_records_were_given_is_said_by_the_policy_bundle() -> None:
    bundle = replace(default(), actions=MappingProxyType({Category.GAMBLING: Action.NULL_IP}))
    judged = judge(hit("bad.example", Done.DATA), [replace(NOW, bundle=bundle)], "mandated")
    assert judged is not None
    assert judged.cell == (Category.GAMBLING, pb.ACTION_NULL_IP)


def test_without_a_list_nothing_is_known() -> None:
    assert judge(hit("bad.example"), [], "mandated") is None

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from blocklist_sync.artifact import policy
from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.names import NameRefusedError
from blocklist_sync.artifact.rules import Scope
from lachan.config import parse
from resolver.edgefile import EdgeFile
from resolver.errors import ResolverError
from resolver.explain import Explanation, explain, moment
from resolver.overrides import Override, ReasonCode
from resolver.settings import Edge, normalise
from tests.support.blocklist import OFFER, built, entry

ENTRIES = (
    entry("bad.example"),
    entry("fine.bad.example", exception=True),
    entry("www.bad.example", Category.SCAM, order=OFFER),
    entry("school-only.example", Category.GAMBLING, order=OFFER),
    entry("exact.example", Category.CSAM, scope=Scope.EXACT),
)


NOON = datetime(2026, 3, 2, 12, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh")).timestamp()


def edge(*, shadow: bool = False, own: str = "{}", school: str = "") -> Edge:
    text = f"""
        {{organisation: a, node: edge-1, listen: [{{address: 127.0.0.1}}], upstreams: [{{address: 192.0.2.1}}],
         profiles: [{{name: school, networks: [198.51.100.0/24]{school}}}], own: {own},
         blocklist: {{snapshot: rules.snapshot, shadow: {str(shadow).lower()}}}}}"""
    return normalise(parse(text, EdgeFile, base=Path("/etc/lachan")))


def explained(
    name: str, *overrides: Override, at: float = NOON, shadow: bool = False, own: str = "{}", school: str = ""
) -> Explanation:
    snapshot = Snapshot(built(*ENTRIES, serial=7))
    return explain(name, snapshot, policy.default(), edge(shadow=shadow, own=own, school=school), overrides, at)


@pytest.mark.parametrize(
    ("name", "default", "school"),
    [
        ("bad.example", "nxdomain", "nxdomain"),
        ("a.b.bad.example", "nxdomain", "nxdomain"),
        ("www.bad.example", "nxdomain", "nxdomain"),
        ("fine.bad.example", "pass (by an exception)", "pass (by an exception)"),
        ("school-only.example", "pass", "nxdomain"),
        ("exact.example", "nxdomain", "nxdomain"),
        ("below.exact.example", "pass", "pass"),
        ("clean.example", "pass", "pass"),
    ],
)
def test_each_profile_is_told_what_follows(name: str, default: str, school: str) -> None:
    assert explained(name).actions == {"default": default, "school": school}


def test_every_rule_is_named_with_its_order_and_for_whom() -> None:
    rows = sorted(explained("www.bad.example").rows())
    assert rows == [
        ("bad.example", "subtree", "block", "gambling", "12/QĐ", "everybody (mandated)"),
        ("www.bad.example", "subtree", "block", "scam", "34/QĐ", "school"),
    ]


def test_what_is_mandated_wins_though_a_deeper_rule_is_there() -> None:
    verdict = explained("www.bad.example").verdicts["school"]
    assert verdict.match is not None
    assert verdict.match.owner == "bad.example"


def test_the_name_may_be_spelled_in_any_way() -> None:
    assert explained("WWW.Bad.Example.").document() == explained("www.bad.example").document()


def test_shadow_mode_is_said() -> None:
    assert explained("bad.example", shadow=True).actions["default"] == "count only (nxdomain)"
    assert explained("clean.example", shadow=True).actions["default"] == "pass"


def test_the_document_says_what_the_table_says() -> None:
    document = explained("school-only.example").document()
    assert (document["name"], document["serial"]) == ("school-only.example", 7)
    [rule] = document["rules"]
    assert (rule["order"], rule["in_force_for"]) == ("34/QĐ", "school")
    assert document["profiles"] == {
        "default": {
            "action": "pass",
            "decided_by": "nothing",
            "owner": None,
            "category": None,
            "order": None,
            "own_name": None,
            "periods": [],
        },
        "school": {
            "action": "nxdomain",
            "decided_by": "list",
            "own_name": None,
            "periods": [],
            "owner": "school-only.example",
            "category": "gambling",
            "order": "34/QĐ",
        },
    }


@pytest.mark.parametrize("name", ["", "example", "192.0.2.1", "a..example", "x" * 64 + ".example"])
def test_what_no_list_could_hold_is_refused(name: str) -> None:
    with pytest.raises(NameRefusedError):
        explained(name)


def test_what_the_operator_says_is_told_with_its_reason() -> None:
    own = "{allow: [{name: school-only.example, reason: our own game}], block: [{name: ads.example, action: nodata}]}"
    assert list(explained("school-only.example", own=own).lines("school")) == [
        "profile school: pass (by the operator's allowlist) by school-only.example (our own game)"
    ]
    assert explained("x.ads.example", own=own).actions["default"] == "blocked by the operator"
    one = Override("bad.example", "exact", ReasonCode.OTHER, "a hospital", int(NOON), int(NOON) + 60)
    assert list(explained("bad.example", one).lines("default")) == [
        "profile default: pass (by an emergency override) by bad.example (a hospital)"
    ]
    assert explained("bad.example", one, at=NOON + 60).actions["default"] == "nxdomain"


def test_another_time_has_other_periods() -> None:
    school = ", actions: {gambling: nodata}, schedule: {periods: [{name: lessons, start: '07:00', end: '17:00', \
        actions: {gambling: null_ip}}]}"
    assert explained("school-only.example", school=school).actions["school"] == "null_ip"
    evening = explained("school-only.example", school=school, at=NOON + 6 * 3600)
    assert evening.actions["school"] == "nodata"
    assert list(evening.document("school")["profiles"]) == ["school"]
    assert list(explained("a.example", school=school).lines("school")) == ["profile school during lessons: pass"]


def test_a_time_is_of_the_profiles_zone_unless_it_says() -> None:
    assert moment("2026-03-02T12:00", edge()) == moment("2026-03-02T05:00+00:00", edge()) == NOON
    zone = ", schedule: {timezone: UTC, periods: [{name: a, categories: [scam]}]}"
    assert moment("2026-03-02T05:00", edge(school=zone), "school") == NOON
    with pytest.raises(ResolverError, match="no time"):
        moment("noon", edge())

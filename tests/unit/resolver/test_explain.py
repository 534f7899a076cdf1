from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.artifact import policy
from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.names import NameRefusedError
from blocklist_sync.artifact.rules import Scope
from lachan.config import parse
from resolver.explain import Explanation, explain
from resolver.settings import Edge, EdgeFile, normalise
from tests.support.blocklist import OFFER, built, entry

ENTRIES = (
    entry("bad.example"),
    entry("fine.bad.example", exception=True),
    entry("www.bad.example", Category.SCAM, order=OFFER),
    entry("school-only.example", Category.GAMBLING, order=OFFER),
    entry("exact.example", Category.CSAM, scope=Scope.EXACT),
)


def edge(*, shadow: bool = False) -> Edge:
    text = f"""
        {{organisation: a, node: edge-1, listen: [{{address: 127.0.0.1}}], upstreams: [{{address: 192.0.2.1}}],
         profiles: [{{name: school, networks: [198.51.100.0/24]}}],
         blocklist: {{snapshot: rules.snapshot, shadow: {str(shadow).lower()}}}}}"""
    return normalise(parse(text, EdgeFile, base=Path("/etc/lachan")))


def explained(name: str, *, shadow: bool = False) -> Explanation:
    return explain(name, Snapshot(built(*ENTRIES, serial=7)), policy.default(), edge(shadow=shadow))


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
    winner = explained("www.bad.example").winners["school"]
    assert winner is not None
    assert winner.owner == "bad.example"


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
        "default": {"action": "pass", "owner": None, "category": None, "order": None},
        "school": {
            "action": "nxdomain",
            "owner": "school-only.example",
            "category": "gambling",
            "order": "34/QĐ",
        },
    }


@pytest.mark.parametrize("name", ["", "example", "192.0.2.1", "a..example", "x" * 64 + ".example"])
def test_what_no_list_could_hold_is_refused(name: str) -> None:
    with pytest.raises(NameRefusedError):
        explained(name)

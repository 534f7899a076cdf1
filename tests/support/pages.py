"""What the pages are made from, without a process: an edge, a list, settings."""

from __future__ import annotations

from typing import Any

from blocklist_sync.artifact import policy
from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import Category
from resolver.edgefile import EdgeFile
from resolver.overrides import Override, ReasonCode
from resolver.pages.facts import Facts, own_rules
from resolver.pages.settings import PagesSettings
from resolver.settings import normalise
from tests.support.blocklist import OFFER, built, entry

NAME = "check.operator-a.example"
NONCE = "0123456789abcdef"
NOW = 1_800_000_000
STUDENT, SUBSCRIBER, STRANGER = "198.51.100.7", "192.0.2.7", "203.0.113.7"
ENTRIES = (
    entry("bad.example"),
    entry("worse.example", Category.CSAM),
    entry("school-only.example", Category.SCAM, order=OFFER),
    entry("fine.bad.example", exception=True),
)


def override(name: str, scope: str = "exact", ends_at: int = NOW + 60) -> Override:
    """An emergency override."""
    return Override(name, scope, ReasonCode.OTHER, "a hospital's", NOW - 60, ends_at)


def pages(**settings: Any) -> PagesSettings:
    """Settings of pages."""
    least: dict[str, Any] = {"listen": [{"address": "192.0.2.80"}], "operator": "Nhà mạng Mẫu", "name": NAME}
    return PagesSettings.model_validate(least | settings)


def facts(*, shadow: bool = False, listed: bool = True, overrides: tuple[Override, ...] = (), **settings: Any) -> Facts:
    """An edge with a list, or before its first."""
    least: dict[str, Any] = {
        "organisation": "operator-a",
        "node": "edge-1",
        "listen": [{"address": "192.0.2.53"}],
        "upstreams": [{"address": "192.0.2.1"}],
        "access": {"allow": ["192.0.2.0/24", "2001:db8::/32"]},
        "profiles": [{"name": "school", "networks": ["198.51.100.0/24", "2001:db8:5::/48"]}],
        "blocklist": {"snapshot": "rules.snapshot", "shadow": shadow},
    }
    edge = normalise(EdgeFile.model_validate(least | settings))
    if not listed:
        return Facts(edge, policy.default(), None, ())
    snapshot = Snapshot(built(*ENTRIES, serial=42))
    own = own_rules(edge.file.own)
    return Facts(edge, policy.default(), snapshot, snapshot.orders, 42, NOW - 7200, NOW - 30, own, overrides)

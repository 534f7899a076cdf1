"""Whose network, and why a name is blocked there."""

from __future__ import annotations

import pytest

from blocklist_sync.artifact.categories import Category
from resolver.pages.facts import Reason
from tests.support.pages import NOW, STRANGER, STUDENT, SUBSCRIBER, facts, override


@pytest.mark.parametrize(
    ("address", "profile"),
    [
        (STUDENT, "school"),
        (SUBSCRIBER, "default"),
        (STRANGER, None),
        ("2001:db8:5::1", "school"),
        ("2001:db8:6::1", "default"),
        ("2001:db9::1", None),
        ("fe80::1%eth0", None),
        ("::ffff:198.51.100.7", "school"),
    ],
)
def test_the_narrowest_network_tells_the_profile(address: str, profile: str | None) -> None:
    assert facts().profile_of(address) == profile


def test_a_network_may_be_everything() -> None:
    assert facts(access={"allow": ["0.0.0.0/0", "::/0"]}).profile_of(STRANGER) == "default"


@pytest.mark.parametrize(
    ("name", "profile", "reason"),
    [
        ("www.bad.example", "default", Reason("www.bad.example", "default", Category.GAMBLING, True, "12/QĐ")),
        ("bad.example", "school", Reason("bad.example", "school", Category.GAMBLING, True, "12/QĐ")),
        ("school-only.example", "school", Reason("school-only.example", "school", Category.SCAM, False, "34/QĐ")),
        ("school-only.example", "default", None),
        ("fine.bad.example", "default", None),
        ("clean.example", "school", None),
        ("192.0.2.80", "school", None),
        ("bad.example", None, None),
        (None, "school", None),
    ],
)
def test_a_reason_is_the_rule_that_wins_for_the_profile(
    name: str | None, profile: str | None, reason: Reason | None
) -> None:
    assert facts().reason(name, profile, NOW) == reason


def test_the_order_of_what_nobody_may_look_up_is_not_told() -> None:
    reason = facts().reason("worse.example", "default", NOW)
    assert reason is not None
    assert (reason.category, reason.order) == (Category.CSAM, None)


def test_before_the_first_list_nothing_is_blocked() -> None:
    assert facts(listed=False).reason("bad.example", "default", NOW) is None
    assert [facts().protecting, facts(shadow=True).protecting, facts(listed=False).protecting] == [True, False, False]


def test_a_profile_has_what_it_asks_for_and_what_nobody_may_see() -> None:
    assert facts().categories("default", NOW) == [Category.CSAM, Category.SEXUAL_EXPLOITATION]
    assert facts().categories("school", NOW) == list(Category)


def test_a_profile_asks_for_more_at_its_hours() -> None:
    # 1,800,000,000 is a Friday, 15:00 in Vietnam.
    hours = {"name": "lessons", "days": ["fri"], "start": "14:00", "end": "16:00", "categories": ["gambling"]}
    schedule = {"timezone": "Asia/Ho_Chi_Minh", "periods": [hours]}
    profiles = [{"name": "library", "networks": ["198.51.100.0/24"], "schedule": schedule}]
    known = facts(profiles=profiles)
    assert Category.GAMBLING in known.categories("library", NOW)
    assert Category.GAMBLING not in known.categories("library", NOW + 7200)


def test_the_operator_s_own_word_holds_where_the_law_has_none() -> None:
    own = {
        "block": [{"name": "own.example"}, {"name": "exact.example", "scope": "exact"}, {"name": "fine.bad.example"}],
        "allow": [
            {"name": "school-only.example", "reason": "lessons"},
            {"name": "bad.example", "reason": "wrong"},
        ],
    }
    known = facts(own=own)
    for name in ("own.example", "www.own.example", "exact.example", "x.fine.bad.example"):
        assert known.reason(name, "default", NOW) == Reason(name, "default", None, False, None)
    for name in ("below.exact.example", "notown.example", "school-only.example"):
        assert known.reason(name, "school", NOW) is None
    mandated = known.reason("bad.example", "school", NOW)
    assert mandated is not None
    assert mandated.mandated


def test_an_override_lifts_what_it_reaches_until_it_ends() -> None:
    known = facts(overrides=(override("bad.example", "subtree"), override("worse.example", ends_at=NOW)))
    assert [known.lifted(name, NOW) for name in ("bad.example", "www.bad.example", "verybad.example")] == [
        True,
        True,
        False,
    ]
    assert not known.lifted("worse.example", NOW)
    assert not facts(overrides=(override("bad.example"),)).lifted("www.bad.example", NOW)
    assert [known.passing(NOW), known.passing(NOW + 60)] == [1, 0]
    assert known.reason("bad.example", "default", NOW) is not None

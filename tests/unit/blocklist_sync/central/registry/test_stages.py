"""Stages: who answers for what, and until when."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from blocklist_sync.central.log.proposals import URGENCIES
from blocklist_sync.central.registry.stages import Course, StagePlan, StagePlans, haste_of, stages, unproposed

HOUR = 3600
NOW = int(dt.datetime(2026, 9, 1, tzinfo=dt.UTC).timestamp())


def rule(unit: str, hours: float) -> dict[str, object]:
    return {"unit": unit, "ordinary": f"{hours}h", "urgent": f"{hours / 2}h", "unblock": f"{hours / 4}h"}


PLANS = StagePlans.model_validate(
    {
        "plans": [
            {"approve": rule("old-approvers", 48)},
            {"effective_from": "2026-09-01", "approve": rule("approvers", 24), "sign": rule("approvers", 8)},
        ]
    }
)


def due(course: Course) -> dict[str, tuple[str, int]]:
    return {stage.name: (stage.unit, stage.due_at) for stage in stages(course, PLANS)}


def test_urgent_and_unblocking_have_times_of_their_own() -> None:
    for haste, hours in (("ordinary", 24), ("urgent", 12), ("unblock", 6)):
        course = Course(haste, NOW, NOW)  # type: ignore[arg-type]
        assert due(course)["approve"] == ("approvers", NOW + hours * HOUR)


def test_a_stage_is_held_to_the_plan_that_was_in_force_when_it_began() -> None:
    assert due(Course("ordinary", NOW - HOUR, NOW - HOUR))["approve"] == ("old-approvers", NOW + 47 * HOUR)
    assert PLANS.at(0) == PLANS.plans[0]


def test_stages_follow_one_another() -> None:
    proposed = Course("ordinary", NOW, NOW + HOUR)
    assert [stage.name for stage in stages(proposed, PLANS)] == ["propose", "approve"]
    rejected = Course("ordinary", NOW, NOW + HOUR, NOW + 2 * HOUR)
    assert [(stage.name, stage.done_at) for stage in stages(rejected, PLANS)][-1] == ("approve", NOW + 2 * HOUR)
    approved = Course("ordinary", NOW, NOW + HOUR, NOW + 2 * HOUR, approved=True, effect_at=NOW + 9 * HOUR)
    (signing,) = stages(approved, PLANS)[2:]
    # Approved for later: nobody is late before that.
    assert (signing.name, signing.since, signing.due_at) == ("sign", NOW + 9 * HOUR, NOW + 17 * HOUR)
    assert signing.overdue(signing.due_at + 1)
    assert not signing.overdue(signing.due_at)


def test_each_unit_has_its_time_from_when_the_one_before_was_done() -> None:
    times = {"decided_at": NOW, "effect_at": NOW, "signed_at": NOW + 7 * HOUR}
    signing, publishing = stages(Course("ordinary", NOW, NOW, approved=True, **times), PLANS)[2:]
    assert (signing.done_at, signing.overdue(NOW + 100 * HOUR)) == (NOW + 7 * HOUR, False)
    assert (publishing.since, publishing.due_at, publishing.done_at) == (NOW + 7 * HOUR, NOW + 13 * HOUR, 0)
    # Signed by hand, and the registry was not told: then it was when it was published, at the latest.
    told = Course("ordinary", NOW, NOW, approved=True, decided_at=NOW, effect_at=NOW, published_at=NOW + HOUR)
    assert [stage.done_at for stage in stages(told, PLANS)[2:]] == [NOW + HOUR, NOW + HOUR]


def test_what_is_published_is_to_be_reviewed_until_it_is_for_good() -> None:
    times = {"decided_at": NOW, "effect_at": NOW, "published_at": NOW + HOUR}
    published = Course("ordinary", NOW, NOW, approved=True, review_by=NOW + 1000 * HOUR, **times)
    *_, publishing, review = stages(published, PLANS)
    assert publishing.done_at == NOW + HOUR
    assert (review.name, review.done_at) == ("review", 0)
    assert review.due_at > NOW + 1000 * HOUR
    closed = Course("ordinary", NOW, NOW, approved=True, review_by=0, **times)
    assert stages(closed, PLANS)[-1].name == "publish"


def test_an_order_waits_for_a_proposal() -> None:
    stage = unproposed(NOW, "urgent", PLANS)
    assert (stage.name, stage.due_at) == ("propose", NOW + 2 * HOUR)
    assert unproposed(NOW, haste_of("unblock"), PLANS).due_at == NOW + 12 * HOUR


def test_an_order_says_its_haste() -> None:
    assert [haste_of(one) for one in URGENCIES] == ["ordinary", "urgent", "unblock"]


def test_plans_stand_in_order() -> None:
    with pytest.raises(ValidationError, match="order of their dates"):
        StagePlans(plans=(StagePlan(), StagePlan()))
    with pytest.raises(ValidationError):
        StagePlans.model_validate({"plans": [{"approve": rule("No Unit", 1)}]})

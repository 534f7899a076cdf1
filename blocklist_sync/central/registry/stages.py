"""The stages of an entry's way, each with the one unit that answers for it and the time it has.

Holds always: nothing here is code but the order of the stages; units and times are data with effective dates, and a
proposal is held to what was in force when its stage began. Unblocking has times of its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, field_validator

from lachan.config import Duration, Settings

StageName = Literal["propose", "approve", "sign", "publish", "review"]
Haste = Literal["ordinary", "urgent", "unblock"]
DAY = 86_400.0


class StageRule(Settings):
    """Who answers for a stage, and how long it may take."""

    unit: Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
    ordinary: Annotated[Duration, Field(gt=0)]
    urgent: Annotated[Duration, Field(gt=0)]
    unblock: Annotated[Duration, Field(gt=0)]

    def within(self, haste: Haste) -> int:
        """Seconds."""
        return int({"ordinary": self.ordinary, "urgent": self.urgent, "unblock": self.unblock}[haste])


def _rule(unit: str, ordinary: float, urgent: float, unblock: float) -> StageRule:
    return StageRule(unit=unit, ordinary=ordinary, urgent=urgent, unblock=unblock)


class StagePlan(Settings):
    """The rules from a day on; `review` says how long after its date a review may take."""

    effective_from: dt.date = dt.date(1970, 1, 1)
    propose: StageRule = _rule("list-editors", DAY, DAY / 12, DAY / 2)
    approve: StageRule = _rule("list-approvers", DAY, DAY / 12, DAY / 2)
    sign: StageRule = _rule("list-approvers", DAY / 2, DAY / 24, DAY / 4)
    publish: StageRule = _rule("list-custodians", DAY / 4, DAY / 24, DAY / 4)
    review: StageRule = _rule("list-editors", 30 * DAY, 30 * DAY, 30 * DAY)

    def rule(self, name: StageName) -> StageRule:
        """The rule of a stage."""
        rules = {"propose": self.propose, "approve": self.approve, "sign": self.sign, "publish": self.publish}
        return rules.get(name, self.review)

    def units(self) -> list[tuple[str, StageName]]:
        """Every stage with the unit that answers for it."""
        return [(self.rule(name).unit, name) for name in get_args(StageName)]


class StagePlans(Settings):
    """Every plan, each from its day on."""

    plans: Annotated[tuple[StagePlan, ...], Field(min_length=1, max_length=100)] = (StagePlan(),)

    @field_validator("plans")
    @classmethod
    def _by_date(cls, plans: tuple[StagePlan, ...]) -> tuple[StagePlan, ...]:
        dates = [plan.effective_from for plan in plans]
        if dates != sorted(set(dates)):
            raise ValueError("plans stand in the order of their dates, each date once")
        return plans

    def at(self, moment: int) -> StagePlan:
        """The plan in force at a moment; the first one before any is."""
        day = dt.datetime.fromtimestamp(moment, dt.UTC).date()
        return next((plan for plan in reversed(self.plans) if plan.effective_from <= day), self.plans[0])


@dataclass(frozen=True)
class Stage:
    """One stage of one order or proposal; times are seconds since 1970 UTC, `done_at` is 0 while it lasts."""

    name: StageName
    unit: str
    since: int
    due_at: int
    done_at: int

    def overdue(self, now: int) -> bool:
        """Whether it should be over and is not."""
        return not self.done_at and self.due_at < now


@dataclass(frozen=True)
class Course:
    """What has happened to a proposal; 0 for what has not."""

    haste: Haste
    ordered_at: int
    proposed_at: int
    decided_at: int = 0
    approved: bool = False
    effect_at: int = 0
    signed_at: int = 0
    """When the last signature came that its release needed, as far as the registry was told."""
    published_at: int = 0
    review_by: int = 0
    """When its entries are due next; 0 where they are reviewed for good."""


def stages(course: Course, plans: StagePlans) -> Sequence[Stage]:
    """The stages that have begun, in their order."""

    def stage(name: StageName, since: int, done_at: int, base: int | None = None) -> Stage:
        rule = plans.at(since).rule(name)
        return Stage(name, rule.unit, since, (since if base is None else base) + rule.within(course.haste), done_at)

    found = [
        stage("propose", course.ordered_at, course.proposed_at),
        stage("approve", course.proposed_at, course.decided_at),
    ]
    if not course.approved:
        return found
    # What is approved for a later day need not be signed before it.
    since = max(course.decided_at, course.effect_at)
    signed_at = course.signed_at or course.published_at
    found.append(stage("sign", since, signed_at))
    if signed_at:
        # Whoever publishes is not late while others have still to sign.
        found.append(stage("publish", max(since, signed_at), course.published_at))
    if course.published_at and course.review_by:
        found.append(stage("review", course.published_at, 0, course.review_by))
    return found


def haste_of(urgency: str) -> Haste:
    """How much haste an order asks for."""
    return "urgent" if urgency == "urgent" else "unblock" if urgency == "unblock" else "ordinary"


def unproposed(ordered_at: int, haste: Haste, plans: StagePlans) -> Stage:
    """The first stage of an order that nobody has proposed anything for."""
    rule = plans.at(ordered_at).propose
    due_at = ordered_at + rule.within(haste)
    return Stage("propose", rule.unit, ordered_at, due_at, 0)

"""The course of a legal year: every counted day, one step of the e-process each.

Holds always: a day is one step, however often it was counted. The first count that could tell whether a day was bad
fixes the most that the day can ever say against the operator; a later one may only acquit. So at any moment the
e-values are no more than those of the first counts, and Ville's inequality holds for all that is ever shown. A legal
day on which nothing was counted changes nothing but that cheating may begin on it. What an operator is accused of when
a year ends, or another burden of proof begins, is proven no more and is not forgotten: it stays open until a good day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from compliance_api.domain.findings.finding import Evidence
from compliance_api.domain.legal_day import CALENDAR, LegalDay
from compliance_api.domain.observations.timing import ReleaseTiming
from compliance_api.domain.statistics.eprocess import FAMILIES, UNIT, Standing
from compliance_api.domain.statistics.parameters import Family, ProcessRule


@dataclass(frozen=True)
class ReleaseSeen:
    """What was seen on a day of the names that a release brought, from their deadline on."""

    serial: int
    published_at: datetime
    names: int
    # Confirmed ones, and when the last of their sightings was at the earliest.
    missed: int
    last_missed_at: datetime | None
    # The first block that no confirmed miss came after, at the latest that it can have been.
    first_blocked_at: datetime | None


@dataclass(frozen=True)
class CountedDay:
    """One stored count of a day, judged by the law that was in force on it."""

    day: LegalDay
    version: int
    counted_at: datetime
    law: str
    process: ProcessRule
    bad: Mapping[Family, bool | None]
    reasons: tuple[str, ...]
    # The tally's plain numbers by name, and (asked, missed) of every stratum over all lines.
    counts: Mapping[str, int]
    strata: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    evidence: Mapping[Family, tuple[Evidence, ...]] = field(default_factory=dict)
    releases: tuple[ReleaseSeen, ...] = ()
    observations: int = 0
    digest: str = ""
    # Empty in a count of before such were taken, as where no release was young.
    timings: tuple[ReleaseTiming, ...] = ()


@dataclass(frozen=True)
class Step:
    """A day with all its counts, what it says, and where the operator stands after it."""

    day: LegalDay
    # The newest count.
    counted: CountedDay
    bad: Mapping[Family, bool | None]
    standing: Standing
    # What it was accused of before the e-process began anew, and no good day has settled since.
    carried: frozenset[Family] = frozenset()


@dataclass(frozen=True)
class Legacy:
    """What the year before leaves open."""

    # Families that were accused at its end, and those whose last day that says anything was bad.
    accused: frozenset[Family] = frozenset()
    bad: frozenset[Family] = frozenset()


@dataclass(frozen=True)
class Course:
    """The days so far, oldest first; days without a count are left out."""

    steps: tuple[Step, ...] = ()
    inherited: Legacy = Legacy()

    @property
    def standing(self) -> Standing:
        """Where the operator stands now."""
        return self.steps[-1].standing if self.steps else Standing()

    def accused(self) -> tuple[Family, ...]:
        """What the operator is accused of now."""
        return self.steps[-1].standing.accused(self.steps[-1].counted.process) if self.steps else ()

    def run(self, family: Family) -> tuple[Step, ...]:
        """The bad days that weigh on the operator now: those since its value in the family was last below 1."""
        bad: list[Step] = []
        index = FAMILIES.index(family)
        for step in reversed(self.steps):
            if step.bad.get(family):
                bad.append(step)
            if step.standing.values[index] < UNIT and bad and not step.bad.get(family):
                break
        return tuple(reversed(bad))

    def last_known(self, family: Family) -> Step | None:
        """The newest day that says anything in a family."""
        return next((step for step in reversed(self.steps) if step.bad.get(family) is not None), None)

    @property
    def carried(self) -> frozenset[Family]:
        """What the operator was accused of before a new beginning, without a good day since."""
        return self.steps[-1].carried if self.steps else self.inherited.accused

    @property
    def doubted(self) -> frozenset[Family]:
        """Families whose last word is a bad day, or an accusation that a new beginning left open."""
        found = set(self.carried)
        for family in FAMILIES:
            last = self.last_known(family)
            if last.bad[family] if last is not None else family in self.inherited.bad:
                found.add(family)
        return frozenset(found)

    @property
    def settled(self) -> bool:
        """Whether every family has had a good day, so that nothing of the year before is open."""
        return all(any(step.bad.get(family) is False for step in self.steps) for family in FAMILIES)

    @property
    def legacy(self) -> Legacy:
        """What it leaves open for the next year."""
        return Legacy(frozenset(self.accused()) | self.carried, self.doubted)


def effective(versions: Sequence[CountedDay]) -> dict[Family, bool | None]:
    """What a day says, by all its counts in the order in which they were made."""
    said: dict[Family, bool | None] = {}
    for family in FAMILIES:
        known = [one.bad.get(family) for one in versions if one.bad.get(family) is not None]
        said[family] = (known[0] and known[-1]) if known else None
    return said


def follow(counted: Iterable[CountedDay], inherited: Legacy = Legacy()) -> Course:
    """Follows a year.

    Args:
        counted: Every count of every day, in any order, from a legal year's first day on.
        inherited: What the year before leaves open.
    """
    days: dict[LegalDay, list[CountedDay]] = {}
    for one in counted:
        days.setdefault(one.day, []).append(one)
    steps: list[Step] = []
    standing, rule, carried = Standing(), None, inherited.accused
    for day in sorted(days):
        versions = sorted(days[day], key=lambda one: one.version)
        newest = versions[-1]
        accused = standing.accused(rule) if rule is not None else ()
        before, gap = standing.days, day.number - steps[-1].day.number - 1 if steps else 0
        if rule != newest.process or (steps and _year(steps[-1].day) != _year(day)):
            # Another burden of proof begins anew, and so does a year.
            standing, rule = Standing(), newest.process
        elif steps:
            standing = _pass(standing, gap, rule)
        if standing.days >= rule.horizon:
            standing = Standing()
        if standing.days != before + gap:
            carried |= frozenset(accused)
        bad = effective(versions)
        carried -= {family for family, said in bad.items() if said is False}
        standing = standing.after(bad, rule)
        steps.append(Step(day, newest, bad, standing, carried))
    return Course(tuple(steps), inherited)


def _year(day: LegalDay) -> int:
    """The legal year; of shorter days the horizon alone decides, counted from the first of them."""
    return day.date.year if day.length == CALENDAR else 0


def _pass(standing: Standing, days: int, rule: ProcessRule) -> Standing:
    """Days that nothing is known of."""
    for _ in range(min(days, rule.horizon)):
        if standing.days >= rule.horizon:
            standing = Standing()
        standing = standing.after({}, rule)
    return standing

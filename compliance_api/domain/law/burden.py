"""The burden of proof as law data: what makes a day bad, and how many bad days accuse.

Holds always: the levels of all tests that may make a day bad in one family sum up to no more than the chance of a bad
day that an honest operator is granted; a cheating operator is thought to have more of them than an honest one.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from compliance_api.domain.statistics.day import FIRST, LATER
from compliance_api.domain.statistics.parameters import CopyRule, CountRule, DayRules, ProcessRule, SlopeRule
from lachan.config import Settings

Chance = Annotated[float, Field(gt=0, lt=1)]
Number = Annotated[int, Field(ge=1, le=1_000_000)]


class Count(Settings):
    """When a count of hits is too high."""

    # The tolerated rate of hits.
    rate: Chance
    # The chance that an operator at that rate is held to be above it on a day.
    level: Chance
    # Fewer hits never count.
    least: Number

    def rule(self) -> CountRule:
        """In the shape that the tests take."""
        return CountRule(self.rate, self.level, self.least)


class Bad(Settings):
    """What makes a day bad."""

    # Distinct fresh live listed names settled on the day, below which it says nothing.
    minimum_names: Number = 100
    # Confirmed misses among them.
    missed: Count = Count(rate=0.001, level=0.01, least=3)
    # Confirmed failures where controls were answered.
    evaded: Count = Count(rate=0.001, level=0.001, least=3)
    # Misses of each stratum after the worst lines are set aside.
    scattered: Count = Count(rate=0.001, level=0.001, least=4)
    # Names never listed that are confirmed blocked.
    over_blocked: Count = Count(rate=0.01, level=0.005, least=4)
    # Names taken out of the list that are confirmed blocked after the deadline for unblocking.
    released: Count = Count(rate=0.01, level=0.002, least=3)
    # Confirmed misses of names aged between the deadline and a week.
    aged: Count = Count(rate=0.01, level=0.002, least=3)
    # Part of the lines that are intercepted by somebody else, and the chance of more at which it is somebody else no
    # more.
    line_fault_rate: Chance = 0.02
    line_fault_level: Chance = 0.00001
    # Names asked by a line before it can be called open.
    open_asked: Number = 10
    # Part of the lines that meet the same resolver which nobody enrolled.
    foreign_share: Chance = 0.25


class Days(Settings):
    """How many bad days accuse."""

    # Chances of a bad day, honest and cheating.
    honest: Chance = 0.03
    cheating: Chance = 0.9
    # The e-value that accuses; an honest operator meets it once in so many years at most.
    accusation: Annotated[int, Field(ge=20, le=1_000_000_000)] = 8000
    # Days of a legal year.
    horizon: Annotated[int, Field(ge=7, le=366)] = 366


class Slope(Settings):
    """When challenges refute counters."""

    tolerance: Annotated[float, Field(gt=0, le=10)] = 0.25
    sigmas: Annotated[float, Field(ge=3, le=20)] = 5.0
    pairs: Number = 60


class Copies(Settings):
    """When one node's counters are another's."""

    windows: Number = 144
    least: Number = 20
    level: Chance = 1e-14
    agreement: Chance = 0.25
    noise: Chance = 0.1


class Burden(Settings):
    """The burden of proof of one text of the law."""

    bad: Bad = Bad()
    days: Days = Days()
    slope: Slope = Slope()
    copies: Copies = Copies()

    @model_validator(mode="after")
    def _levels_fit(self) -> Self:
        bad, days = self.bad, self.days
        if days.honest >= days.cheating:
            raise ValueError("days.honest must be below days.cheating")
        for name, spent in (
            ("filtering", self._filtering()),
            ("over_blocked and released", bad.over_blocked.level + bad.released.level),
            ("aged", bad.aged.level),
            ("foreign", bad.line_fault_level),
        ):
            if spent > days.honest:
                raise ValueError(f"the levels of {name} sum up to {spent:g}, above days.honest")
        return self

    def _filtering(self) -> float:
        """What the tests of filtering spend that every text was written for."""
        bad = self.bad
        return bad.missed.level + bad.evaded.level + len(FIRST) * bad.scattered.level + bad.line_fault_level

    def _later(self) -> CountRule | None:
        """When misses of a stratum that was added later are too many.

        Texts that were in force before such strata were known leave them what they have not spent, so that none of them
        has to be changed and none grants more than it says.
        """
        level = min(self.bad.scattered.level, (self.days.honest - self._filtering()) / len(LATER))
        return CountRule(self.bad.scattered.rate, level, self.bad.scattered.least) if level > 0 else None

    def day_rules(self, vantage_points: int, networks: int, custodians: int) -> DayRules:
        """What makes a day bad, with the independent eyes that a sum over lines needs."""
        bad = self.bad
        return DayRules(
            bad.minimum_names,
            bad.missed.rule(),
            bad.evaded.rule(),
            bad.scattered.rule(),
            bad.over_blocked.rule(),
            bad.released.rule(),
            bad.aged.rule(),
            bad.line_fault_rate,
            bad.line_fault_level,
            bad.open_asked,
            bad.foreign_share,
            vantage_points,
            networks,
            custodians,
            self._later(),
            2 * bad.line_fault_level <= self.days.honest,
        )

    def process_rule(self) -> ProcessRule:
        """The e-process over days."""
        return ProcessRule(**self.days.model_dump())

    def slope_rule(self) -> SlopeRule:
        """The test of counters by challenges."""
        return SlopeRule(**self.slope.model_dump())

    def copy_rule(self) -> CopyRule:
        """The test of counters against another node's."""
        return CopyRule(**self.copies.model_dump())

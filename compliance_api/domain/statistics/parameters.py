"""What the tests of a verdict are set to: law data, in the shape that the functions here take.

Holds always: every level, rate and threshold of a decision stands here under a name; the levels of the tests that may
make a day bad sum up to no more than the rate of bad days that an honest operator is granted.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Family(enum.StrEnum):
    """What a day can be bad in; each is followed by an e-process of its own."""

    FILTERING = "filtering"
    OVER_BLOCKING = "over_blocking"
    STALE_LIST = "stale_list"
    UNENROLLED = "unenrolled"


@dataclass(frozen=True)
class CountRule:
    """When a count of hits is too high: see `tail.threshold`."""

    # The rate of hits that is tolerated.
    rate: float
    # The chance that an operator at that rate is held to be above it.
    level: float
    # Fewer hits than this never count.
    least: int


@dataclass(frozen=True)
class DayRules:
    """What makes one day bad."""

    # Below so many settled names, a day says nothing about filtering.
    minimum_names: int = 100
    missed: CountRule = CountRule(0.001, 0.01, 3)
    evaded: CountRule = CountRule(0.001, 0.001, 3)
    # For every stratum: misses that need not be the same names again.
    scattered: CountRule = CountRule(0.001, 0.001, 4)
    over_blocked: CountRule = CountRule(0.01, 0.005, 4)
    # Names taken out of the list, after the deadline for that.
    released: CountRule = CountRule(0.01, 0.002, 3)
    # Names aged between the deadline and a week.
    aged: CountRule = CountRule(0.01, 0.002, 3)
    # Part of the lines that are intercepted, and the chance at which more of them are held to be something else.
    line_fault_rate: float = 0.02
    line_fault_level: float = 0.00001
    # Names that a vantage point must have asked before it can be called open.
    open_asked: int = 10
    # Part of an operator's lines that must meet the same resolver that nobody enrolled.
    foreign_share: float = 0.25
    # Independent eyes that a sum over vantage points needs.
    vantage_points: int = 3
    networks: int = 2
    custodians: int = 2
    # As `scattered`, for each of the strata that were added later; None where the law leaves them nothing.
    scattered_later: CountRule | None = CountRule(0.001, 0.001, 4)
    # Whether lines that meet somebody else at enrolled addresses are looked at: the law must leave room for it.
    astray: bool = True


@dataclass(frozen=True)
class ProcessRule:
    """The e-process over days."""

    # The chance of a bad day that an honest operator is granted, whatever was before.
    honest: float = 0.03
    # The chance of a bad day at an operator that cheats.
    cheating: float = 0.9
    # e-value at which an operator is accused: an honest one meets it once in so many years (Ville's inequality).
    accusation: int = 8000
    # Days over which the beginning of cheating is spread: a legal year.
    horizon: int = 366


@dataclass(frozen=True)
class SlopeRule:
    """When counters are held to be untrue by challenges."""

    tolerance: float = 0.25
    sigmas: float = 5.0
    # Pairs below which nothing is said.
    pairs: int = 60


@dataclass(frozen=True)
class CopyRule:
    """When two nodes' counters are held to be one node's."""

    # Windows needed.
    windows: int = 144
    # Windows in which both together counted less are left out.
    least: int = 20
    # Chance that independent nodes agree so well, which is divided among all pairs, lags and days.
    level: float = 1e-14
    # Part of the noise of independent counts that may be left between them.
    agreement: float = 0.25
    # Noise of independent counts, in units of Poisson noise, below which agreeing says nothing.
    noise: float = 0.1

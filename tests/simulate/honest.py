"""Honest operators, a year each.

Holds always: every day is judged by `statistics.day.judge_day` and every year followed by
`statistics.eprocess.Standing`, as a verdict is; days that were counted alike are judged once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from compliance_api.domain.statistics.day import STRATA, DayTally, faulty_lines, judge_day
from compliance_api.domain.statistics.eprocess import FAMILIES, Standing
from compliance_api.domain.statistics.parameters import Family, ProcessRule
from compliance_api.domain.statistics.tail import threshold
from tests.simulate import counters
from tests.simulate.world import QUARTERS, STRATUM, Bools, Floats, Ints, Law, Measuring, World, cells

FIELDS = ("names", "missed", "unlisted", "over_blocked", "aged", "aged_missed", "handed", "foreign")
BASES = np.array([1024, 64, 512, 64, 256, 64, 64, 64])
OF_QUARTERS = [cells(quarter=(name,)) for name in QUARTERS]
UNKNOWN = -1


@dataclass
class Found:
    """What came of honest years."""

    years: int = 0
    accused: int = 0
    # Days judged, and bad ones among them, by family.
    days: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    by: Counter[str] = field(default_factory=Counter)
    # The highest e-value that any year met.
    highest: int = 0

    def add(self, other: Found) -> None:
        """Takes in what came of other years."""
        self.years += other.years
        self.accused += other.accused
        self.days += other.days
        self.bad.update(other.bad)
        self.by.update(other.by)
        self.highest = max(self.highest, other.highest)


def judged(tallies: dict[str, Ints], law: Law) -> Ints:
    """Each day's families, 1 bad, 0 good, -1 unknown: judged once for all days that were counted alike."""
    key = np.zeros(tallies["names"].shape, dtype=np.int64)
    for name, base in zip(FIELDS, BASES, strict=True):
        key = key * base + np.minimum(tallies[name], base - 1)
    kinds, which = np.unique(key, return_inverse=True)
    results = np.empty((len(kinds), len(FAMILIES)), dtype=np.int64)
    for index, kind in enumerate(kinds.tolist()):
        rest, values = kind, {}
        for name, base in zip(reversed(FIELDS), reversed(BASES.tolist()), strict=True):
            rest, values[name] = divmod(rest, base)
        results[index] = families(judge_day(DayTally(**values), law.day).bad)
    return results[which.reshape(key.shape)]


def families(bad: Mapping[Family, bool | None]) -> list[int]:
    """A day's families as numbers."""
    return [UNKNOWN if (one := bad[family]) is None else int(one) for family in FAMILIES]


def follow(bad: Ints, rule: ProcessRule) -> tuple[int | None, int]:
    """The first day after which an operator is accused, and the highest e-value met.

    Args:
        bad: By day and family.
        rule: The law's.
    """
    standing, highest = Standing(), 0
    for day, row in enumerate(bad.tolist()):
        known = {family: None if one == UNKNOWN else bool(one) for family, one in zip(FAMILIES, row, strict=True)}
        standing = standing.after(known, rule)
        highest = max(highest, standing.value)
        if standing.accused(rule):
            return day, highest
    return None, highest


def _shocks(rng: np.random.Generator, world: World, years: int) -> tuple[Bools, Floats]:
    """Days that leave nothing to measure, and what part of the names is unfiltered in one quarter of a shock day."""
    dark = np.zeros((years, world.days), dtype=np.bool_)
    open_ = np.zeros((years, world.days))
    for year, day in np.argwhere(rng.random((years, world.days)) < world.shocks):
        until = day + 1 + rng.choice(len(world.shock_days), p=world.shock_days)
        if rng.random() < 0.5:
            dark[year, day:until] = True
        else:
            open_[year, day:until] = rng.uniform(0.02, 1)
    return dark, open_


def _scattered(
    rng: np.random.Generator, place: Measuring, law: Law, intercepted: int, loose: int, names: int, share: float
) -> bool:
    """Judges one day in full, line by line and stratum by stratum.

    Args:
        rng: Where the draw comes from.
        place: Who asked what.
        law: The law.
        intercepted: Lines that see every name answered.
        loose: Misses without a cause, somewhere.
        names: Names that every line missed.
        share: Part of the names that is unfiltered in one quarter of the day.
    """
    missed = np.zeros((len(place.lines), place.names), dtype=np.bool_)
    missed.flat[rng.choice(missed.size, min(loose, missed.size), replace=False)] = True
    missed[:, rng.choice(place.names, min(names, place.names), replace=False)] = True
    if share:
        quarter = OF_QUARTERS[rng.integers(4)][place.cell_of]
        missed[:, quarter & (rng.random(place.names) < share)] = True
    missed[:intercepted] = True
    return judge_day(full(place, missed), law.day).bad[Family.FILTERING] is True


def full(place: Measuring, looked: Bools, **counts: int) -> DayTally:
    """A tally with what every line saw in every stratum; `looked` is by line and name, true where it was missed."""
    seen, missed_by = {}, {}
    for name, cells_of in zip(STRATA, STRATUM, strict=True):
        names = np.flatnonzero(cells_of[place.cell_of])
        those = looked[:, names]
        seen[name] = [(len(names), one) for one in those.sum(axis=1).tolist()]
        missed_by[name] = [names[row].tolist() for row in those]
    return DayTally(**{"names": place.names, **counts}, lines=place.lines, seen=seen, missed_by=missed_by)


def _fewest(place: Measuring, law: Law) -> int:
    """Misses below which no stratum is ever too many of."""
    left = len(place.lines) - max(len(place.lines) // 2, faulty_lines(len(place.lines), law.day))
    rules = [law.day.scattered, *([law.day.scattered_later] if law.day.scattered_later else [])]
    sizes = [int(cells_of[place.cell_of].sum()) for cells_of in STRATUM]
    return min(threshold(max(1, size * left), rule) for size in sizes for rule in rules)


def years(rng: np.random.Generator, place: Measuring, law: Law, count: int, found: Found) -> None:
    """Simulates so many honest operator-years and adds what came of them."""
    world = place.world
    shape = (count, world.days)
    intercepted = rng.binomial(world.lines, world.intercepted, count)
    # A name is confirmed missed though blocked only where half of all lines are intercepted.
    by_interception = (intercepted >= law.confirmation.share * world.lines)[:, None].astype(float)
    rate = np.minimum(rng.exponential(world.missed, count), law.day.missed.rate)[:, None]
    dark, share = _shocks(rng, world, count)
    start = rng.integers(0, world.days - world.holiday, count)[:, None]
    holiday = (np.arange(world.days)[None, :] >= start) & (np.arange(world.days)[None, :] < start + world.holiday)
    asked = np.where(dark, 0, np.where(holiday, world.names // 3, world.names))
    names = rng.binomial(asked, 1 - world.dead)
    missed = rng.binomial(names, np.minimum(1, rate + by_interception))
    # Of a quarter's unfiltered names, those are confirmed that are unfiltered six hours later still: none.
    unlisted = rng.binomial(np.where(dark, 0, world.unlisted), 1 - world.lost, shape)
    own = np.minimum(rng.exponential(world.own_blocks, count), law.day.over_blocked.rate)[:, None]
    aged = rng.binomial(np.where(dark, 0, rng.integers(*world.aged, shape, endpoint=True)), 1 - world.dead)
    late = holiday & (rng.random(shape) < world.late)
    # One aged name in 24 is six hours from the deadline: missed where the list is late. Wrong clocks make none due, for
    # the service's own stamps date what is seen.
    young = np.where(late, 1, 0) / 24 + by_interception
    handed = np.where(dark, 0, world.handed)
    foreign = rng.binomial(world.handed, world.intercepted + world.misconfigured, count)[:, None]
    tallies = {
        "names": names, "missed": missed, "unlisted": unlisted,
        "over_blocked": rng.binomial(unlisted, own + by_interception), "aged": aged,
        "aged_missed": rng.binomial(aged, np.minimum(1, young + rate)), "handed": handed,
        "foreign": np.minimum(foreign, handed),
    }  # fmt: skip
    bad = judged(tallies, law)
    # Nothing is left of fewer than the least after the worst lines are set aside, unless more lines are intercepted
    # than are set aside.
    loose = rng.binomial(np.where(dark, 0, place.names * world.lines), rate, shape)
    many = (intercepted > faulty_lines(world.lines, law.day))[:, None] & ~dark
    for year, day in np.argwhere((loose + missed >= _fewest(place, law)) | (share > 0) | many):
        if not dark[year, day] and bad[year, day, 0] == 0:
            bad[year, day, 0] = _scattered(
                rng,
                place,
                law,
                int(intercepted[year]),
                int(loose[year, day]),
                int(missed[year, day]),
                float(share[year, day]),
            )
    by_counters = _counters(rng, world, law, intercepted, np.where(holiday, 3.0, 1.0))
    copied = _copied(rng, law, count)
    for year in range(count):
        accused, highest = follow(bad[year], law.process)
        found.highest = max(found.highest, highest)
        reasons = {"days": accused is not None, "slope": bool(by_counters[year]), "copies": bool(copied[year])}
        found.by.update(name for name, true in reasons.items() if true)
        found.accused += any(reasons.values())
    found.years += count
    found.days += bad[..., 0].size
    found.bad.update({family.value: int((bad[..., index] == 1).sum()) for index, family in enumerate(FAMILIES)})


def _counters(rng: np.random.Generator, world: World, law: Law, intercepted: Ints, busy: Floats) -> Bools:
    answered, counted, _ = counters.challenges(rng, world, rng.binomial(intercepted, world.uncaught), busy)
    return counters.accused_by_slope(counters.sums(answered, counted), law.slope).any(axis=1)


def _copied(rng: np.random.Generator, law: Law, count: int, days: int = 4) -> Bools:
    """Whether a node is held for a copy of its neighbour, whose rates go up and down with its own, on some days."""
    rates = counters.course(rng, count * days)
    one, other = rng.poisson(rates), rng.poisson(rates * rng.uniform(0.1, 1, (len(rates), 1)))
    return counters.accused_by_likeness(one, other, law.copies).reshape(count, days).any(axis=1)


def at_the_bound(rng: np.random.Generator, law: Law, count: int) -> int:
    """Years accused where every family has as many bad days as an honest operator is granted, and no fewer."""
    bad = (rng.random((count, law.process.horizon, len(FAMILIES))) < law.process.honest).astype(np.int64)
    return sum(follow(year, law.process)[0] is not None for year in bad)

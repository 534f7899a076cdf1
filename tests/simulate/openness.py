"""Nodes that open what they are asked to, but for outages, and nodes that do not.

Holds always: the decision is that of `domain.openness`; a quicker look at the e-value over the whole year, which is
never less than that over the days that are remembered, only leaves out what could not be accused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from compliance_api.domain.challenges.challenge import State
from compliance_api.domain.challenges.openness import Hour, shut
from compliance_api.domain.law.burden import Burden
from compliance_api.domain.law.law import ChallengeDuty
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.statistics.eprocess import UNIT, step
from compliance_api.domain.statistics.parameters import ProcessRule
from tests.simulate.cheats import NEVER, Detection
from tests.simulate.counters import PAIRS
from tests.simulate.world import Bools, World

YEAR = 365
HOURS = PAIRS // ChallengeDuty().pairs_an_hour
"""Challenged a day, of one node: the worst for it, as all of them fall into the same outages."""
FIRST = LegalDay(20_000)
DUTY = ChallengeDuty()
RULE = replace(Burden().process_rule(), accusation=DUTY.closed_accusation)

# Of days, those with an outage of some hours; and of its hours, those that cannot be opened then.
TROUBLE, LOST = 0.02, 0.25


@dataclass
class Opened:
    """What became of honest nodes."""

    years: int = 0
    days: int = 0
    closed_days: int = 0
    accused: int = 0


def _year(rng: np.random.Generator, world: World) -> Bools:
    """Which challenged hours of each day stayed closed."""
    closed = rng.random((YEAR, HOURS)) < np.where(rng.random((YEAR, 1)) < TROUBLE, LOST, 0.0)
    for begin in np.flatnonzero(rng.random(YEAR) < world.shocks):
        closed[begin : begin + 1 + int(rng.choice(len(world.shock_days), p=world.shock_days))] = True
    return closed


def _hours(closed: Bools, state: State) -> Iterator[Hour]:
    for day, row in enumerate(closed):
        start = FIRST.after(day).start
        for place, one in enumerate(row):
            yield Hour(b"", "node", start + timedelta(hours=24 // HOURS * place), state if one else State.OPENED)


def _accused_on(closed: Bools, rule: ProcessRule = RULE) -> int:
    """The day on which a node is accused, from 1; NEVER where it is not."""
    value, needed = 0, rule.accusation * UNIT
    for day, bad in enumerate(closed.mean(axis=1) > DUTY.closed_tolerated, 1):
        value = step(value, bool(bad), rule)
        if value >= needed:
            lately = closed[max(0, day - DUTY.closed_days) : day]
            if shut(_hours(lately, State.UNANSWERED), DUTY.closed_tolerated, rule):
                return day
    return NEVER


def honest(rng: np.random.Generator, world: World, years: int, rule: ProcessRule = RULE) -> Opened:
    """Years of nodes that open whatever they can."""
    found = Opened(years, years * YEAR)
    for _ in range(years):
        closed = _year(rng, world)
        found.closed_days += int((closed.mean(axis=1) > DUTY.closed_tolerated).sum())
        found.accused += _accused_on(closed, rule) < NEVER
    return found


def at_the_bound(rng: np.random.Generator, years: int) -> int:
    """Of years with as many closed days by chance as are granted, those with an accusation."""
    drawn = rng.random((years, YEAR, 1)) < RULE.honest
    return sum(_accused_on(closed) < NEVER for closed in drawn)


def detect(
    rng: np.random.Generator, world: World, part: float, known_after: int, runs: int, within: int = 7
) -> Detection:
    """How often and when a node is found that keeps a part of its hours closed.

    Args:
        rng: Where the draw comes from.
        world: Its outages.
        part: Of the hours that are closed.
        known_after: Days until that is known: one where it refuses, three where it is silent until the deadline.
        runs: How many.
        within: Days that count as found.
    """
    days = np.full(runs, NEVER)
    for run in range(runs):
        before = _year(rng, world)[:14]
        closed = np.concatenate([before, rng.random((28, HOURS)) < part])
        day = _accused_on(closed)
        days[run] = day - len(before) + known_after if day < NEVER else NEVER
    median = float(np.median(days))
    return Detection(runs, float((days <= within).mean()), median if median < NEVER else None)

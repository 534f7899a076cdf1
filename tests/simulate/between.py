"""Honest operators whose lines somebody else intercepts: on how many of them, and for how long, until one is accused.

Holds always: every day is judged by `statistics.day.judge_day`; the lines meet a stranger on each of these days and see
every name answered, which is the most that somebody in between can do; no hint tells that it was not the operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compliance_api.domain.statistics.day import faulty_lines, judge_day, parts
from compliance_api.domain.statistics.eprocess import FAMILIES, Standing
from tests.simulate.honest import full
from tests.simulate.world import Ints, Law, Measuring, confirmed

SHARES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 1.0)
# On how many networks, or at how many custodians, the lines are that are intercepted; 0: on any.
SPREADS = {"one custodian": (0, 1), "one network": (1, 0), "two networks": (2, 0), "all networks": (0, 0)}
DAYS = (1, 4, 5, 7)
BEFORE = 14


@dataclass(frozen=True)
class Between:
    """What becomes of operators whose lines are intercepted."""

    lines: int
    # Of the days on which they are, the part that is bad.
    bad: float
    # By how many such days there are in a row: the part of the operators that are found not compliant.
    accused: tuple[float, ...]


def _lines(rng: np.random.Generator, place: Measuring, share: float, spread: tuple[int, int]) -> Ints:
    """Which lines they are; fewer than wanted where these networks or custodians have no more."""
    networks, custodians = spread
    those = np.arange(len(place.lines))
    if networks:
        those = those[np.isin(place.networks, rng.permutation(np.unique(place.networks))[:networks])]
    if custodians:
        those = those[np.isin(place.custodians, rng.permutation(np.unique(place.custodians))[:custodians])]
    return rng.permutation(those)[: round(share * len(place.lines))]


def _astray(place: Measuring, law: Law, there: Sequence[int]) -> int:
    """Lines that meet somebody whom nobody enrolled, where no network or custodian alone makes them so many."""
    for part in parts(place.lines, law.day):
        if len(set(there).intersection(part)) <= faulty_lines(len(part), law.day):
            return 0
    return len(there)


def intercepted(
    rng: np.random.Generator, place: Measuring, law: Law, share: float, spread: tuple[int, int], runs: int
) -> Between | None:
    """Honest operators that have the same lines intercepted day after day; None where there are not so many lines.

    Args:
        rng: Where the draw comes from.
        place: Who asks what.
        law: The law.
        share: Part of the lines that is intercepted.
        spread: On how many networks, and of how many custodians, these are; 0 for any.
        runs: How many operators.
    """
    before = Standing()
    for _ in range(BEFORE):
        before = before.after(dict.fromkeys(FAMILIES, False), law.process)
    bad_days, days, lines = 0, 0, round(share * len(place.lines))
    accused = np.zeros(len(DAYS))
    for _ in range(runs):
        there = _lines(rng, place, share, spread)
        if len(there) < lines:
            return None
        shown = np.ones(len(place.lines), dtype=np.bool_)
        shown[there] = False
        standing = before
        for day in range(1, max(DAYS) + 1):
            looked = rng.random((len(place.lines), place.names)) < place.world.missed
            looked[there] = True
            tally = full(
                place,
                looked,
                missed=int(confirmed(place, law, looked, looked, shown).sum()),
                unlisted=place.world.unlisted,
                direct=len(place.lines),
                astray=_astray(place, law, there.tolist()),
            )
            judged = judge_day(tally, law.day).bad
            bad_days, days = bad_days + any(judged.values()), days + 1
            standing = standing.after(judged, law.process)
            if day in DAYS:
                accused[DAYS.index(day)] += bool(standing.accused(law.process))
    return Between(lines, bad_days / days, tuple((accused / runs).tolist()))

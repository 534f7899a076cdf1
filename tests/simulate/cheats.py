"""Operators that cheat, each in a way of its own, and after how many days they are found.

Holds always: a cheat begins at the start of a day, after honest weeks, at an operator with an honest one's noise; it is
found when the same functions that judge honest years accuse it; counters of a day are opened, and judged, a day later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from compliance_api.domain.statistics.day import judge_day
from compliance_api.domain.statistics.eprocess import FAMILIES, Standing
from tests.simulate import counters
from tests.simulate.honest import families, full
from tests.simulate.world import CELLS, LATER_CELL, Bools, Ints, Law, Measuring, cells, confirmed

BEFORE = 14
DAYS = 14
WITHIN = 7
# Six days of refusals, the last of which are known a day later.
REFUSALS_WITHIN = 8
# Days from a day's end until it is counted, and judged.
CLOSED = 0.25
NEVER = 10**6


@dataclass(frozen=True)
class Cheat:
    """What a cheating operator does. What is not said is honest."""

    # The chance that a question of a listed name is a miss, by cell, or one for all.
    leaks: float | tuple[float, ...] = 0.0
    # Part of the names that are never filtered.
    names: float = 0.0
    # Part of the aged names that are missed: those younger than the list in use.
    young: float = 0.0
    # Part of the names taken out of the list that are blocked still.
    kept: float = 0.0
    # Part of parents and siblings that are blocked.
    neighbours: float = 0.0
    # Part of the handed lines that meet the resolver nobody enrolled.
    foreign: float = 0.0
    servfail: bool = False
    # Lines that the operator does not recognise as a probe's; the others see a perfect filter.
    unrecognised: int | None = None
    # What is reported, of what was answered to the challenge and to others.
    counted: Callable[[np.random.Generator, Ints, Ints], Ints] | None = None
    # What a copied node's counters are multiplied with.
    copies: float | None = None


def by_cell(**filtered: tuple[str, ...]) -> tuple[float, ...]:
    """Leaks everywhere but in these cells."""
    return tuple(np.where(cells(**filtered), 0.0, 1.0).tolist())


def _invented(rng: np.random.Generator, _challenge: Ints, others: Ints) -> Ints:
    return rng.poisson(max(1.0, float(others.mean())), others.shape)


def _times(_rng: np.random.Generator, challenge: Ints, others: Ints, factor: float) -> Ints:
    return np.rint(factor * (challenge + others)).astype(np.int64)


def scaled(factor: float) -> Callable[[np.random.Generator, Ints, Ints], Ints]:
    """Reports so many times what was counted."""
    return partial(_times, factor=factor)


CHEATS = {
    "names_unfiltered_2_percent": Cheat(names=0.02),
    # Ages are drawn evenly: two of the six days between the deadline and a week.
    "list_3_days_old": Cheat(young=1 / 3),
    "never_unblocks": Cheat(kept=1.0),
    "udp_only": Cheat(leaks=by_cell(transport=("udp",))),
    "a_only": Cheat(leaks=by_cell(kind=("a",))),
    "v4_only": Cheat(leaks=by_cell(family=("v4",))),
    # Who lets the answers of signed names through, as a filter does that breaks no signature.
    "do_unfiltered": Cheat(leaks=by_cell(flag=("plain",))),
    # Filters for the lines that show themselves, and spoils what the others are told of who answers.
    "whoami_spoilt": Cheat(unrecognised=14),
    "random_leaks_5_percent": Cheat(leaks=0.05),
    # Filters by day alone.
    "night_only": Cheat(leaks=by_cell(quarter=("06-12", "12-18", "18-24"))),
    "parents_blocked": Cheat(neighbours=0.3),
    "counters_invented": Cheat(counted=_invented),
    "counters_scaled": Cheat(counted=scaled(1.5)),
    "counters_copied": Cheat(copies=0.9),
    "unenrolled_resolver": Cheat(foreign=0.9),
    "probes_servfail": Cheat(servfail=True),
}


@dataclass(frozen=True)
class Detection:
    """How a cheat was found."""

    runs: int
    detected: float
    # Days; None where more than half were never found.
    median_days: float | None


def _looks(cheat: Cheat, place: Measuring, rng: np.random.Generator, intercepted: int) -> tuple[Bools, Bools]:
    """What is missed of a day's names, by line and name: when they are drawn, and when they are asked again."""
    leaks = np.broadcast_to(np.asarray(cheat.leaks), len(CELLS))
    always = rng.random(place.names) < cheat.names
    looks = []
    for cell_of in (place.cell_of, LATER_CELL[place.cell_of]):
        missed = (rng.random((len(place.lines), place.names)) < leaks[cell_of]) | always
        if cheat.unrecognised is not None:
            missed[:] = False
            missed[len(place.lines) - cheat.unrecognised :] = True
        missed[:intercepted] = True
        looks.append(missed)
    return looks[0], looks[1]


def _days(cheat: Cheat, rng: np.random.Generator, place: Measuring, law: Law) -> Iterator[list[int]]:
    """The days of one run, judged."""
    world = place.world
    intercepted = int(rng.binomial(world.lines, world.intercepted))
    shown = np.arange(world.lines) >= intercepted
    for _ in range(DAYS):
        if rng.random() < world.shocks / 2:
            yield [-1] * len(FAMILIES)
            continue
        first, second = _looks(cheat, place, rng, intercepted)
        unlisted = int(rng.binomial(world.unlisted, 1 - world.lost))
        aged = int(rng.binomial(rng.integers(*world.aged, endpoint=True), 1 - world.dead))
        released = int(rng.binomial(world.released, 1 - world.dead))
        handed = int(rng.binomial(world.handed, 1 - world.intercepted - world.misconfigured))
        tally = full(
            place,
            first,
            missed=int(confirmed(place, law, first, second, shown).sum()),
            unlisted=unlisted,
            over_blocked=int(rng.binomial(world.neighbours, cheat.neighbours * (1 - world.dead))),
            aged=aged,
            aged_missed=int(rng.binomial(aged, cheat.young)),
            handed=world.handed,
            foreign=int(rng.binomial(handed, cheat.foreign)),
            released=released,
            still_blocked=int(rng.binomial(released, cheat.kept)),
        )
        if cheat.servfail:
            tally = replace(tally, names=0, missed=0, evaded=place.names, seen={}, missed_by={})
        yield families(judge_day(tally, law.day).bad)


def _by_days(
    cheat: Cheat, rng: np.random.Generator, place: Measuring, law: Law, runs: int, new_year: int = NEVER
) -> Ints:
    """The day on which each run is found by bad days, from 1; a legal year may end so many days after the beginning."""
    before = Standing()
    for _ in range(BEFORE):
        before = before.after(dict.fromkeys(FAMILIES, False), law.process)
    found = np.full(runs, NEVER)
    for run in range(runs):
        standing = before
        for day, row in enumerate(_days(cheat, rng, place, law), 1):
            if day == new_year + 1:
                standing = Standing()
            known = {family: None if one < 0 else bool(one) for family, one in zip(FAMILIES, row, strict=True)}
            standing = standing.after(known, law.process)
            if standing.accused(law.process):
                found[run] = day
                break
    return found


def _by_counters(cheat: Cheat, rng: np.random.Generator, place: Measuring, law: Law, runs: int) -> Ints:
    """The day on which each run is found by its counters, from 1."""
    world = place.world
    intercepted = rng.binomial(world.lines, world.intercepted * world.uncaught, runs)
    busy = np.ones((runs, BEFORE + DAYS))
    answered, counted, others = counters.challenges(rng, world, intercepted, busy)
    if cheat.counted is not None:
        counted[:, BEFORE:] = cheat.counted(rng, counted - others, others)[:, BEFORE:]
    if cheat.copies is not None:
        # The other node was not challenged; only its own clients show.
        counted[:, BEFORE:] = np.rint(cheat.copies * rng.permutation(others))[:, BEFORE:]
    accused = counters.accused_by_slope(counters.sums(answered, counted), law.slope)[:, BEFORE:]
    found = np.where(accused.any(axis=1), accused.argmax(axis=1) + 2, NEVER)
    if cheat.copies is not None:
        source = rng.poisson(counters.course(rng, runs))
        copied = counters.accused_by_likeness(source, np.rint(cheat.copies * source).astype(np.int64), law.copies)
        found = np.minimum(found, np.where(copied, 1, NEVER))
    return found


def detect(
    cheat: Cheat, rng: np.random.Generator, place: Measuring, law: Law, runs: int, new_year: int = NEVER
) -> Detection:
    """How often and when a cheat is found; `new_year` says how many days after its beginning a legal year ends."""
    by_counters = cheat.counted is not None or cheat.copies is not None
    if by_counters:
        days = _by_counters(cheat, rng, place, law, runs) + CLOSED
    else:
        days = _by_days(cheat, rng, place, law, runs, new_year) + CLOSED
    median = float(np.median(days))
    return Detection(runs, float((days <= WITHIN).mean()), median if median < NEVER else None)

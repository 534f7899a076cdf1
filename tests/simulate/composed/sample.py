"""A sample of operators that are followed through the composed system, beside what the quick model says of the same.

Holds always: every operator has a seed of its own, so a sample is the same however many processes share the work; every
second honest operator is followed across the end of a legal year.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compliance_api.domain.statistics.eprocess import FAMILIES
from lachan import terminal
from tests.simulate import cheats, honest
from tests.simulate.cheats import Detection
from tests.simulate.composed.conduct import CHEATS, HONEST
from tests.simulate.composed.judging import Operator, bad_days
from tests.simulate.world import Law, World, measuring

LINES = 12
# Days of an operator that cheats: what is not found in them is not found in time.
DAYS = 8
QUARTER = 91
BEFORE_NEW_YEAR = 45


@dataclass(frozen=True)
class Task:
    """One operator to follow."""

    name: str
    seed: int
    days: int
    before_new_year: int = 0


@dataclass(frozen=True)
class Told:
    """What came of it."""

    task: Task
    found: float | None
    kinds: tuple[str, ...]
    outcomes: Counter[str]
    # Bad days and known ones, by family.
    bad: dict[str, tuple[int, int]]


def world() -> World:
    """Fewer lines than the quick model's, and nothing else."""
    return World(lines=LINES, handed=LINES)


def follow(task: Task) -> Told:
    """Follows one operator."""
    cheat = task.name in CHEATS
    conduct = CHEATS.get(task.name, HONEST)
    operator = Operator(world(), conduct, task.seed, task.days, before_new_year=task.before_new_year)
    followed = operator.run(until_found=cheat)
    kinds = sorted({str(one.kind) for verdict in followed.verdicts for one in verdict.findings if one.kind.accuses})
    outcomes = Counter(str(one.outcome) for one in followed.verdicts)
    return Told(task, followed.found, tuple(kinds), outcomes, bad_days(followed))


def honestly(seed: int, quarters: int) -> list[Task]:
    """Honest operators, a quarter of a year each."""
    return [Task("honest", seed * 1000 + number, QUARTER, BEFORE_NEW_YEAR * (number % 2)) for number in range(quarters)]


def cheating(seed: int, name: str, runs: int) -> list[Task]:
    """Operators that cheat in one way."""
    return [Task(name, seed * 1000 + run, DAYS) for run in range(runs)]


def quick_honest(rng: np.random.Generator, law: Law) -> honest.Found:
    """What the quick model says of honest operators in the same world."""
    quick = honest.Found()
    honest.years(rng, measuring(world(), rng), law, 500, quick)
    return quick


def quick_cheat(rng: np.random.Generator, name: str, law: Law) -> Detection:
    """The same of one that cheats."""
    return cheats.detect(cheats.CHEATS[name], rng, measuring(world(), rng), law, 100)


def tell_honest(told: Sequence[Told], quick: honest.Found) -> list[Told]:
    """Prints what became of honest operators; those that were found not compliant."""
    wrongly = [one for one in told if one.found is not None]
    days = sum(one.task.days for one in told)
    terminal.line(f"Composed: {len(told)} honest operators, {days} days, found not compliant: {len(wrongly)}")
    for one in wrongly:
        terminal.line(f"  seed {one.task.seed}: after {one.found:g} days: {', '.join(one.kinds)}")
    outcomes = sum((one.outcomes for one in told), Counter[str]())
    terminal.line("  verdicts by the day: " + ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items())))
    terminal.line("  bad days                   composed     quick model of 500 such years")
    for family in map(str, FAMILIES):
        bad, known = (sum(one.bad[family][place] for one in told) for place in (0, 1))
        share = 100 * bad / max(1, known)
        terminal.line(f"  {family:<22} {share:8.3f} % of {known:<6} {100 * quick.bad[family] / quick.days:8.3f} %")
    return wrongly


def tell_cheat(name: str, told: Sequence[Told], quick: Detection | None) -> Detection:
    """Prints what became of operators that cheat in one way."""
    days = [one.found if one.found is not None else cheats.NEVER for one in told]
    median = float(np.median(days))
    limit = cheats.REFUSALS_WITHIN if name == "openings_refused" else cheats.WITHIN
    within = float(np.mean([one <= limit for one in days]))
    beside = f"{100 * quick.detected:5.1f} % {quick.median_days}" if quick is not None else "-"
    kinds = sorted({kind for one in told for kind in one.kinds})
    terminal.line(f"  {name:<30} {100 * within:6.1f} %  {median:5.2f}   {beside:<14} {', '.join(kinds)}")
    return Detection(len(told), within, median if median < cheats.NEVER else None)


def agree(detection: Detection, other: Detection) -> bool:
    """Whether two detections differ by no more than chance: three standard errors of their common rate."""
    rate = (detection.detected * detection.runs + other.detected * other.runs) / (detection.runs + other.runs)
    error = (max(rate * (1 - rate), 1e-4) * (1 / detection.runs + 1 / other.runs)) ** 0.5
    return abs(detection.detected - other.detected) <= 3 * error

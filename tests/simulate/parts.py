"""The tables of `make simulate`, and what is demanded of them.

Holds always: a part hands its work out when it begins, and prints its table when all of it has come in.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from compliance_api.domain.statistics.day import faulty_lines
from compliance_api.domain.statistics.intervals import MILLION, clopper_pearson
from lachan import terminal
from tests.simulate import between, cheats, honest, openness
from tests.simulate.cheats import CHEATS, Cheat, Detection
from tests.simulate.composed import conduct, sample
from tests.simulate.shared import Cores
from tests.simulate.world import Law, World, measuring

# Years that share lines, networks and what they ask; years of a piece of work.
CHUNK, PIECE = 50, 500
# At most so many of ten thousand honest operator-years, and at least such a part of the runs of a cheat.
WRONGLY, AMONG, FOUND = 4, 10_000, 0.99
LEAKS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 1.0)
NAMES = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05)
FACTORS = (0.5, 0.7, 0.8, 1.2, 1.3, 1.4, 1.5, 2.0)
UNRECOGNISED = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1.0)
LINES = (15, 30, 60, 120)
NEW_YEARS = {"names_unfiltered_2_percent": range(7), "udp_only": range(7)}
CLOSED = {
    "all refused, within 8 days": (1.0, 1, cheats.REFUSALS_WITHIN),
    "half refused": (0.5, 1, cheats.WITHIN),
    "every third refused": (1 / 3, 1, cheats.WITHIN),
    "every tenth refused": (0.1, 1, cheats.WITHIN),
    "silence": (1.0, 3, cheats.WITHIN),
}


@dataclass
class Results:
    """What the last line tells, and whether it is what is demanded."""

    years: int
    accused: int
    cheats: dict[str, Detection]
    # What else must not be.
    wrong: list[str]

    def document(self) -> str:
        """The last line."""
        short = {name: {"detected": one.detected, "median_days": one.median_days} for name, one in self.cheats.items()}
        return json.dumps({"honest_years": self.years, "accused": self.accused, "cheats": short})

    def missed(self) -> list[str]:
        """What is demanded and not met."""
        found = list(self.wrong)
        if self.accused > WRONGLY * max(self.years, AMONG) / AMONG:
            found.append(f"{self.accused} of {self.years} honest operator-years were accused")
        return found + [f"{name} is found too seldom" for name, one in self.cheats.items() if one.detected < FOUND]


def _row(name: str, found: Detection) -> str:
    median = "-" if found.median_days is None else f"{found.median_days:g}"
    return f"  {name:<30} {100 * found.detected:6.1f} %  {median:>4}"


def _years(rng: np.random.Generator, law: Law, years: int) -> honest.Found:
    """Honest years; lines, networks and what they ask are drawn anew for every chunk."""
    found, world = honest.Found(), World()
    while found.years < years:
        honest.years(rng, measuring(world, rng), law, min(CHUNK, years - found.years), found)
    return found


def _detect(
    rng: np.random.Generator, cheat: Cheat, law: Law, runs: int, lines: int = 30, new_year: int = cheats.NEVER
) -> Detection:
    return cheats.detect(cheat, rng, measuring(World(lines=lines), rng), law, runs, new_year)


def _between(
    rng: np.random.Generator, law: Law, share: float, spread: tuple[int, int], runs: int
) -> between.Between | None:
    return between.intercepted(rng, measuring(World(), rng), law, share, spread, runs)


Told = Callable[[Results], None]


def _honest(cores: Cores, law: Law, options: argparse.Namespace) -> Told:
    years = options.years
    sizes = [min(PIECE, years - done) for done in range(0, years, PIECE)]
    pieces = [cores.draw(f"honest {place}", _years, law, size) for place, size in enumerate(sizes)]
    granted = cores.draw("granted", honest.at_the_bound, law, years)
    opening = cores.draw("openings", openness.honest, World(), years)
    closed = cores.draw("closed", openness.at_the_bound, years)

    def tell(results: Results) -> None:
        found = honest.Found()
        for piece in pieces:
            found.add(piece.result())
            terminal.line(f"  {found.years} years, {found.accused} accused")
        known = clopper_pearson(found.accused, found.years)
        low, high = (10_000 * one / MILLION for one in (known.low, known.high))
        terminal.line(f"Honest operator-years: {found.years}, found not compliant: {found.accused}")
        terminal.line(f"  true rate, 95 %: {low:.2f} to {high:.2f} of 10,000")
        for name, count in found.bad.items():
            terminal.line(f"  bad days, {name:<14} {100 * count / found.days:.4f} %")
        terminal.line(f"  highest e-value met: {found.highest / 10**12:.3g}; by test: {dict(found.by)}")
        many = granted.result()
        terminal.line(f"Years with as many bad days in every family as chance is granted: {years}, accused: {many}")
        open_ = opening.result()
        terminal.line(f"Years of honest nodes that are challenged: {years}, accused of not opening: {open_.accused}")
        share = 100 * open_.closed_days / open_.days
        terminal.line(f"  closed days {share:.4f} %; as many as are granted: {closed.result()} accused")
        results.years, results.accused = found.years, found.accused + open_.accused

    return tell


def _cheats(cores: Cores, law: Law, options: argparse.Namespace) -> Told:
    runs = options.runs
    drawn = {name: cores.draw(name, _detect, cheat, law, runs) for name, cheat in CHEATS.items()}
    shut = {
        name: cores.draw(name, openness.detect, World(), part, after, runs, within)
        for name, (part, after, within) in CLOSED.items()
    }

    def tell(results: Results) -> None:
        terminal.line(f"Cheats, {runs} runs each: found within {cheats.WITHIN} days, median of days")
        for name, one in drawn.items():
            results.cheats[name] = one.result()
            terminal.line(_row(name, results.cheats[name]))
        terminal.line(f"Challenged hours that stay closed, {runs} runs each")
        for name, one in shut.items():
            terminal.line(_row(name, one.result()))
        results.cheats["openings_refused"] = next(iter(shut.values())).result()

    return tell


def _amounts(cores: Cores, law: Law, options: argparse.Namespace) -> Told:
    fewer = max(1, options.runs // 4)
    tables = {
        "names unfiltered": {f"{100 * part:g} %": Cheat(names=part) for part in NAMES},
        "random leaks": {f"{100 * part:g} %": Cheat(leaks=part) for part in LEAKS},
        "counters scaled": {f"x {part:g}": Cheat(counted=cheats.scaled(part)) for part in FACTORS},
    }
    drawn = {
        title: {name: cores.draw(f"{title} {name}", _detect, cheat, law, fewer) for name, cheat in rows.items()}
        for title, rows in tables.items()
    }
    ends = {
        name: [cores.draw(f"{name} {days} before", _detect, CHEATS[name], law, fewer, 30, days) for days in befores]
        for name, befores in NEW_YEARS.items()
    }

    def tell(_results: Results) -> None:
        for title, rows in drawn.items():
            terminal.line(f"How much of it is found ({fewer} runs): {title}")
            for name, one in rows.items():
                terminal.line(_row(name, one.result()))
        for name, row in ends.items():
            terminal.line(f"Begun so many days before a legal year ends ({fewer} runs): {name}")
            for days, one in enumerate(row):
                terminal.line(_row(str(days), one.result()))

    return tell


def _recognised(cores: Cores, law: Law, options: argparse.Namespace) -> Told:
    fewer = max(1, options.runs // 10)
    drawn = {
        count: [
            cores.draw(f"{part} of {count}", _detect, Cheat(unrecognised=round(part * count)), law, fewer, count)
            for part in UNRECOGNISED
        ]
        for count in LINES
    }

    def tell(_results: Results) -> None:
        terminal.line(
            f"Filters only for lines it recognises; found within 7 days by the part it does not ({fewer} runs):"
        )
        terminal.line("  lines  set aside  " + "".join(f"{100 * part:>7.0f} %" for part in UNRECOGNISED))
        for count, row in drawn.items():
            shown = "".join(f"{100 * one.result().detected:>7.1f} %" for one in row)
            terminal.line(f"  {count:>5}  {faulty_lines(count, law.day):>9}  {shown}")

    return tell


def _interception(cores: Cores, law: Law, options: argparse.Namespace) -> Told:
    fewer = max(1, options.runs // 50)
    drawn = [
        (share, name, cores.draw(f"between {share} {name}", _between, law, share, spread, fewer))
        for share in between.SHARES
        for name, spread in between.SPREADS.items()
    ]

    def tell(_results: Results) -> None:
        terminal.line(f"Honest, with lines intercepted throughout ({fewer} runs, {World().lines} lines): bad days;")
        terminal.line(f"found not compliant after {', '.join(map(str, between.DAYS))} such days in a row")
        for share, name, one in drawn:
            if (found := one.result()) is not None:
                accused = "".join(f"{100 * part:>7.0f} %" for part in found.accused)
                terminal.line(f"  {100 * share:>3.0f} % of lines, {name:<14} {100 * found.bad:>6.1f} % {accused}")

    return tell


def _composed(cores: Cores, law: Law, options: argparse.Namespace) -> Told:
    seed, runs = options.seed, options.composed_runs
    honestly = [cores.call(sample.follow, task) for task in sample.honestly(seed, options.composed_honest)]
    cheating: dict[str, list[Future[sample.Told]]] = {
        name: [cores.call(sample.follow, task) for task in sample.cheating(seed, name, runs)]
        for name in conduct.CHEATS
        if runs
    }
    quick = cores.draw("composed, quickly", sample.quick_honest, law) if honestly else None
    quickly = {
        name: cores.draw(f"{name}, quickly", sample.quick_cheat, name, law) for name in cheating if name in CHEATS
    }

    def tell(results: Results) -> None:
        if quick is not None:
            wrongly = sample.tell_honest([one.result() for one in honestly], quick.result())
            results.wrong += [f"the composed system accused honest operator {one.task.seed}" for one in wrongly]
        if cheating:
            terminal.line(
                f"Composed: cheats, {runs} runs each: found within {cheats.WITHIN} days, median; quick model; findings"
            )
        for name, rows in cheating.items():
            beside = quickly[name].result() if name in quickly else None
            found = sample.tell_cheat(name, [one.result() for one in rows], beside)
            other = results.cheats.setdefault(name, found)
            # What only the composed system knows has no quick model; where both do, they must agree.
            if not sample.agree(found, other):
                results.wrong.append(f"the quick model and the composed system differ on {name}")

    return tell


PARTS = {
    # Begun first, for its pieces are the longest, and told last.
    "composed": _composed,
    "honest": _honest,
    "cheats": _cheats,
    "amounts": _amounts,
    "recognised": _recognised,
    "interception": _interception,
}

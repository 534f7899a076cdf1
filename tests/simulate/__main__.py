"""Simulates honest and cheating operators: what the verdict's statistics find, and how seldom they accuse wrongly.

`make simulate` prints the tables of docs/statistics.md and, as its last line, the result as JSON. The same seed gives
the same tables on one version of NumPy.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from compliance_api.domain.statistics.day import faulty_lines
from compliance_api.domain.statistics.intervals import MILLION, clopper_pearson
from lachan import terminal
from tests.simulate import cheats, honest, openness
from tests.simulate.cheats import CHEATS, Cheat, Detection
from tests.simulate.composed import sample
from tests.simulate.world import Law, World, defaults, measuring

CHUNK = 50
# At most so many of ten thousand honest operator-years, and at least such a part of the runs of a cheat.
WRONGLY, FOUND = 4e-4, 0.99
LEAKS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 1.0)
NAMES = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05)
FACTORS = (0.5, 0.7, 0.8, 1.2, 1.3, 1.4, 1.5, 2.0)
UNRECOGNISED = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1.0)
LINES = (15, 30, 60, 120)


def _row(name: str, found: Detection) -> str:
    median = "-" if found.median_days is None else f"{found.median_days:g}"
    return f"  {name:<28} {100 * found.detected:6.1f} %  {median:>4}"


def _honest(rng: np.random.Generator, world: World, law: Law, years: int) -> honest.Found:
    found = honest.Found()
    begun = time.monotonic()
    while found.years < years:
        # Lines, networks and what they ask are drawn anew for every chunk.
        honest.years(rng, measuring(world, rng), law, min(CHUNK, years - found.years), found)
        if found.years % 1000 == 0:
            terminal.line(f"  {found.years} years, {found.accused} accused, {time.monotonic() - begun:.0f} s")
    return found


def _tell_honest(found: honest.Found, bound: int, years: int) -> None:
    known = clopper_pearson(found.accused, found.years)
    low, high = (10_000 * one / MILLION for one in (known.low, known.high))
    terminal.line(f"Honest operator-years: {found.years}, found not compliant: {found.accused}")
    terminal.line(f"  true rate, 95 %: {low:.2f} to {high:.2f} of 10,000")
    for name, count in found.bad.items():
        terminal.line(f"  bad days, {name:<14} {100 * count / found.days:.4f} %")
    terminal.line(f"  highest e-value met: {found.highest / 10**12:.3g}; by test: {dict(found.by)}")
    terminal.line(f"Years with as many bad days by chance as are granted, in every family: {years}, accused: {bound}")


def _unrecognised(rng: np.random.Generator, law: Law, runs: int) -> None:
    terminal.line("Filters only for lines it recognises; found within 7 days by the part it does not recognise:")
    terminal.line("  lines  set aside  " + "".join(f"{100 * part:>7.0f} %" for part in UNRECOGNISED))
    for count in LINES:
        place = measuring(World(lines=count), rng)
        row = []
        for part in UNRECOGNISED:
            cheat = Cheat(unrecognised=round(part * count))
            row.append(f"{100 * cheats.detect(cheat, rng, place, law, runs).detected:>7.1f} %")
        terminal.line(f"  {count:>5}  {faulty_lines(count, law.day):>9}  " + "".join(row))


def _openings(rng: np.random.Generator, world: World, years: int, runs: int) -> tuple[int, Detection]:
    """What becomes of nodes that open what they can: how many are accused; and how one that refuses is found."""
    found = openness.honest(rng, world, years)
    bound = openness.at_the_bound(rng, years)
    terminal.line(f"Years of honest nodes that are challenged: {found.years}, accused of not opening: {found.accused}")
    terminal.line(
        f"  closed days {100 * found.closed_days / found.days:.4f} %; as many as are granted: {bound} accused"
    )
    terminal.line(f"Challenged hours that stay closed, {runs} runs each: found within {cheats.WITHIN} days, median")
    refused = openness.detect(rng, world, 1.0, 1, runs, cheats.REFUSALS_WITHIN)
    terminal.line(_row("all refused, within 8 days", refused))
    for name, part, known_after in (
        ("half refused", 0.5, 1),
        ("every third refused", 1 / 3, 1),
        ("every tenth refused", 0.1, 1),
        ("silence", 1.0, 3),
    ):
        terminal.line(_row(name, openness.detect(rng, world, part, known_after, runs)))
    return found.accused, refused


def main() -> None:
    """Runs the simulation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=10_000, help="honest operator-years")
    parser.add_argument("--runs", type=int, default=1000, help="runs of each cheat")
    parser.add_argument("--composed-honest", type=int, default=8, help="honest operators, followed for 91 days each")
    parser.add_argument("--composed-runs", type=int, default=10, help="runs of each cheat through the whole system")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    law, world = defaults(), World()
    rng = np.random.default_rng(options.seed)
    found = _honest(rng, world, law, options.years)
    _tell_honest(found, honest.at_the_bound(rng, law, options.years), options.years)
    # Draws of its own, so that it moves no other table.
    apart = np.random.default_rng([options.seed, 1])
    closed, refused = _openings(apart, world, options.years, options.runs)
    place = measuring(world, rng)
    terminal.line(f"Cheats, {options.runs} runs each: found within {cheats.WITHIN} days, median of days")
    results = {}
    for name, cheat in CHEATS.items():
        results[name] = cheats.detect(cheat, rng, place, law, options.runs)
        terminal.line(_row(name, results[name]))
    results["openings_refused"] = refused
    fewer = max(1, options.runs // 4)
    for title, rows in (
        ("names unfiltered", {f"{100 * part:g} %": Cheat(names=part) for part in NAMES}),
        ("random leaks", {f"{100 * part:g} %": Cheat(leaks=part) for part in LEAKS}),
        ("counters scaled", {f"x {part:g}": Cheat(counted=cheats.scaled(part)) for part in FACTORS}),
    ):
        terminal.line(f"How much of it is found ({fewer} runs): {title}")
        for name, cheat in rows.items():
            terminal.line(_row(name, cheats.detect(cheat, rng, place, law, fewer)))
    _unrecognised(rng, law, fewer)
    composed = sample.tell_cheats(options.seed, options.composed_runs, law) if options.composed_runs else {}
    wrongly = sample.tell_honest(options.seed, options.composed_honest, law) if options.composed_honest else []
    # What only the composed system knows has no quick model; where both do, they must agree.
    differing = [name for name, one in composed.items() if name in CHEATS and not sample.agree(one, results[name])]
    if differing:
        terminal.line(f"The quick model and the composed system differ: {', '.join(differing)}")
    results = {**composed, **results}
    short = {name: {"detected": one.detected, "median_days": one.median_days} for name, one in results.items()}
    terminal.line(json.dumps({"honest_years": found.years, "accused": found.accused, "cheats": short}))
    wrong = max(found.accused, closed) > WRONGLY * found.years or bool(wrongly) or bool(differing)
    if wrong or any(one.detected < FOUND for one in results.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

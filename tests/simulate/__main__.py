"""Simulates honest and cheating operators: what the verdict's statistics find, and how seldom they accuse wrongly.

`make simulate` prints the tables of docs/statistics.md and, as its last line, the result as JSON; it fails where more
than four of ten thousand honest operator-years are accused, where a cheat is found in fewer than 99 % of its runs, and
where the quick model and the composed system differ. The same seed gives the same tables on one version of NumPy.
"""

from __future__ import annotations

import argparse
import time

from lachan import terminal
from tests.simulate.parts import PARTS, Results
from tests.simulate.shared import Cores
from tests.simulate.world import defaults


def main() -> None:
    """Runs the simulation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=10_000, help="honest operator-years")
    parser.add_argument("--runs", type=int, default=1000, help="runs of each cheat")
    parser.add_argument("--composed-honest", type=int, default=6, help="honest operators, followed for 91 days each")
    parser.add_argument("--composed-runs", type=int, default=5, help="runs of each cheat through the whole system")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), help="some of its parts")
    parser.add_argument("--processes", type=int, help="as many as there are cores, where not given")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    law, begun = defaults(), time.monotonic()
    results = Results(0, 0, {}, [])
    with Cores(options.seed, options.processes) as cores:
        wanted = [begin(cores, law, options) for name, begin in PARTS.items() if name in options.only]
        if "composed" in options.only:
            wanted = [*wanted[1:], wanted[0]]
        for tell in wanted:
            tell(results)
    terminal.line(f"{(time.monotonic() - begun) / 60:.1f} minutes")
    missed = results.missed()
    for one in missed:
        terminal.line(f"Missed: {one}")
    terminal.line(results.document())
    if missed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

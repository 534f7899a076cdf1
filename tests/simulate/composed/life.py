"""What goes wrong at an operator in a year without anybody cheating.

Holds always: everything here is drawn from the rates of `tests.simulate.world.World`, and from those below for what
only a composed system can suffer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.simulate.composed.conduct import DAY, HOUR
from tests.simulate.world import World

# A year's outages of a node: most are short, now and then one lasts for more than a day.
OUTAGES = 6
LONG_OUTAGE = 0.2
# Part of the days on which a line is away and hands in what it saw two days later.
LATE_LINES = 0.02
# Operators whose nodes have hardly any clients: what probes ask is most of what they count.
QUIET = 0.2
# Part of a session's questions about who answers that get lost.
SILENT = 0.02


@dataclass(frozen=True)
class Life:
    """One operator's luck."""

    # Lines whose questions somebody on the way answers, and handed lines that were set to another resolver.
    intercepted: frozenset[int]
    misconfigured: frozenset[int]
    # Part of the names, and of the questions, that are missed; of the names never listed that are blocked.
    missed: float
    own_blocks: float
    # Others' blocked queries in a window.
    clients: float
    # By day: nothing can be measured; what part of one quarter's names is open.
    dark: frozenset[int] = frozenset()
    open_parts: dict[int, tuple[int, float]] = field(default_factory=dict)
    # Days with a third of the measuring and late lists.
    holiday: frozenset[int] = frozenset()
    # When the node is off: from and until, in seconds.
    outages: tuple[tuple[float, float], ...] = ()

    @classmethod
    def draw(cls, rng: random.Random, world: World, days: int) -> Life:
        """Draws so many days."""
        dark: set[int] = set()
        open_parts: dict[int, tuple[int, float]] = {}
        for day in range(days):
            if rng.random() >= world.shocks:
                continue
            length = rng.choices((1, 2, 3), world.shock_days)[0]
            if rng.random() < 0.5:
                dark |= set(range(day, day + length))
            else:
                open_parts |= dict.fromkeys(range(day, day + length), (rng.randrange(4), rng.uniform(0.02, 1)))
        begin = rng.randrange(max(1, 366 - world.holiday))
        outages = []
        for _ in range(round(rng.expovariate(1) * OUTAGES * days / 366)):
            at = rng.uniform(0, days * DAY)
            outages.append((at, at + rng.uniform(0.1, 3) * HOUR))
        if rng.random() < LONG_OUTAGE * days / 366:
            at = rng.uniform(0, days * DAY)
            outages.append((at, at + rng.uniform(1, 2) * DAY))
        lines = range(world.lines)
        return cls(
            frozenset(one for one in lines if rng.random() < world.intercepted),
            frozenset(one for one in lines if rng.random() < world.misconfigured),
            min(rng.expovariate(1 / world.missed), 0.001),
            min(rng.expovariate(1 / world.own_blocks), 0.01),
            0.05 if rng.random() < QUIET else rng.uniform(20, 2000),
            frozenset(dark),
            open_parts,
            frozenset(range(begin, begin + world.holiday)),
            tuple(outages),
        )

    def off(self, at: float) -> bool:
        """Whether the node is off."""
        return any(begin <= at < end for begin, end in self.outages)

    def lag(self, day: int, serial: int) -> float:
        """Seconds from a release's publication until it is in force; within the deadline, but late on holidays."""
        return (serial * 7919 % 20) * HOUR if day in self.holiday else (serial * 7919 % 60) * 60.0

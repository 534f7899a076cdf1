"""The world that is simulated: lines, questions, and what goes wrong in it without anybody cheating.

Holds always: every rate of the noise stands here, and none of them is known to what decides, but the share of
intercepted lines that the law grants; path verification is thought to catch no interception at all, which is worse
than life.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compliance_api.domain.law.burden import Burden
from compliance_api.domain.law.law import Confirmation
from compliance_api.domain.observations.observation import ConfirmationRule, Eyes
from compliance_api.domain.statistics.day import ALL, STRATA, Line
from compliance_api.domain.statistics.parameters import CopyRule, DayRules, ProcessRule, SlopeRule

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TRANSPORTS = {"udp": 0.4, "tcp": 0.2, "dot": 0.2, "doh": 0.2}
TYPES = {"a": 0.5, "aaaa": 0.25, "https": 0.25}
QUARTERS = {"00-06": 0.25, "06-12": 0.25, "12-18": 0.25, "18-24": 0.25}
FAMILIES = {"v4": 0.7, "v6": 0.3}
FLAGS = {"plain": 0.75, "do": 0.25}
# By transport, type, quarter of the day, version of IP, and whether DO is set.
CELLS = list(itertools.product(TRANSPORTS, TYPES, QUARTERS, FAMILIES, FLAGS))
SHARES = {**TRANSPORTS, **TYPES, **QUARTERS, **FAMILIES, **FLAGS}
WEIGHTS = np.array([math.prod(SHARES[part] for part in cell) for cell in CELLS])


@dataclass(frozen=True)
class World:
    """How the authority measures, and what life adds."""

    # Vantage points of one operator and jurisdiction, on these networks, kept by these custodians.
    lines: int = 30
    networks: int = 3
    custodians: int = 4
    # Lines that use the resolvers handed to them.
    handed: int = 16
    # Fresh names a day: every line asks each of them, and again six hours later those that several lines missed.
    names: int = 700
    unlisted: int = 160
    # Parents and siblings of listed names among them.
    neighbours: int = 60
    # At least those drawn for their age alone (`assignments.aged_a_day`). The recent ones among `names` count as well:
    # in the composed system there were 67 to 144 a day.
    aged: tuple[int, int] = (24, 144)
    # Names taken out of the list, asked every round of the day.
    released: int = 12
    # Intercepted lines stay so for the year.
    intercepted: float = 0.02
    # Part of the intercepted lines that path verification does not catch before a challenge; sightings are thought to
    # come from all of them.
    uncaught: float = 0.1
    # Lines whose custodian set another resolver by mistake, for the year.
    misconfigured: float = 0.01
    # Names that die between the draw and the question, or that references do not agree on.
    dead: float = 0.06
    # Questions without a settled answer after all tries.
    lost: float = 0.02
    # An honest operator's own rate of misses, drawn from an exponential with this mean, at most the tolerated rate.
    missed: float = 0.0001
    # Names never listed that an operator blocks for reasons of its own.
    own_blocks: float = 0.002
    # Days on which a shock begins: half of them leave nothing to measure, half leave a part of the day unfiltered.
    shocks: float = 0.006
    shock_days: tuple[float, ...] = (0.8, 0.15, 0.05)
    # A holiday of so many days in a row: a third of the measuring, and so many days with a list late by some hours.
    holiday: int = 9
    late: float = 0.1
    # Questions from probes whose clocks are wrong by hours.
    wrong_clocks: float = 0.01
    days: int = 366


@dataclass(frozen=True)
class Law:
    """All parameters of what decides."""

    confirmation: ConfirmationRule
    day: DayRules
    process: ProcessRule
    slope: SlopeRule
    copies: CopyRule


def defaults() -> Law:
    """As the law data have them where a text says nothing else."""
    eyes, burden = Confirmation(), Burden()
    return Law(
        eyes.rule(),
        burden.day_rules(eyes.vantage_points, eyes.networks, eyes.custodians),
        burden.process_rule(),
        burden.slope_rule(),
        burden.copy_rule(),
    )


@dataclass(frozen=True)
class Measuring:
    """Lines and the names of a day, which all of them ask: fixed for a simulation, drawn once."""

    world: World
    lines: tuple[Line, ...]
    # The cell of each name that has a settled answer.
    cell_of: Ints = field(repr=False)

    @property
    def names(self) -> int:
        """How many they are."""
        return len(self.cell_of)

    @property
    def networks(self) -> Ints:
        """The network of each line."""
        return np.array([int(line.network.split("-")[1]) for line in self.lines])

    @property
    def custodians(self) -> Ints:
        """The custodian of each line."""
        return np.array([int(line.custodian.split("-")[1]) for line in self.lines])


def measuring(world: World, rng: np.random.Generator) -> Measuring:
    """Draws what the lines ask on a day."""
    lines = tuple(
        Line(f"net-{index % world.networks}", f"custodian-{index // world.networks % world.custodians}")
        for index in range(world.lines)
    )
    names = round(world.names * (1 - world.dead) * (1 - world.lost))
    return Measuring(world, lines, rng.choice(len(CELLS), names, p=WEIGHTS))


def cells(**wanted: tuple[str, ...]) -> Bools:
    """The cells of some transports, types, quarters, families or flags."""
    keys = ("transport", "kind", "quarter", "family", "flag")
    return np.array(
        [all(cell[keys.index(key)] in values for key, values in wanted.items()) for cell in CELLS], dtype=np.bool_
    )


STRATUM = np.array([[name == ALL or name in cell for cell in CELLS] for name in STRATA], dtype=np.bool_)
# Where a name is asked again six hours later.
_LATER = dict(zip(QUARTERS, [*list(QUARTERS)[1:], next(iter(QUARTERS))], strict=True))
LATER_CELL = np.array(
    [CELLS.index((one, two, _LATER[quarter], three, four)) for one, two, quarter, three, four in CELLS]
)


def confirmed(place: Measuring, law: Law, first: Bools, second: Bools, shown: Bools) -> Bools:
    """Which names are confirmed missed, by the law's own rule.

    Args:
        place: Who asked.
        law: With the rule.
        first: By line and name: missed when it was drawn.
        second: Likewise, when it was asked again.
        shown: Lines whose path was verified.
    """
    again = first.sum(axis=0) >= law.confirmation.vantage_points
    missed = first | (second & again)
    # Names that nobody missed are not looked at.
    candidates = np.flatnonzero(again)
    if not len(candidates):
        return np.zeros(place.names, dtype=np.bool_)
    missed = missed[:, candidates]
    networks = sum((missed & (place.networks == one)[:, None]).any(axis=0).astype(int) for one in set(place.networks))
    keepers = sum(
        (missed & (place.custodians == one)[:, None]).any(axis=0).astype(int) for one in set(place.custodians)
    )
    apart = np.where(second[:, candidates].any(axis=0), 21600, 0)
    rows = np.stack([missed.sum(axis=0), networks, keepers, apart, (missed & shown[:, None]).sum(axis=0)], axis=1)
    kinds, which = np.unique(rows, axis=0, return_inverse=True)
    met = np.array(
        [
            law.confirmation.met(Eyes(eyes, len(place.lines), nets, held, float(seconds), seen, int(shown.sum())))
            for eyes, nets, held, seconds, seen in kinds.tolist()
        ]
    )
    found = np.zeros(place.names, dtype=np.bool_)
    found[candidates] = met[which.ravel()]
    return found

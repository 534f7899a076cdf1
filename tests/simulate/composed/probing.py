"""Probes that ask: real rounds drawn by the service's own functions, and what every line sees.

Holds always: questions, what is asked again, and by which way a session went are decided by the code that decides them
in the service; here only the answers are made up.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from compliance_api.domain.drawing.sampling import Inputs, steadily
from compliance_api.domain.law.law import Law
from compliance_api.domain.observations.observation import Arm, Result, Shape, Sighting
from compliance_api.domain.parties.organisation import Endpoint, Transport
from compliance_api.usecases.probing.assignment import FRESH_DAYS, Wanted
from compliance_api.usecases.probing.plan import Plan, questions
from compliance_api.usecases.probing.question import Question
from tests.simulate.composed.conduct import DAY, HOUR, Asked, Conduct, part
from tests.simulate.composed.life import Life
from tests.simulate.composed.meeting import way
from tests.simulate.composed.published import Published
from tests.simulate.composed.tracked import Tracked
from tests.simulate.world import World

NODE = "edge-1"
SPREAD = 1200.0
# Of five lines, so many have IPv6 as well.
DUAL = 3
# As in deploy/examples/compliance.yaml: of a day, by the hour.
REFERENCE = Endpoint("192.0.2.53", 53, Transport.UDP)
PLAN = Plan(
    interval=HOUR,
    listed=30,
    spread=SPREAD,
    expires=HOUR,
    reference=REFERENCE,
    second_reference=Endpoint("192.0.2.54", 53, Transport.UDP),
    qtypes=(1, 28, 65),
    controls=tuple(f"control{number}.example" for number in range(120)),
    neighbours=(),
    dnssec_share=0.25,
    aged=1,
    controls_asked=10,
    parents=5,
)
# Names with a record of the type.
HAS = {1: 0.98, 28: 0.35, 65: 0.25}


@dataclass
class Probes:
    """An operator's probes over the days of one simulation."""

    start: datetime
    published: Published
    world: World
    life: Life
    conduct: Conduct
    rng: random.Random
    law: Law
    # Lines that the operator does not recognise; the others see a perfect filter. None: it does not tell them apart.
    unrecognised: int | None = None
    # What the node counted, by window.
    counted: Counter[int] = field(default_factory=Counter)
    lines: list[dict[str, str]] = field(default_factory=list)
    _asked: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begins with nothing against the operator."""
        self._tracked = Tracked(self.law.confirmation.sessions_apart)
        self.lines = [
            {
                "probe": f"so/p{line}",
                "vantage_point": f"line-{line}",
                "access_network": f"net-{line % self.world.networks}",
                "custodian": f"custodian-{line // self.world.networks % self.world.custodians}",
            }
            for line in range(self.world.lines)
        ]

    def hour(self, number: int) -> list[Sighting]:
        """Everything that is asked in an hour of the simulation."""
        day = int(number * HOUR // DAY)
        if day in self.life.holiday and number % 3:
            return []
        now = self.start + timedelta(hours=number)
        pool = self.published.pool(self.rng, self.law, now)
        lately = {name for name in (*pool.names, *pool.recent, *pool.aged) if self._fresh(name.qname, day)}
        found = self._tracked.unsettled(Wanted.of(self.law, SPREAD, now))
        inputs = Inputs(
            pool,
            found.firm,
            found.loose,
            found.blocked,
            frozenset(one.qname for one in lately),
            released=steadily(self.published.taken(now), self.world.released, str(day).encode()),
        )
        seed = self.rng.randbytes(32)
        seen: list[Sighting] = []
        for transport, family in self.conduct.endpoints:
            asked = questions(PLAN, inputs, seed, f"{transport}/{family}")
            for one in asked:
                if one.arm is Arm.LISTED and not one.again:
                    self._asked[one.qname] = day
            for line in range(self.world.lines):
                if family == 4 or line % 5 < DUAL:
                    seen += self._session(asked, number, line, transport, family)
        seen.sort(key=lambda one: one.asked_at)
        for sighting in seen:
            self._tracked.see(sighting)
        return seen

    def _fresh(self, qname: str, day: int) -> bool:
        return qname in self._asked and day - self._asked[qname] < FRESH_DAYS

    def _session(
        self, asked: Sequence[Question], hour: int, line: int, transport: Transport, family: int
    ) -> list[Sighting]:
        begin = hour * HOUR + self.rng.uniform(0, 60)
        day = int(begin // DAY)
        intercepted = line in self.life.intercepted
        assignment = f"{hour:06x}{line:04x}{transport.value}{family}"
        common = {
            **self.lines[line],
            "assignment": assignment,
            "node": NODE,
            "transport": transport,
            "family": family,
            "path": way(self.rng, self.world, self.life, self.conduct, line),
            "earliest": self.start + timedelta(seconds=begin),
            "latest": self.start + timedelta(seconds=begin + SPREAD),
        }
        listed = [one for one in asked if one.arm is Arm.LISTED]
        rest = [one for one in asked if one.arm is not Arm.LISTED]
        self.rng.shuffle(listed)
        self.rng.shuffle(rest)
        ordered = [*listed, *rest]
        step = SPREAD / (len(ordered) + 1)
        dark = day in self.life.dark
        found = []
        for index, one in enumerate(ordered):
            at = begin + (index + self.rng.random()) * step
            shape, alive = self._seen(one, at, line, (transport, family), intercepted=intercepted, dark=dark)
            found.append(
                _sighting(
                    {
                        **common,
                        "reference": f"{assignment}/{index}",
                        "asked_at": self.start + timedelta(seconds=at),
                        "arm": one.arm,
                        "qname": one.qname,
                        "added_serial": 0 if one.arm is Arm.RELEASED else one.added_serial,
                        "added_at": None if one.arm is Arm.RELEASED else one.added_at,
                        "result": _RESULTS.get(shape, Result.INCONCLUSIVE) if alive else Result.INCONCLUSIVE,
                        "shape": shape if alive or shape is Shape.ANSWER else Shape.REFERENCE_DEAD,
                        "reference_alive": alive,
                        "qtype": one.qtype,
                        "dnssec_ok": one.dnssec_ok,
                        "again": one.again,
                        "removed_at": one.added_at if one.arm is Arm.RELEASED else None,
                        "removed_serial": one.added_serial if one.arm is Arm.RELEASED else 0,
                    }
                )
            )
        return found

    def _seen(
        self, one: Question, at: float, line: int, way_in: tuple[Transport, int], *, intercepted: bool, dark: bool
    ) -> tuple[Shape, bool]:
        """How a question ended, and whether the references saw the name alive."""
        chance = self.rng.random()
        day = int(at // DAY)
        name = one.qname
        alive = part(f"{name} {one.qtype}") < HAS[one.qtype] and part(f"{name} {day // 3} dead") >= self.world.dead
        if dark or chance < self.world.lost:
            return Shape.TIMEOUT, alive
        if intercepted:
            return Shape.ANSWER if alive else Shape.NODATA, alive
        if self.life.off(at):
            return Shape.TIMEOUT, alive
        shape = self._answer(one, at, day, line, way_in)
        if shape is Shape.NXDOMAIN and one.arm in {Arm.LISTED, Arm.RELEASED}:
            self.counted[int(at // 300)] += 1
        return (shape if alive or shape is not Shape.ANSWER else Shape.NODATA), alive

    def _answer(self, one: Question, at: float, day: int, line: int, way_in: tuple[Transport, int]) -> Shape:
        """What the operator's resolver says."""
        chance = self.rng.random()
        listed = one.arm is Arm.LISTED
        age = at - (one.added_at - self.start).total_seconds() if one.added_at is not None else 0.0
        known = self.unrecognised is not None and line < self.world.lines - self.unrecognised
        if not known:
            asked = Asked(one.qname, one.qtype, one.arm, *way_in, one.dnssec_ok, at, age, chance)
            if (does := self.conduct.answers(asked)) is not None:
                return does
        if one.arm is Arm.RELEASED:
            return Shape.NXDOMAIN if age < self.life.lag(day, one.added_serial) else Shape.ANSWER
        if not listed:
            return Shape.NXDOMAIN if part(f"{one.qname} own") < self.life.own_blocks else Shape.ANSWER
        quarter, share = self.life.open_parts.get(day, (-1, 0.0))
        if int(at % DAY // (6 * HOUR)) == quarter and part(f"{one.qname} {day}") < share:
            return Shape.ANSWER
        if age < self.life.lag(day, one.added_serial) or part(f"{one.qname} missed") < self.life.missed:
            return Shape.ANSWER
        return Shape.ANSWER if chance < self.life.missed else Shape.NXDOMAIN


_RESULTS = {Shape.NXDOMAIN: Result.BLOCKED, Shape.NODATA: Result.BLOCKED, Shape.ANSWER: Result.NOT_BLOCKED}


def _sighting(values: dict[str, object]) -> Sighting:
    """The same as `Sighting(**values)`, in a tenth of the time: there are tens of thousands a day."""
    made = object.__new__(Sighting)
    made.__dict__.update(values)
    return made

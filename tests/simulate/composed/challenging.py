"""Challenges of one node: drawn, asked, opened and summed up by the service's functions.

Holds always: what the node opens is what its conduct makes of the true counts; what others ask, what gets lost and what
is intercepted on the way are as in `tests.simulate.counters`.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from compliance_api.domain.challenges.challenge import Challenge, State, challengeable, draw_rules, hours
from compliance_api.domain.challenges.openness import shut
from compliance_api.domain.challenges.outcome import Opened, outcome
from compliance_api.domain.law.law import Law
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.verdicts.case import SlopeRecord
from compliance_api.domain.verdicts.challenged import record
from tests.simulate.composed.conduct import HOUR, Conduct
from tests.simulate.composed.life import Life
from tests.simulate.composed.published import Published
from tests.simulate.world import World

NODE = "edge-1"
# Part of the answers that are lost on their way back: the node counted them.
LOST_BACK = 0.003


@dataclass
class Challenges:
    """Everything that one node was asked for."""

    start: datetime
    published: Published
    world: World
    life: Life
    rng: random.Random
    opened: list[Opened] = field(default_factory=list)

    def day(self, number: int, law: Law, conduct: Conduct) -> None:
        """Draws and asks the challenges of a day of the simulation, and has them opened."""
        seed = hashlib.sha256(self.rng.randbytes(32)).digest()
        begin = self.start + timedelta(days=number)
        old = begin - timedelta(seconds=law.list.block_deadline)
        names = challengeable(self.published.pool(self.rng, law, begin).names, frozenset(), old)
        for node, hour in sorted(hours(seed, [NODE], law.challenges)):
            at = begin + timedelta(hours=hour)
            rules = draw_rules(seed, node, at, names, law.challenges.pairs_an_hour)
            opens = at + timedelta(hours=1, seconds=law.challenges.opened_after)
            deadline = opens + timedelta(seconds=law.challenges.answered_within)
            challenge = Challenge("a", self.rng.randbytes(16), node, at, at, 1, rules, opens, deadline)
            made = self._open(challenge, (number * 24 + hour) * HOUR, conduct)
            self.opened.append(made)
        oldest = begin - timedelta(days=law.challenges.closed_days + 5)
        self.opened = [one for one in self.opened if one.challenge.hour >= oldest]

    def _open(self, challenge: Challenge, at: float, conduct: Conduct) -> Opened:
        """What comes of one hour."""
        off = self.life.off(at) or self.life.off(at + HOUR)
        answered, reported = {}, {}
        total = 0
        for rule in challenge.rules:
            received = sum(self.rng.random() >= self.world.lost for _ in range(rule.times)) if not off else 0
            away = sum(
                self.rng.random() < len(self.life.intercepted) * self.world.uncaught / self.world.lines
                for _ in range(received)
            )
            back = sum(self.rng.random() < LOST_BACK for _ in range(rule.times)) if not off else 0
            others = int(self.rng.expovariate(1 / min(10.0, 3 * self.rng.lognormvariate(0, 1))))
            told = conduct.counts(received - away + back, others, self.rng.random())
            if told is None:
                return Opened(challenge, State.REFUSED)
            answered[rule.qname] = received
            reported[rule.qname] = told
            total += told
        if off:
            # An hour in which the node came or went was committed to by nobody.
            return Opened(challenge, State.UNCOMMITTED)
        return Opened(challenge, State.OPENED, reported, 0, answered, total)

    def say(self, now: datetime, law: Law) -> SlopeRecord | None:
        """What all challenges of days that ended, and were opened by now, say at most.

        A verdict on a day is reached again when its challenges have been opened, up to two days later: what any of
        them would say now counts as said.
        """
        duty, burden = law.challenges, law.burden
        found = []
        known = [self._known(one, now) for one in self.opened]
        for back in range(4):
            end = LegalDay.of(now).start - timedelta(days=back)
            within = end - timedelta(days=duty.days)
            looked_at = [one for one in known if within <= one.challenge.hour < end]
            remembered = end - timedelta(days=duty.closed_days)
            closed = shut(
                [one.hour for one in known if remembered <= one.challenge.hour < end],
                duty.closed_tolerated,
                law.closed_rule(),
            )
            if looked_at:
                least = law.counters.mismatched_windows
                found.append(record(outcome("a", within, end, looked_at, burden.slope_rule(), least, closed)))
        return max(found, key=lambda one: (one.severity, one.ends_at), default=None)

    def _known(self, one: Opened, now: datetime) -> Opened:
        """As it stood at a moment: what is not asked for yet is drawn only."""
        if one.challenge.open_from + timedelta(minutes=10) <= now:
            return one
        return Opened(one.challenge, State.DRAWN)

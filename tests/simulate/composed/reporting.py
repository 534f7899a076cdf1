"""What a node reports: one report a window, from counters that its probes' and others' questions moved.

Holds always: a node that is off reports nothing for that time and comes back with the list that it had.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from compliance_api.domain.challenges.copied import Series
from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.reports.record import ReportRecord
from tests.simulate.composed.conduct import DAY, HOUR
from tests.simulate.composed.probing import NODE, Probes
from tests.simulate.counters import course
from tests.simulate.world import Ints

WINDOW = 300
# Seconds after a window's end until its report is there, and after an outage until the list is fetched.
DELAY = 40.0
FETCHED = 600.0
# Nobody copies a node that counts next to nothing: that would look as idle as one's own does.
BUSY = 20.0


@dataclass
class Reporter:
    """One node's reports."""

    probes: Probes
    rng: np.random.Generator
    # Others' blocked queries by window, of the day that is.
    _others: dict[int, tuple[Ints, Ints]] = field(default_factory=dict)

    def _series(self, day: int) -> tuple[Ints, Ints]:
        """Others' blocked queries in the windows of a day, here and at a neighbour whose rates move likewise.

        Who copies reports a part of what the neighbour had a window before.
        """
        if day not in self._others:
            rates = course(self.rng, 1)[0]
            rates = rates / rates.mean()
            own = self.probes.life.clients
            part = self.probes.conduct.copies
            here, there = self.rng.poisson(own * rates), self.rng.poisson((max(own, BUSY) if part else own) * rates)
            if part:
                here = np.rint(part * np.roll(there, 1)).astype(np.int64)
            self._others[day] = here, there
            self._others.pop(day - 3, None)
        return self._others[day]

    def neighbours(self, day: int) -> Series:
        """The counters of both nodes on a day, as they were reported."""
        if day < 0:
            return {}
        here, there = self._series(day)
        return {("a", NODE): here.tolist(), ("b", "edge-9"): there.tolist()}

    def hour(self, number: int) -> list[ReportRecord]:
        """Those on the windows that began in an hour of the simulation."""
        probes, life = self.probes, self.probes.life
        day = int(number * HOUR // DAY)
        others, _ = self._series(day)
        found = []
        first = number % 24 * int(HOUR) // WINDOW
        for place in range(first, first + int(HOUR) // WINDOW):
            begin = day * DAY + place * WINDOW
            # The window in which a node goes or comes is cut, and nobody reports it.
            if life.off(begin) or life.off(begin + WINDOW - 1):
                continue
            serial, activated = self._list(begin + WINDOW, day)
            start = probes.start + timedelta(seconds=begin)
            number = int(begin // WINDOW)
            found.append(
                ReportRecord(
                    NODE,
                    f"{number:064x}",
                    number,
                    Relation.EXTENDS,
                    start + timedelta(seconds=WINDOW + DELAY),
                    start,
                    WINDOW,
                    serial,
                    probes.start + timedelta(seconds=activated),
                    int(others[place]) + probes.counted.pop(number, 0),
                    True,
                )
            )
        return found

    def _list(self, at: float, day: int) -> tuple[int, float]:
        """Serial and activation of the list in force at a moment."""
        probes, life = self.probes, self.probes.life
        for release in reversed(probes.published.known(probes.start + timedelta(seconds=at))):
            published = (release.published_at - probes.start).total_seconds()
            activated = published + life.lag(day, release.serial)
            for begin, end in life.outages:
                if begin <= activated < end + FETCHED:
                    activated = end + FETCHED
            if activated <= at:
                return release.serial, activated
        raise ValueError("a list is in force from the beginning")

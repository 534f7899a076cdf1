"""The list that is published: releases twice a day, and what probes draw from.

Holds always: a pool is made as the service makes it, by the same functions, from a sample of the names in force.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from compliance_api.domain.drawing.sampling import WEEK, ListedName, Pool, Release, aged, due, recent_serials
from compliance_api.domain.law.law import Law
from compliance_api.domain.reports.record import ReleaseRecord
from compliance_api.usecases.probing.releasetiming import RELEASED_FOR
from compliance_api.usecases.probing.sample import RECENT_WANTED

BASE = 20_000
A_RELEASE = 40
EVERY = timedelta(hours=12)
# How long before a simulation the list began to grow.
BEFORE = timedelta(days=40)
POOL = 200
# Names that each release takes out; they were on the list before the simulation began.
TAKEN = 4


@dataclass
class Published:
    """All releases of a simulation, with the names that each brought."""

    start: datetime
    days: int
    names: list[ListedName] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Publishes everything."""
        at, serial = self.start - BEFORE, 1
        self._publish(serial, at, BASE)
        while at < self.start + timedelta(days=self.days):
            at, serial = at + EVERY, serial + 1
            self._publish(serial, at, A_RELEASE)
        self._ends = [one.entries for one in self.releases]
        self._dates = [one.published_at for one in self.releases]

    def _publish(self, serial: int, at: datetime, count: int) -> None:
        for number in range(len(self.names), len(self.names) + count):
            parent = f"p{number}.example"
            self.names.append(ListedName(f"n.{parent}", 3 + number % 5, f"OR-{serial}", serial, at, number + 1, parent))
        self.releases.append(Release(serial, bytes(32), at, len(self.names), serial % 20 == 0))

    def known(self, now: datetime) -> Sequence[Release]:
        """The releases published by now, oldest first."""
        return self.releases[: bisect_right(self._dates, now)]

    def taken(self, now: datetime) -> list[ListedName]:
        """Names that the releases of late took out, each with the release that did and its time."""
        lately = (one for one in self.known(now) if now - one.published_at < RELEASED_FOR)
        return [
            ListedName(f"t{number}.p{one.serial}.example", 3, "OR", one.serial, one.published_at)
            for one in lately
            for number in range(TAKEN)
        ]

    def records(self, now: datetime) -> list[ReleaseRecord]:
        """The same, as judging needs them."""
        return [ReleaseRecord(one.serial, one.published_at, one.urgent) for one in self.known(now)]

    def pool(self, rng: random.Random, law: Law, now: datetime) -> Pool:
        """What a round that begins now draws from."""
        known = self.known(now)

        def sample(after: int) -> list[ListedName]:
            begin = self._ends[after - 1] if after else 0
            there = range(begin, known[-1].entries)
            return [self.names[place] for place in rng.sample(there, min(POOL, len(there)))]

        week = max((one.serial for one in known if now - one.published_at > WEEK), default=0)
        ready = due(known, law, now)
        recent: list[ListedName] = []
        for after in recent_serials(ready):
            recent = [name for name in sample(after) if name.added_serial <= ready[0].serial]
            if len(recent) >= RECENT_WANTED:
                break
        return Pool(known[-1].serial, tuple(sample(0)), tuple(recent), aged(sample(week), known, law, now))

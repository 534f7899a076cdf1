"""Follows one operator day by day through everything that a verdict is made of.

Holds always: a day is counted when the law says that it is closed, and judged right then by `verdict.judge`, with all
that had come in by that moment; what is late is counted again; nothing is accused here that the service would not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from compliance_api.domain.challenges.copied import copied
from compliance_api.domain.law.law import Law
from compliance_api.domain.law.timeline import Span, Timeline
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.observations.met import Met
from compliance_api.domain.observations.observation import Sighting
from compliance_api.domain.reports.record import NodeRecord, ReportRecord
from compliance_api.domain.statistics.eprocess import FAMILIES
from compliance_api.domain.verdicts.case import Case, CopyRecord
from compliance_api.domain.verdicts.course import CountedDay, follow
from compliance_api.domain.verdicts.tally import DayEvidence, count, judged
from compliance_api.domain.verdicts.verdict import Outcome, Verdict, judge
from tests.simulate.composed.challenging import Challenges
from tests.simulate.composed.conduct import HONEST, HOUR, Conduct
from tests.simulate.composed.life import LATE_LINES, Life
from tests.simulate.composed.meeting import meetings
from tests.simulate.composed.probing import NODE, Probes
from tests.simulate.composed.published import Published
from tests.simulate.composed.reporting import Reporter
from tests.simulate.counters import PAIRS
from tests.simulate.world import World

# Legal days begin at midnight in Viet Nam.
NEW_YEAR = LegalDay.of(datetime(2026, 12, 31, 18, tzinfo=UTC))
# Hours after a day's end at which it is judged: once it is closed.
JUDGED_AFTER = 6
LONG_AGO = NEW_YEAR.start - timedelta(days=400)
# After which a line that was away hands in what it saw, in days.
LATE = 2
_TEXT = {"vi": "Điều 1", "en": "Article 1"}


def laws(first: LegalDay, days: int) -> list[Law]:
    """The defaults; from the middle on under another text with a shorter deadline."""
    change = first.after(days // 2).start + timedelta(hours=3)
    plain: dict[str, Any] = {
        "authority": _TEXT,
        "default_citation": _TEXT,
        "challenges": {"pairs_a_day": PAIRS},
    }
    before = Law(id="first", effective_from=datetime(2020, 1, 1, tzinfo=UTC), effective_until=change, **plain)
    after = Law.model_validate(
        {
            "id": "second",
            "effective_from": change,
            "list": {"block_deadline": "22h", "maximum_age": "22h"},
            **plain,
        }
    )
    return [before, after]


@dataclass
class Followed:
    """What came of one operator."""

    verdicts: list[Verdict] = field(default_factory=list)
    counted: list[CountedDay] = field(default_factory=list)

    @property
    def found(self) -> float | None:
        """When it was found not compliant first, in days from the beginning; None where it was not."""
        day = next((day for day, one in enumerate(self.verdicts) if one.outcome is Outcome.NOT_COMPLIANT), None)
        return None if day is None else day + 1 + JUDGED_AFTER / 24


@dataclass
class Operator:
    """One operator, one node, and who looks at them."""

    world: World
    conduct: Conduct
    seed: int
    days: int
    unrecognised: int | None = None
    # How long before a legal year ends the simulation begins; with a year where none.
    before_new_year: int = 0

    def __post_init__(self) -> None:
        """Draws its life."""
        self.first = NEW_YEAR.after(-self.before_new_year)
        rng = random.Random(self.seed)
        self.rng = rng
        self.laws = laws(self.first, self.days)
        start = self.first.start
        published = Published(start, self.days + 2)
        life = Life.draw(rng, self.world, self.days + 1)
        self.probes = Probes(start, published, self.world, life, self.conduct, rng, self.laws[0], self.unrecognised)
        self.reporter = Reporter(self.probes, np.random.default_rng(self.seed))
        self.reports: list[ReportRecord] = []
        self.sightings: list[Sighting] = []
        self.late: list[tuple[int, list[Sighting]]] = []
        self.hours = 0
        self.timeline = Timeline(tuple(Span(one.effective_from, one.effective_until, one) for one in self.laws))
        self.challenges = Challenges(start, published, self.world, life, rng)
        self.copies: list[CopyRecord] = []
        self.met: dict[LegalDay, list[Met]] = {}
        # Counters of the days before are challenged as well, and honest.
        for number in range(-self.laws[0].challenges.days, 0):
            self.challenges.day(number, self.laws[0], HONEST)

    def law(self, moment: datetime) -> Law:
        """In force then."""
        return next(one for one in self.laws if one.holds("x", moment))

    def run(self, *, until_found: bool = True) -> Followed:
        """Follows the operator until it is found, or to the end."""
        followed = Followed()
        for number in range(self.days):
            self._live(24 * (number + 1) + JUDGED_AFTER)
            day = self.first.after(number)
            self.challenges.day(number, self.law(day.start), self.conduct)
            self._copies(number, self.law(day.start))
            self._count(day, 1, followed)
            self._recount(number, followed)
            followed.verdicts.append(judge(self._case(day.end + timedelta(hours=JUDGED_AFTER), followed)))
            if until_found and followed.found is not None:
                break
            self._forget(number)
        return followed

    def _live(self, until: int) -> None:
        """Everything up to an hour of the simulation."""
        for hour in range(self.hours, until):
            day = int(hour * HOUR // 86400)
            self.probes.law = self.law(self.probes.start + timedelta(hours=hour))
            seen = self.probes.hour(hour)
            if self.rng.random() < LATE_LINES:
                away = f"line-{self.rng.randrange(self.world.lines)}"
                self.late.append((day, [one for one in seen if one.vantage_point == away]))
                seen = [one for one in seen if one.vantage_point != away]
            self.sightings += seen
            self.reports += self.reporter.hour(hour)
        self.hours = until

    def _count(self, day: LegalDay, version: int, followed: Followed) -> None:
        law = self.law(day.start)
        until = day.end + timedelta(seconds=law.day.closes_after)
        seen = [one for one in self.sightings if day.start <= one.asked_at < until]
        probes = self.probes
        if day not in self.met:
            self.met[day] = meetings(self.rng, self.world, probes.life, self.conduct, probes.lines, day.start)
        made = count(DayEvidence(day, seen, self.met[day]), probes.published.records(until), law, self.timeline)
        followed.counted.append(judged(day, version, until, law, made))

    def _recount(self, number: int, followed: Followed) -> None:
        """What was handed in late has its days counted again."""
        due = [one for one in self.late if one[0] + LATE <= number]
        self.late = [one for one in self.late if one[0] + LATE > number]
        for day in sorted({day for day, _ in due}):
            self.sightings += [sighting for at, seen in due if at == day for sighting in seen]
            self._count(self.first.after(day), 2, followed)

    def _case(self, now: datetime, followed: Followed) -> Case:
        law = self.law(now)
        start = now - timedelta(seconds=law.period)
        return Case(
            "a",
            "x",
            law,
            now,
            [NodeRecord(NODE, LONG_AGO, LONG_AGO, heard=self._heard(start))],
            [one for one in self.reports if start <= one.window_start < now],
            [],
            [one for one in self.sightings if start <= one.asked_at < now],
            self.probes.published.records(now),
            follow(followed.counted),
            self.challenges.say(now, law),
            self.copies,
            waited_until=now,
            laws=self.timeline,
        )

    def _heard(self, start: datetime) -> tuple[tuple[datetime, datetime], ...]:
        """The windows reported before the period, as far as they are kept."""
        return tuple((one.window_start, one.window_end) for one in self.reports if one.window_start < start)

    def _copies(self, number: int, law: Law) -> None:
        """Counters of the day that are another node's, if there are any whose copy is told from what was copied."""
        today, before = self.reporter.neighbours(number), self.reporter.neighbours(number - 1)
        found = copied(today, before, self.first.after(number).start, law.burden.copy_rule())
        self.copies = [
            CopyRecord(one.other_node, f"{one.operator}/{one.node}", one.start, one.windows)
            for one in found
            if one.other_node == NODE and one.lag > 0
        ]

    def _forget(self, number: int) -> None:
        """What no later day or verdict looks at."""
        oldest = self.first.after(number - LATE).start
        self.sightings = [one for one in self.sightings if one.asked_at >= oldest]
        self.reports = [one for one in self.reports if one.window_start >= oldest]


def bad_days(followed: Followed) -> dict[str, tuple[int, int]]:
    """Bad days and known ones, by family."""
    found = {}
    for family in FAMILIES:
        known = [one.bad[family] for one in followed.counted if one.version == 1 and one.bad[family] is not None]
        found[str(family)] = sum(map(bool, known)), len(known)
    return found

"""Reaches the verdicts, again and again.

Holds always: a verdict rests on what is stored and on the law in force at the time that each piece of it is about, on
nothing that lives in this process; days are counted before they are judged; a node that has left is judged for the time
in which it was there; a verdict is stored with its findings in one transaction; one operator that cannot be judged does
not keep the others from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from compliance_api.domain.findings.procedure import Procedure
from compliance_api.domain.law.law import Law, LawError
from compliance_api.domain.law.law_history import LawHistory
from compliance_api.domain.legal_day import CALENDAR, LegalDay
from compliance_api.domain.parties.organisation import Registry
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import Course
from compliance_api.domain.verdicts.verdict import Verdict, judge
from compliance_api.usecases.judging.count import DayCounter, Place
from compliance_api.usecases.judging.periods import PeriodJudge
from lachan import log

REMEMBERED = timedelta(days=3)
"""Whoever begins to judge looks so far back for what challenges said: what came before was heard by whoever did it."""
MOMENT = timedelta(microseconds=1)

_log = log.get()


class CaseStore(Protocol):
    """Reads cases and keeps verdicts."""

    async def case(
        self, operator: str, jurisdiction: str, nodes: Sequence[str], law: Law, now: datetime, course: Course
    ) -> Case:
        """Everything stored about these nodes of an operator in the law's period up to now."""

    async def save(self, verdict: Verdict, procedure: Procedure) -> None:
        """Stores a verdict, opens and closes its findings, unless a later one is stored already."""


class OutcomeReader(Protocol):
    """Tells what challenges say of late."""

    async def since(self, operator: str, jurisdiction: str, since: datetime) -> list[tuple[datetime, datetime]]:
        """The ends of the days that were summed up later than a moment, and when that was, the oldest first."""


class LawStore(Protocol):
    """Knows the law."""

    async def history(self) -> LawHistory:
        """Every version there is."""


class Judge:
    """The task of judging."""

    def __init__(
        self,
        registry: Registry,
        laws: LawStore,
        store: CaseStore,
        counter: DayCounter,
        periods: PeriodJudge,
        outcomes: OutcomeReader,
    ) -> None:
        self._registry = registry
        self._laws = laws
        self._store = store
        self._counter = counter
        self._periods = periods
        self._outcomes = outcomes
        # When the newest sum of challenges was made that each operator's days were judged by.
        self._summed: dict[Place, datetime] = {}

    async def evaluate(self, now: datetime) -> list[Verdict]:
        """Judges every operator in each of its jurisdictions."""
        laws = await self._laws.history()
        verdicts = []
        for place in places(self._registry):
            try:
                _, law = laws.in_force(place.jurisdiction, now, now)
            except LawError as error:
                _log.warning("no verdict", operator=place.operator, reason=str(error))
                continue
            counted = await self._counter.count(place, laws, now)
            await self._periods.close(place, laws, counted, now)
            await self._hear(place, laws, law, now)
            course = await self._counter.course(place, laws, law, now)
            case = await self._store.case(place.operator, place.jurisdiction, place.nodes, law, now, course)
            case = replace(case, laws=laws.timeline(place.jurisdiction))
            # A long period is some work; receiving reports must not wait for it.
            verdict = await asyncio.to_thread(judge, case)
            await self._store.save(verdict, law.procedure)
            verdicts.append(verdict)
        return verdicts

    async def _hear(self, place: Place, laws: LawHistory, law: Law, now: datetime) -> None:
        """Judges days anew of which challenges say something else by now: openings come days after what they are of."""
        since = self._summed.get(place, now - REMEMBERED)
        told = await self._outcomes.since(place.operator, place.jurisdiction, since)
        if not told:
            return
        # Days that are shorter are for showing and testing; challenges need whole ones.
        ends = {end for end, _ in told} if law.day.length == CALENDAR else set()
        last = {LegalDay.of(end - MOMENT) for end in ends}
        closed = [
            day
            for day in sorted({*last, *(day.after(-1) for day in last)})
            if day.end + timedelta(seconds=law.day.closes_after) <= now
        ]
        try:
            await self._periods.judge(place, laws, closed, now)
        except LawError as error:
            _log.warning("no verdict on some days", operator=place.operator, reason=str(error))
        self._summed[place] = max(made for _, made in told)


def places(registry: Registry) -> list[Place]:
    """Whom verdicts are reached on, and where."""
    return [
        Place(
            operator.identifier,
            jurisdiction,
            tuple(node.name for node in operator.judged if jurisdiction in node.jurisdictions),
        )
        for operator in registry.operators()
        for jurisdiction in sorted(operator.jurisdictions)
    ]

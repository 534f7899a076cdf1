"""Reaches the verdicts, again and again.

Holds always: a verdict rests on what is stored and on the law in force at the time that each piece of it is about, on
nothing that lives in this process; days are counted before they are judged; a node that has left is judged for the time
in which it was there; a verdict is stored with its findings in one transaction; one operator that cannot be judged does
not keep the others from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from compliance_api.domain.findings.procedure import Procedure
from compliance_api.domain.law.law import Law, LawError
from compliance_api.domain.law.law_history import LawHistory
from compliance_api.domain.parties.organisation import Registry
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import Course
from compliance_api.domain.verdicts.verdict import Verdict, judge
from compliance_api.usecases.judging.count import DayCounter, Place
from compliance_api.usecases.judging.hearing import Hearing
from compliance_api.usecases.judging.periods import PeriodJudge
from lachan import log

_log = log.get()


class CaseStore(Protocol):
    """Reads cases and keeps verdicts."""

    async def case(
        self, operator: str, jurisdiction: str, nodes: Sequence[str], law: Law, now: datetime, course: Course
    ) -> Case:
        """Everything stored about these nodes of an operator in the law's period up to now."""

    async def save(self, verdict: Verdict, procedure: Procedure) -> None:
        """Stores a verdict, opens and closes its findings, unless a later one is stored already."""


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
        hearing: Hearing,
    ) -> None:
        self._registry = registry
        self._laws = laws
        self._store = store
        self._counter = counter
        self._periods = periods
        self._hearing = hearing
        # Of whom the last evaluation reached no verdict, and why.
        self.unjudged: Mapping[Place, Exception] = {}

    async def evaluate(self, now: datetime) -> list[Verdict]:
        """Judges every operator in each of its jurisdictions."""
        laws = await self._laws.history()
        await self._hearing.begin(now)
        verdicts: list[Verdict] = []
        unjudged: dict[Place, Exception] = {}
        for place in places(self._registry):
            try:
                verdicts.append(await self._evaluate(place, laws, now))
            except LawError as error:
                unjudged[place] = error
                _log.warning("no verdict", operator=place.operator, jurisdiction=place.jurisdiction, reason=str(error))
            except Exception as error:  # noqa: BLE001 - told with its trace; what is wrong with one is not the others'
                unjudged[place] = error
                _log.exception("no verdict", operator=place.operator, jurisdiction=place.jurisdiction)
        self.unjudged = unjudged
        failed = [error for error in unjudged.values() if not isinstance(error, LawError)]
        if failed and not verdicts:
            # Nobody could be judged: what is wrong is the database, say.
            raise failed[0]
        if not failed:
            await self._hearing.end()
        return verdicts

    async def _evaluate(self, place: Place, laws: LawHistory, now: datetime) -> Verdict:
        _, law = laws.in_force(place.jurisdiction, now, now)
        counted = await self._counter.count(place, laws, now)
        await self._periods.close(place, laws, counted, now)
        await self._hear(place, laws, law, now)
        course = await self._counter.course(place, laws, law, now)
        case = await self._store.case(place.operator, place.jurisdiction, place.nodes, law, now, course)
        case = replace(case, laws=laws.timeline(place.jurisdiction))
        # A long period is some work; receiving reports must not wait for it.
        verdict = await asyncio.to_thread(judge, case)
        await self._store.save(verdict, law.procedure)
        return verdict

    async def _hear(self, place: Place, laws: LawHistory, law: Law, now: datetime) -> None:
        """Judges days anew of which something else is known by now."""
        told = await self._hearing.challenged(place, now)
        days = self._hearing.days(place, law, told, now)
        if days:
            try:
                await self._periods.judge(place, laws, days, now)
            except LawError as error:
                _log.warning("no verdict on some days", operator=place.operator, reason=str(error))
        self._hearing.summed(place, told)


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

"""The judge with everything it stands on, put together for whoever runs it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.law.law import LawBook, LawError
from compliance_api.domain.legal_day import PeriodError, period
from compliance_api.domain.parties.organisation import Registry
from compliance_api.domain.verdicts.period_verdict import PeriodVerdict
from compliance_api.domain.verdicts.verdict import Verdict
from compliance_api.errors import ComplianceError
from compliance_api.storage.challenges.outcomes import Outcomes
from compliance_api.storage.findings.cases import Cases
from compliance_api.storage.judging.closures import Closures
from compliance_api.storage.judging.late import Late
from compliance_api.storage.judging.laws import Laws
from compliance_api.storage.judging.periods import Periods
from compliance_api.storage.judging.tallies import Tallies
from compliance_api.storage.membership.members import Members
from compliance_api.storage.membership.node_versions import nodes_at
from compliance_api.usecases.judging.count import DayCounter, Place
from compliance_api.usecases.judging.hearing import Hearing
from compliance_api.usecases.judging.judge import Judge, places
from compliance_api.usecases.judging.periods import PeriodJudge
from lachan import log

CLOSED_SECONDS = 60.0
CLOSED_INTERVALS = 3
"""Whoever misses so many evaluations, and is not only slow for so many seconds, was not there."""

_log = log.get()


class Judging:
    """Learns the law once, then judges."""

    def __init__(self, engine: AsyncEngine, registry: Registry, book: LawBook, interval: float = 60.0) -> None:
        """Judges everybody in a registry.

        Args:
            engine: The database.
            registry: Everybody, as last read.
            book: The law.
            interval: Between two evaluations, in seconds.
        """
        self._laws = Laws(engine)
        self._closures = Closures(engine)
        self._least = timedelta(seconds=max(CLOSED_SECONDS, CLOSED_INTERVALS * interval))
        self._book = book
        counter, cases = DayCounter(Tallies(engine)), Cases(engine)
        self._judge = Judge(
            registry,
            self._laws,
            cases,
            counter,
            PeriodJudge(counter, cases, Periods(engine)),
            Hearing(Outcomes(engine), Late(engine)),
        )

    async def prepare(self, now: datetime) -> None:
        """Enters into the ledger what of the law is new, changed or gone."""
        for one in await self._laws.learn(self._book, now):
            _log.info("law known", law=one.name, version=one.version, backdated=one.backdated, gone=one.law is None)

    async def evaluate(self, now: datetime) -> list[Verdict]:
        """Judges every operator in each of its jurisdictions."""
        closure = await self._closures.note(now, self._least)
        if closure is not None:
            _log.warning("nobody was heard for a while", since=closure.began.isoformat(), until=now.isoformat())
        return await self._judge.evaluate(now)

    @property
    def unjudged(self) -> int:
        """Operators and jurisdictions of whom the last evaluation reached no verdict."""
        return len(self._judge.unjudged)


async def place_of(engine: AsyncEngine, operator: str, jurisdiction: str, known_at: datetime | None = None) -> Place:
    """An operator in a jurisdiction, as the database knows it: with who was enrolled by a token, and who has left.

    Args:
        engine: The database.
        operator: Its identifier.
        jurisdiction: Where.
        known_at: With the nodes that were known to be there by then; None for those known now.

    Raises:
        ComplianceError: There is no such operator there.
    """
    if known_at is not None:
        async with engine.connect() as connection:
            nodes = await nodes_at(connection, operator, jurisdiction, known_at)
        if nodes:
            return Place(operator, jurisdiction, nodes)
    registry = (await Members(engine).load()).registry
    for place in places(registry):
        if (place.operator, place.jurisdiction) == (operator, jurisdiction):
            return place if known_at is None else replace(place, nodes=())
    raise ComplianceError(f"there is no operator {operator} in {jurisdiction}")


async def recompute(
    engine: AsyncEngine, place: Place, period_name: str, known_at: datetime | None, now: datetime | None = None
) -> PeriodVerdict:
    """The verdict on a period from what is stored, its days counted anew.

    Raises:
        ComplianceError: It cannot be reached, or a day is not what its count says.
    """
    laws = await Laws(engine).history()
    counter, cases = DayCounter(Tallies(engine)), Cases(engine)
    judge = PeriodJudge(counter, cases, Periods(engine))
    lengths = {int(one.law.day.length) for one in laws.versions if one.law is not None}
    problem: Exception = ComplianceError("no law is known: the service was never started")
    for seconds in sorted(lengths, reverse=True):
        try:
            wanted = period(period_name, seconds)
            reached = await judge.reach(place, laws, wanted, known_at, now)
        except (PeriodError, LawError) as error:
            problem = error
            continue
        known = laws.until(known_at)
        *_, (_, _, law) = known.timeline(place.jurisdiction).within(wanted.start, wanted.end)
        await judge.check(place, known, wanted, await counter.course(place, known, law, wanted.end, known_at))
        return reached
    raise ComplianceError(str(problem)) from problem

"""Sums up what challenges say, for the days up to now and again for days whose openings came since.

Holds always: the same stored challenges, openings, reports and observations give the same sums; days are looked at
until every hour of theirs can have been answered; each sum is by the law in force at the end of its days, over as many
of them as it, or one that says the same of counters, was in force and known on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from compliance_api.domain.challenges.openness import Hour, shut
from compliance_api.domain.challenges.outcome import ChallengeOutcome, Opened, outcome
from compliance_api.domain.law.law import Law
from compliance_api.domain.law.law_history import LawHistory
from compliance_api.domain.law.timeline import Timeline
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.parties.organisation import Organisation, Registry
from compliance_api.domain.statistics.day import faulty_lines

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)


class OpenedStore(Protocol):
    """Tells what became of challenges."""

    async def expire(self, now: datetime) -> int:
        """Notes those whose deadline is over as unanswered; how many."""

    async def results(
        self, operator: str, start: datetime, end: datetime, explained: Callable[[int], int]
    ) -> list[Opened]:
        """What became of the challenges whose hours lie between; answered queries are counted anew.

        Args:
            operator: Whose.
            start: The first hour's beginning.
            end: The last one's end.
            explained: How many of so many lines interception explains.
        """

    async def hours(self, operator: str, nodes: Sequence[str], start: datetime, end: datetime) -> list[Hour]:
        """How the challenged hours of some nodes ended, but those in which the node was none, or could not answer."""

    async def note(self, operator: str, busy: Mapping[bytes, Sequence[str]]) -> None:
        """Stores which entries challenges found to be asked often."""


class OutcomeStore(Protocol):
    """Keeps what they say together."""

    async def save(self, found: ChallengeOutcome, now: datetime) -> bool:
        """Stores an outcome, unless it says nothing new; whether it did."""


class LawStore(Protocol):
    """Knows the law."""

    async def history(self) -> LawHistory:
        """Every version there is."""


def _same(one: Law, other: Law) -> bool:
    """Whether two texts judge counters alike."""
    return (one.challenges, one.burden, one.counters) == (other.challenges, other.burden, other.counters)


def _rules(laws: Timeline, end: datetime) -> tuple[Law, datetime] | None:
    """The law right before a moment, and since when it was known in force, or others that judge counters alike."""
    before = [one for one in laws.spans if one.since < end]
    if not before or not before[-1].holds(end - MOMENT):
        return None
    since = before[-1].since
    for one in reversed(before[:-1]):
        if one.until != since or not _same(one.law, before[-1].law):
            break
        since = one.since
    return before[-1].law, since


def _place(operator: Organisation) -> str | None:
    """The jurisdiction whose law an operator's counters are judged by; None where it has no nodes."""
    return next((min(node.jurisdictions) for node in operator.judged if node.jurisdictions), None)


class Summary:
    """The task of summing up."""

    def __init__(self, registry: Registry, laws: LawStore, opened: OpenedStore, outcomes: OutcomeStore) -> None:
        self._registry = registry
        self._laws = laws
        self._opened = opened
        self._outcomes = outcomes

    async def evaluate(self, now: datetime) -> list[ChallengeOutcome]:
        """Notes what was not answered, and sums up for every operator that was challenged; what the last days say."""
        await self._opened.expire(now)
        history = await self._laws.history()
        newest = []
        for operator in self._registry.operators():
            place = _place(operator)
            found = await self._operator(operator, history.timeline(place), now) if place is not None else []
            if found:
                newest.append(found[-1])
        return newest

    async def _operator(self, operator: Organisation, laws: Timeline, now: datetime) -> list[ChallengeOutcome]:
        """An operator's outcomes, by the ends of their days."""
        law = laws.at(now)
        if law is None:
            return []
        today = LegalDay.of(now)
        duty = law.challenges
        # The last hour of a day is asked for after it, and may be answered until then.
        back = -(-int(duty.opened_after + duty.answered_within) // int(DAY.total_seconds())) + 1
        first = today.after(-back).end - max(duty.closed_days, duty.days) * DAY
        nodes = [node.name for node in operator.nodes]
        start = today.after(-back).end - duty.days * DAY
        explained = partial(faulty_lines, rules=law.day_rules())
        results = await self._opened.results(operator.identifier, start, today.end, explained)
        hours = await self._opened.hours(operator.identifier, nodes, first, today.end)
        if not results and not hours:
            return []
        await self._opened.note(
            operator.identifier, {one.challenge.challenge_id: one.busy(duty.seldom) for one in results}
        )
        found = []
        for day in range(-back, 1):
            made = _sum(operator.identifier, laws, today.after(day).end, results, hours)
            if made is not None:
                await self._outcomes.save(made, now)
                found.append(made)
        return found


def _sum(
    operator: str, laws: Timeline, end: datetime, results: Sequence[Opened], hours: Sequence[Hour]
) -> ChallengeOutcome | None:
    """What the challenges of the days up to a moment say; None where there were none, or no law."""
    found = _rules(laws, end)
    if found is None:
        return None
    law, since = found
    duty, burden = law.challenges, law.burden
    start, remembered = max(end - duty.days * DAY, since), max(end - duty.closed_days * DAY, since)
    looked_at = [one for one in results if start <= one.challenge.hour < end]
    of_days = [one for one in hours if remembered <= one.start < end]
    closed = shut(of_days, duty.closed_tolerated, law.closed_rule())
    if not looked_at and not closed:
        return None
    least = law.counters.mismatched_windows
    return outcome(operator, start, end, looked_at, burden.slope_rule(), least, closed)

"""Sums up what challenges say, for the days up to now and again for days whose openings came since.

Holds always: the same stored challenges, openings, reports and observations give the same sums; a sum is of the nodes
of one place, as a verdict is; days are looked at until every hour of theirs can have been answered; each sum is by the
law in force there at the end of its days, over as many of them as it, or one that says the same of counters, was in
force and known on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class _Told:
    """What became of an operator's challenges, wherever its nodes are."""

    results: Sequence[Opened]
    hours: Sequence[Hour]


@dataclass(frozen=True)
class _Place:
    """An operator's nodes in a jurisdiction: a node of several is in each of them."""

    operator: str
    jurisdiction: str
    nodes: frozenset[str]


def _places(operator: Organisation) -> list[_Place]:
    nodes: dict[str, set[str]] = {}
    for node in operator.judged:
        for jurisdiction in node.jurisdictions:
            nodes.setdefault(jurisdiction, set()).add(node.name)
    return [_Place(operator.identifier, place, frozenset(names)) for place, names in sorted(nodes.items())]


class Summary:
    """The task of summing up."""

    def __init__(self, registry: Registry, laws: LawStore, opened: OpenedStore, outcomes: OutcomeStore) -> None:
        self._registry = registry
        self._laws = laws
        self._opened = opened
        self._outcomes = outcomes

    async def evaluate(self, now: datetime) -> list[ChallengeOutcome]:
        """Notes what was not answered, and sums up for every operator that was challenged; what the last days say.

        There is one for each place in which one of its nodes was.
        """
        await self._opened.expire(now)
        history = await self._laws.history()
        newest = []
        for operator in self._registry.operators():
            # What is read depends on the law alone, and places mostly share one.
            read: dict[str, _Told] = {}
            for place in _places(operator):
                laws = history.timeline(place.jurisdiction)
                law = laws.at(now)
                if law is None:
                    continue
                if law.id not in read:
                    read[law.id] = await self._read(operator, law, now)
                found = await self._sum_up(place, laws, _days(law), read[law.id], now)
                newest += found[-1:]
        return newest

    async def _read(self, operator: Organisation, law: Law, now: datetime) -> _Told:
        """What became of the challenges of the days that a law looks at."""
        today = LegalDay.of(now)
        duty = law.challenges
        until = today.after(-_days(law)).end
        first = until - max(duty.closed_days, duty.days) * DAY
        nodes = [node.name for node in operator.nodes]
        explained = partial(faulty_lines, rules=law.day_rules())
        results = await self._opened.results(operator.identifier, until - duty.days * DAY, today.end, explained)
        hours = await self._opened.hours(operator.identifier, nodes, first, today.end)
        await self._opened.note(
            operator.identifier, {one.challenge.challenge_id: one.busy(duty.seldom) for one in results}
        )
        return _Told(results, hours)

    async def _sum_up(
        self, place: _Place, laws: Timeline, back: int, told: _Told, now: datetime
    ) -> list[ChallengeOutcome]:
        """A place's outcomes, by the ends of their days."""
        found = []
        for day in range(-back, 1):
            made = _sum(place, laws, LegalDay.of(now).after(day).end, told)
            if made is not None:
                await self._outcomes.save(made, now)
                found.append(made)
        return found


def _days(law: Law) -> int:
    """How many days back the last hour of one may still be opened: it is asked for after it, and answered later."""
    duty = law.challenges
    return -(-int(duty.opened_after + duty.answered_within) // int(DAY.total_seconds())) + 1


def _sum(place: _Place, laws: Timeline, end: datetime, told: _Told) -> ChallengeOutcome | None:
    """What the challenges of a place and the days up to a moment say; None where there were none, or no law."""
    found = _rules(laws, end)
    if found is None:
        return None
    law, since = found
    duty, burden = law.challenges, law.burden
    start, remembered = max(end - duty.days * DAY, since), max(end - duty.closed_days * DAY, since)
    looked_at = [one for one in told.results if one.challenge.node in place.nodes and start <= one.challenge.hour < end]
    of_days = [one for one in told.hours if remembered <= one.start < end]
    # Each node pays for all of its operator's, wherever they are: so the bound is the operator's, not the place's.
    closed = shut(of_days, duty.closed_tolerated, law.closed_rule())
    closed = tuple(one for one in closed if one.node in place.nodes)
    if not looked_at and not any(one.node in place.nodes for one in of_days):
        return None
    least = law.counters.mismatched_windows
    return outcome(
        place.operator, start, end, looked_at, burden.slope_rule(), least, closed, jurisdiction=place.jurisdiction
    )

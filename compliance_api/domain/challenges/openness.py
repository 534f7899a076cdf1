"""Whether nodes open what they are asked to, day by day.

Holds always: an honest node keeps an hour closed only where it was off, or out of touch, for so long that it could not
have opened it, and that takes whole days: so days are counted, not hours, by the law's e-process over days. Under any
honest course, each day closed with at most the law's `honest` chance given the days before, the chance that an operator
is ever accused in a year is at most (1 + days/horizon)/`accusation`, where `days` is how long days are remembered: the
sum over beginnings within them is no more than that over the year with the days before it (see
`statistics.eprocess`; Ville's inequality). Of several nodes each must reach the threshold so many times over: their
average is an e-process as well. Days are counted in their order, up to the first with an hour that may still be opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from compliance_api.domain.challenges.challenge import State
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.statistics.eprocess import UNIT, step
from compliance_api.domain.statistics.parameters import ProcessRule

_CLOSED = frozenset({State.REFUSED, State.UNCOMMITTED, State.UNANSWERED})


@dataclass(frozen=True)
class Hour:
    """A challenged hour of a node, and how it ended."""

    challenge_id: bytes
    node: str
    start: datetime
    state: State
    # Of so many rules that were asked, so many were not on the list that the node committed to.
    rules: int = 0
    absent: int = 0

    def closed(self, tolerated: float) -> bool:
        """Whether it stayed closed: nothing was opened, or nothing of what was asked stood there."""
        return self.state in _CLOSED or (self.state is State.OPENED and self.absent > tolerated * self.rules)


@dataclass(frozen=True)
class Shut:
    """A node that stays closed on more days than outages explain."""

    node: str
    # Challenged hours that ended, of the days that are remembered.
    hours: int
    # The closed ones that weigh on it now, oldest first, and on how many days they lie.
    closed: tuple[Hour, ...]
    days: int


def _run(days: Mapping[int, Sequence[Hour]], tolerated: float, rule: ProcessRule) -> tuple[int, list[int]]:
    """The e-value after the last day that is known, in units, and the bad days since it was last below 1."""
    value, run = 0, list[int]()
    for number in range(min(days), max(days) + 1):
        hours = days.get(number, ())
        if any(one.state is State.DRAWN for one in hours):
            break
        bad = sum(one.closed(tolerated) for one in hours) > tolerated * len(hours) if hours else None
        value = step(value, bad, rule)
        if bad:
            run.append(number)
        elif value < UNIT:
            run.clear()
    return value, run


def shut(hours: Iterable[Hour], tolerated: float, rule: ProcessRule) -> tuple[Shut, ...]:
    """The nodes of an operator that are accused of not opening what they are asked to.

    Args:
        hours: The challenged ones of the days that are remembered.
        tolerated: Part of a day's that may stay closed.
        rule: The e-process over days.
    """
    nodes: dict[str, dict[int, list[Hour]]] = {}
    for one in hours:
        nodes.setdefault(one.node, {}).setdefault(LegalDay.of(one.start).number, []).append(one)
    found = []
    for node, days in sorted(nodes.items()):
        value, run = _run(days, tolerated, rule)
        if value < rule.accusation * UNIT * len(nodes):
            continue
        closed = sorted(
            (one for number in run for one in days[number] if one.closed(tolerated)), key=lambda one: one.start
        )
        ended = sum(one.state is not State.DRAWN for of_day in days.values() for one in of_day)
        found.append(Shut(node, ended, tuple(closed), len(run)))
    return tuple(found)

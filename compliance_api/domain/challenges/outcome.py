"""What the challenges of some days say together.

Holds always: what was answered is counted from signed observations of sessions that did not end elsewhere, what was
reported is what the node committed to before it was asked; the slope is decided once every challenged hour has ended,
so that it is looked at once, not with each opening; an opening that its own commitment refutes accuses by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from compliance_api.domain.challenges.challenge import Challenge, State
from compliance_api.domain.challenges.openness import Hour, Shut
from compliance_api.domain.statistics.parameters import SlopeRule
from compliance_api.domain.statistics.slope import Moments, Slope, moments, slope


@dataclass(frozen=True)
class Opened:
    """What became of a challenge, as far as it counts."""

    challenge: Challenge
    state: State
    # By qname: what the node committed to; None where its committed list lacks the rule.
    reported: Mapping[str, int | None] = field(default_factory=dict)
    # Hits of that hour that the node could not tell apart by name.
    beyond: int = 0
    # By qname: exchanges that probes saw answered within the hour, by sessions that did not end elsewhere.
    answered: Mapping[str, int] = field(default_factory=dict)
    # Hits on listed names that the node reported for the hour, all together; None where that is not known.
    total: int | None = None

    def pairs(self) -> list[tuple[int, int]]:
        """Answered and reported queries of each rule that was opened."""
        found = []
        for rule in self.challenge.rules:
            reported = self.reported.get(rule.qname)
            # A count of none beside hits that had no place says nothing.
            if reported is None or (not reported and self.beyond):
                continue
            found.append((self.answered.get(rule.qname, 0), reported))
        return found

    @property
    def absent(self) -> int:
        """Rules that the committed list lacks, though the release has them."""
        return sum(one is None for one in self.reported.values())

    @property
    def counted(self) -> int:
        """Hits that the opened rules had, and those that had no place: all of them are in the hour's total as well."""
        return sum(one or 0 for one in self.reported.values()) + self.beyond

    @property
    def above(self) -> bool:
        """Whether that is more than the node's own reports have for all rules together."""
        return self.state is State.OPENED and self.total is not None and self.counted > self.total

    @property
    def hour(self) -> Hour:
        """As far as openness goes."""
        one = self.challenge
        return Hour(one.challenge_id, one.node, one.hour, self.state, len(one.rules), self.absent)

    def busy(self, seldom: int) -> list[str]:
        """Entries that others asked more often than challenges can bear."""
        return [
            name for name, reported in self.reported.items() if (reported or 0) - self.answered.get(name, 0) > seldom
        ]


@dataclass(frozen=True)
class Above:
    """Hours whose opened counts are more than the reports of the same node and hour have for all rules together."""

    hours: tuple[Opened, ...] = ()

    @property
    def counted(self) -> int:
        """What was opened of them."""
        return sum(one.counted for one in self.hours)

    @property
    def total(self) -> int:
        """What was reported for them."""
        return sum(one.total or 0 for one in self.hours)


@dataclass(frozen=True)
class ChallengeOutcome:
    """What the challenges of an operator's nodes in a place say together, over the days that the law looks at."""

    operator: str
    start: datetime
    end: datetime
    # Challenged hours by how they ended; those that may still be opened are in none.
    states: Mapping[State, int]
    # Whether there are none of these.
    complete: bool
    # Rules that a committed list lacks though its release has them.
    absent: int
    sums: Moments
    slope: Slope | None
    # Whether the slope refutes the counters.
    refuted: bool
    # The slope less and plus the law's number of standard errors, in millionths, rounded outward.
    bounds: tuple[int, int] | None = None
    opened: tuple[Hour, ...] = ()
    untrue: tuple[Hour, ...] = ()
    # Empty where they are fewer than the law accuses.
    above: Above = Above()
    shut: tuple[Shut, ...] = ()
    # Where the nodes are of which it is said; empty for all of the operator's.
    jurisdiction: str = ""

    @property
    def accuses(self) -> bool:
        """Whether counters are refuted by any of it."""
        return self.refuted or bool(self.untrue or self.above.hours or self.shut)

    @property
    def closed(self) -> int:
        """Hours that a node was asked for and did not open truly."""
        return sum(count for state, count in self.states.items() if state not in {State.OPENED, State.DRAWN})


def outcome(
    operator: str,
    start: datetime,
    end: datetime,
    results: Sequence[Opened],
    rule: SlopeRule,
    least_above: int = 1,
    shut: Iterable[Shut] = (),
    jurisdiction: str = "",
) -> ChallengeOutcome:
    """Sums up what became of an operator's challenges whose hours lie between two moments.

    Args:
        operator: Whose.
        start: Of the days that are looked at.
        end: Likewise.
        results: The challenges of these days.
        rule: When a slope accuses.
        least_above: Hours with more opened than was reported below which nothing is said: of the law's windows.
        shut: Nodes that stay closed.
        jurisdiction: Whose nodes these are the challenges of.
    """
    counted = dict.fromkeys(State, 0)
    sums = Moments()
    absent = 0
    for one in results:
        counted[one.state] += 1
        if one.state is State.OPENED:
            sums += moments(one.pairs())
            absent += one.absent
    known = slope(sums, rule)
    complete = not counted[State.DRAWN]
    above = tuple(one for one in results if one.above)
    return ChallengeOutcome(
        operator,
        start,
        end,
        counted,
        complete,
        absent,
        sums,
        known,
        complete and known is not None and known.accuses(rule),
        known.bounds(rule.sigmas) if known is not None else None,
        tuple(one.hour for one in results if one.state is State.OPENED),
        tuple(one.hour for one in results if one.state is State.UNTRUE),
        Above(above) if len(above) >= least_above else Above(),
        tuple(shut),
        jurisdiction,
    )

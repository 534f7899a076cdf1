"""Challenges: whether a node's counters count, by asking secretly and having committed counts opened.

A seed, in the ledger before it is used, draws nodes and hours, ordinary entries that others seldom ask, and how often
each is to be asked: not at all (a control), 16, 32 or 64 times. Probes ask within the hour. The node commits to that
hour's counts before anybody tells it which of them matter; a day later it opens them.

Holds always: all here is pure; what is drawn follows from the seed and what it was drawn from, and nothing else; a
challenge shows that counters count, never that names are blocked.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from compliance_api.domain.drawing.draws import Draws, derived
from compliance_api.domain.drawing.sampling import SENSITIVE_CATEGORIES, ListedName
from compliance_api.domain.law.law import ChallengeDuty

HOUR = timedelta(hours=1)
HOURS = 24
# How often an entry is asked within an hour; none: a control.
TIMES = (0, 0, 16, 32, 64)
NO_COMMITMENT = "no report of the node had committed to the hour before it was asked"
"""Why an opening is uncommitted."""


class State(enum.StrEnum):
    """How a challenge ended."""

    DRAWN = "drawn"
    OPENED = "opened"
    # The node said why it does not open.
    REFUSED = "refused"
    # What it opened is not what it had committed to.
    UNTRUE = "untrue"
    # It had committed to nothing when it was asked to open it.
    UNCOMMITTED = "uncommitted"
    # It said nothing until the deadline.
    UNANSWERED = "unanswered"


@dataclass(frozen=True)
class Rule:
    """An entry of a challenge."""

    qname: str
    fingerprint: int
    times: int
    category: int
    order: str
    added_serial: int
    added_at: datetime


@dataclass(frozen=True)
class Challenge:
    """The rules of one node and hour."""

    operator: str
    challenge_id: bytes
    node: str
    hour: datetime
    drawn_at: datetime
    # The release that the rules are of.
    serial: int
    rules: tuple[Rule, ...]
    # When the node is asked to open, and by when it has to.
    open_from: datetime
    deadline: datetime

    @property
    def fingerprints(self) -> tuple[int, ...]:
        """What the node is asked for, in an order that tells nothing."""
        return tuple(sorted(rule.fingerprint for rule in self.rules))


def hour_of(moment: datetime) -> datetime:
    """The start of the hour that a moment lies in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hours(seed: bytes, nodes: Sequence[str], duty: ChallengeDuty, places: Iterable[str] = ()) -> set[tuple[str, int]]:
    """Which of an operator's nodes in the same places are challenged in which hours of a day (UTC).

    Args:
        seed: The day's.
        nodes: Those large enough.
        duty: The law's.
        places: The jurisdictions that these nodes are in: who is in others has hours of its own.
    """
    cells = [(node, hour) for node in sorted(nodes) for hour in range(HOURS)]
    wanted = -(-duty.pairs_a_day // duty.pairs_an_hour) if duty.pairs_a_day else 0
    return set(Draws(derived(seed, "hours", *sorted(places))).sample(cells, wanted))


def challengeable(names: Iterable[ListedName], busy: frozenset[str], deadline: datetime) -> list[ListedName]:
    """Names that a challenge may ask: at every edge by now, seldom asked by others, no abuse of children.

    Args:
        names: In force.
        busy: Those that others were found to ask often.
        deadline: Names published later may not be at every edge yet.
    """
    return [
        one
        for one in names
        if one.fingerprint
        and one.category not in SENSITIVE_CATEGORIES
        and one.qname not in busy
        and one.added_at <= deadline
    ]


def draw_rules(seed: bytes, node: str, hour: datetime, names: Sequence[ListedName], count: int) -> tuple[Rule, ...]:
    """The rules of one challenge.

    Args:
        seed: The day's.
        node: Whose hour it is.
        hour: Its start.
        names: What may be drawn.
        count: How many.
    """
    draws = Draws(derived(seed, "rules", node, hour.isoformat()))
    ordered = sorted({one.qname: one for one in names}.values(), key=lambda one: one.qname)
    return tuple(
        Rule(
            one.qname,
            one.fingerprint,
            draws.choice(TIMES),
            one.category,
            one.order,
            one.added_serial,
            one.added_at,
        )
        for one in draws.sample(ordered, count)
    )


@dataclass(frozen=True)
class CopiedCounters:
    """Two nodes whose counters of a day agree too well."""

    operator: str
    node: str
    other_operator: str
    other_node: str
    start: datetime
    # By how many windows the other's are later.
    lag: int
    windows: int
    # In millionths; see `statistics.copies.Likeness`.
    dispersion: int
    noise: int

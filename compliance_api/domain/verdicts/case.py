"""The case: everything one verdict rests on, as plain values.

Holds always: a case is complete; judging it needs no clock, no storage and no other case. `now` is the end of its
period.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from compliance_api.domain.findings.finding import Clause, Evidence, FindingKind
from compliance_api.domain.law.law import Law
from compliance_api.domain.law.timeline import Timeline
from compliance_api.domain.observations.observation import Sighting
from compliance_api.domain.observations.unreported import Withheld
from compliance_api.domain.reports.record import NodeRecord, ReleaseRecord, ReportRecord, UnverifiedRecord
from compliance_api.domain.reports.window import Closure
from compliance_api.domain.verdicts.course import Course

UNTRUE = "untrue"
"""The detail of an opening that its own commitment refutes."""


@dataclass(frozen=True)
class SlopeRecord:
    """What challenges say of the operator's counters, over the days that the law looks at."""

    ends_at: datetime
    # Hours opened, and hours whose opening did not prove what was committed to.
    opened: int
    untrue: int
    # Pairs of answered and reported queries, and the slope in millionths; None where there are too few.
    pairs: int
    low: int | None
    high: int | None
    # Whether the slope does.
    accuses: bool
    # Untrue ones, as far as they were told apart from those that nobody had committed to.
    lied: int = 0
    # Hours that stayed closed for other reasons.
    refused: int = 0
    uncommitted: int = 0
    unanswered: int = 0
    # Rules that a committed list lacked.
    absent: int = 0
    # Hours with more opened than the node reported for them in all, and these sums.
    above: int = 0
    above_counted: int = 0
    above_reported: int = 0
    # Nodes that stay closed; of their challenged hours the closed ones that weigh, and on how many days.
    shut_nodes: int = 0
    shut_hours: int = 0
    shut_closed: int = 0
    shut_days: int = 0
    # Openings and challenges that show what accuses.
    evidence: tuple[Evidence, ...] = ()

    @property
    def severity(self) -> int:
        """How many things refute counters here."""
        return sum((self.accuses, self.lied > 0, self.above > 0, self.shut_nodes > 0))

    def document(self) -> dict[str, int | str | bool | None]:
        """For machines: what is none is left out, but for what was there from the beginning."""
        always = {"ends_at", "opened", "untrue", "pairs", "low", "high", "accuses"}
        told = {name: value for name, value in vars(self).items() if name in always or (value and name != "evidence")}
        return {**told, "ends_at": self.ends_at.isoformat()}


@dataclass(frozen=True)
class CopyRecord:
    """A node whose counters of a day agree too well with another's."""

    node: str
    other: str
    starts_at: datetime
    windows: int

    def document(self) -> dict[str, int | str]:
        """For machines."""
        return {**vars(self), "starts_at": self.starts_at.isoformat()}


@dataclass(frozen=True)
class Case:
    """What is known of one operator in one jurisdiction within the period that ends now."""

    operator: str
    jurisdiction: str
    # In force at the end of the period; what the case is about may lie under earlier ones.
    law: Law
    now: datetime
    nodes: Sequence[NodeRecord]
    # Windows that began within the period, in the order in which they were received.
    reports: Sequence[ReportRecord]
    unverified: Sequence[UnverifiedRecord]
    # Not yet settled.
    sightings: Sequence[Sighting]
    # All of them, oldest first.
    releases: Sequence[ReleaseRecord]
    # The legal year up to now, by its counted days.
    course: Course = field(default_factory=Course)
    # The strongest sum of the period's challenges, and counters of it that are another node's.
    challenges: SlopeRecord | None = None
    copies: Sequence[CopyRecord] = ()
    # Until when reports on the period were waited for; None where that is its end.
    waited_until: datetime | None = None
    # When nobody's reports could be taken, oldest first.
    closures: Sequence[Closure] = ()
    # Every law that was in force here; None where that is only the one.
    laws: Timeline | None = None
    # What custodians were asked in the period and did not hand in, by custodian; those that handed in all are left out.
    withheld: Sequence[Withheld] = ()

    @property
    def start(self) -> datetime:
        """When the period began."""
        return self.now - timedelta(seconds=self.law.period)

    def reports_of(self, node: str) -> Sequence[ReportRecord]:
        """The reports of one node, in the order in which they were received."""
        return self._by_node.get(node, ())

    @cached_property
    def _by_node(self) -> Mapping[str, Sequence[ReportRecord]]:
        """Each node's: a month of many nodes is gone through once, and not once for each of them."""
        found: dict[str, list[ReportRecord]] = {}
        for report in self.reports:
            found.setdefault(report.node, []).append(report)
        return found

    def due_by(self, law: Law) -> datetime:
        """Until when windows must have ended for their reports to be due, by a law.

        Whoever could not be told, and then had no time yet to hear what was held back, knows no more than before.
        """
        told, duty = self.waited_until or self.now, law.report
        for one in reversed(self.closures):
            if one.began <= told < one.reopened(duty.catch_up):
                told = one.began
        return told - timedelta(seconds=duty.deadline)

    @property
    def timeline(self) -> Timeline:
        """The laws of the place over time."""
        return self.laws or Timeline.of(self.law)

    def law_at(self, moment: datetime) -> Law:
        """The law of a moment, or the case's own where there was none then."""
        return self.timeline.at(moment) or self.law

    def clause(self, kind: FindingKind, at: datetime) -> Clause:
        """The passage behind a kind of finding, of the law that was in force when it was due."""
        return self.law_at(at).clause(kind)

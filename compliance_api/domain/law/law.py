"""The law as data: deadlines, tolerances and the rule of confirmation, each text in force for a time and a place.

Holds always: nothing here is code. Which law judges a moment is decided by its effective dates and jurisdictions, and
for each moment and place there is at most one; a period is judged by the law then in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from compliance_api.domain.findings.finding import Clause, FindingKind
from compliance_api.domain.findings.procedure import Procedure
from compliance_api.domain.law.burden import Burden
from compliance_api.domain.law.law_text import Added
from compliance_api.domain.legal_day import CALENDAR, LegalDay
from compliance_api.domain.observations.observation import ConfirmationRule
from compliance_api.domain.parties.organisation import Label
from compliance_api.domain.statistics.parameters import DayRules, ProcessRule
from lachan.config import Duration, Settings
from lachan.errors import LachanError

MAX_TEXT = 500


class LawError(LachanError):
    """No law, or no single one, is in force where one is needed."""


Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]
Span = Annotated[Duration, Field(gt=0, le=366 * 86400)]
Share = Annotated[float, Field(ge=0, le=1)]


class Texts(Settings):
    """One text in both languages."""

    vi: Text
    en: Text

    def label(self) -> Label:
        """As the domain's own type."""
        return Label(self.vi, self.en)


class ReportDuty(Settings):
    """When a node's reports are due."""

    window: Span = 300.0
    # After the end of a window.
    deadline: Span = 900.0
    # After a node's enrolment, for its first report.
    first_within: Span = 86400.0
    # After a time in which the authority took no reports, for those held back; where it was shorter, as long as it was.
    catch_up: Annotated[Duration, Field(ge=0, le=CALENDAR), Added()] = 3600.0
    # Part of the windows due that may be missing: of a day's, where fewer are due. Of 288 windows 14, which are an hour
    # of outage with the windows that it cuts at either end.
    tolerated_missing: Share = 0.05
    # How far a node's clock may be ahead: a report that comes earlier before its window's end tells nothing of it.
    ahead: Annotated[Duration, Field(ge=0, le=CALENDAR), Added()] = 3600.0
    # Windows of a period that may be told twice, as a clock set back by an hour tells them.
    tolerated_repeats: Annotated[int, Field(ge=0, le=10_000), Added()] = 12
    # Losses of its spool that a node may declare in a period.
    tolerated_losses: Annotated[int, Field(ge=0, le=10_000), Added()] = 3


class ListDuty(Settings):
    """How fast a publication must take effect."""

    # After publication of the release that brought a name.
    block_deadline: Span = 86400.0
    urgent_block_deadline: Span = 21600.0
    # After publication of the release that took a name out.
    unblock_deadline: Span = 86400.0
    # For how long a node may run a list that a newer release has replaced.
    maximum_age: Span = 86400.0
    # After an outage during which that time ended, for the node to fetch the list.
    catch_up: Annotated[Duration, Field(ge=0, le=CALENDAR), Added()] = 3600.0
    # Names published less than this before they are asked show how old a list is.
    aged_until: Span = 604800.0
    # Part of the names of newer releases that must be missed before a list is called stale by observation.
    stale_share: Share = 0.9


class DayDuty(Settings):
    """The legal day that evidence is counted by."""

    # Shorter ones, for showing and testing, divide the day of the calendar.
    length: Annotated[Duration, Field(ge=1, le=CALENDAR)] = float(CALENDAR)
    # After its end a day is counted with what was seen until then: a name asked late may still be confirmed.
    closes_after: Annotated[Duration, Field(ge=0, le=7 * CALENDAR)] = 21600.0
    # What was handed in up to this long after a day's end has it counted again.
    recounted_within: Annotated[Duration, Field(ge=0, le=60 * CALENDAR)] = 8 * CALENDAR

    @field_validator("length")
    @classmethod
    def _divides(cls, value: float) -> float:
        if value != int(value) or CALENDAR % int(value):
            raise ValueError(f"whole seconds that divide {CALENDAR} are expected")
        return value

    def of(self, moment: datetime) -> LegalDay:
        """The legal day that a moment lies in."""
        return LegalDay.of(moment, int(self.length))


class Confirmation(Settings):
    """How many independent eyes a miss needs."""

    vantage_points: Positive = 3
    networks: Positive = 2
    custodians: Positive = 2
    sessions_apart: Annotated[Duration, Field(ge=0, le=30 * 86400)] = 21600.0
    # Part of the vantage points that asked the same nodes for the name.
    share: Share = 0.5

    def rule(self) -> ConfirmationRule:
        """As the domain's own type."""
        return ConfirmationRule(self.vantage_points, self.networks, self.custodians, self.sessions_apart, self.share)


class MinimumEvidence(Settings):
    """Below these, nothing is said."""

    # Distinct listed names with a settled answer.
    names: Positive = 100
    # Distinct controls with a settled answer.
    controls: Positive = 20
    # Windows reported.
    windows: Positive = 12
    # Distinct names, newer ones confirmed missed and older ones blocked, by which the list in force is told.
    missed_names: Positive = 4


class CounterDuty(Settings):
    """When claimed counters are held to be untrue."""

    # Windows with fewer blocked answers claimed than probes received.
    mismatched_windows: Positive = 3
    # Observations this close to a window's edge are left out: clocks differ.
    clock_tolerance: Annotated[Duration, Field(ge=0, le=3600)] = 5.0


class ChallengeDuty(Settings):
    """How counters are challenged."""

    # Nodes that serve no more clients than these are never challenged.
    minimum_clients: Annotated[int, Field(ge=10_000, le=1_000_000_000)] = 10_000
    # Rules of an operator that are challenged on a day, controls among them; 0: none.
    pairs_a_day: Annotated[int, Field(ge=0, le=10_000)] = 120
    # Rules of one node and hour.
    pairs_an_hour: Annotated[int, Field(ge=1, le=128)] = 20
    # After the end of a challenged hour, for the node to be asked; and from then on, for it to answer.
    opened_after: Annotated[Duration, Field(ge=86400, le=5 * 86400)] = 86400.0
    answered_within: Annotated[Duration, Field(ge=3600, le=5 * 86400)] = 2 * 86400.0
    # Others' queries of an hour above which an entry is not challenged any more.
    seldom: Annotated[int, Field(ge=1, le=10_000)] = 10
    # Days that are looked at together.
    days: Annotated[int, Field(ge=1, le=31)] = 5
    # Part of a node's challenged hours of a day that may stay closed before the day speaks against it, and for how many
    # days such days are remembered.
    closed_tolerated: Annotated[Share, Added()] = 0.25
    closed_days: Annotated[int, Field(ge=7, le=366), Added()] = 90
    # The e-value of such days that accuses: a day's worth above that of bad days, for outages come in rows.
    closed_accusation: Annotated[int, Field(ge=20, le=1_000_000_000), Added()] = 240_000
    # Queries of a client and day, of which hardly any has more: a node that reports so many for each of
    # `minimum_clients` is a large one, whatever its operator says.
    queries_a_client: Annotated[int, Field(ge=1, le=10_000_000), Added()] = 20_000


class Law(Settings):
    """One text, in force from a moment on and, where `effective_until` is given, up to another."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
    effective_from: AwareDatetime
    effective_until: AwareDatetime | None = None
    # Where it holds; empty means everywhere.
    jurisdictions: tuple[str, ...] = Field((), max_length=200)
    authority: Texts
    # The stretch of time before an evaluation that it looks at.
    period: Span = 86400.0
    day: DayDuty = DayDuty()
    report: ReportDuty = ReportDuty()
    list: ListDuty = ListDuty()
    confirmation: Confirmation = Confirmation()
    minimum: MinimumEvidence = MinimumEvidence()
    counters: CounterDuty = CounterDuty()
    burden: Burden = Burden()
    challenges: ChallengeDuty = ChallengeDuty()
    procedure: Procedure = Procedure()
    # The passage behind each kind of finding; `default` stands for those not named.
    citations: dict[FindingKind, Texts] = Field(default_factory=dict)
    default_citation: Texts

    def day_rules(self) -> DayRules:
        """What makes one day bad, with the independent eyes that the rule of confirmation asks for."""
        eyes = self.confirmation
        return self.burden.day_rules(eyes.vantage_points, eyes.networks, eyes.custodians)

    def closed_rule(self) -> ProcessRule:
        """The e-process over days on which challenged hours stay closed."""
        return replace(self.burden.process_rule(), accusation=self.challenges.closed_accusation)

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.effective_until is not None and self.effective_until <= self.effective_from:
            raise ValueError("effective_until is not after effective_from")
        return self

    def holds(self, jurisdiction: str, at: datetime) -> bool:
        """Whether it is the law there and then."""
        if self.jurisdictions and jurisdiction not in self.jurisdictions:
            return False
        return self.effective_from <= at and (self.effective_until is None or at < self.effective_until)

    def clause(self, kind: FindingKind) -> Clause:
        """The passage behind a kind of finding."""
        return Clause(self.id, self.citations.get(kind, self.default_citation).label())

    def block_deadline(self, *, urgent: bool) -> float:
        """Seconds from publication until a name must be blocked."""
        return min(self.list.urgent_block_deadline, self.list.block_deadline) if urgent else self.list.block_deadline

    def block_due(self, published_at: datetime, *, urgent: bool) -> datetime:
        """When a name published then must be blocked, as far as this text alone says."""
        return published_at + timedelta(seconds=self.block_deadline(urgent=urgent))

    def unblock_due(self, removed_at: datetime) -> datetime:
        """When a name taken out then must be answered again, as far as this text alone says."""
        return removed_at + timedelta(seconds=self.list.unblock_deadline)


class LawBook(Settings):
    """All laws that were, are and will be in force."""

    laws: tuple[Law, ...] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _one_at_a_time(self) -> Self:
        seen: set[str] = set()
        for law in self.laws:
            if law.id in seen:
                raise ValueError(f"two laws are called {law.id}")
            seen.add(law.id)
        for index, law in enumerate(self.laws):
            for other in self.laws[index + 1 :]:
                if _overlap(law, other):
                    raise ValueError(f"{law.id} and {other.id} are in force at the same time and place")
        return self

    def in_force(self, jurisdiction: str, at: datetime) -> Law:
        """The law of a place at a moment.

        Raises:
            LawError: There is none.
        """
        found = next((law for law in self.laws if law.holds(jurisdiction, at)), None)
        if found is None:
            raise LawError(f"no law is in force in {jurisdiction} at {at.isoformat()}")
        return found


def _overlap(one: Law, other: Law) -> bool:
    places: Sequence[str] = [place for place in one.jurisdictions if place in other.jurisdictions]
    if one.jurisdictions and other.jurisdictions and not places:
        return False
    starts_before_end = other.effective_until is None or one.effective_from < other.effective_until
    return starts_before_end and (one.effective_until is None or other.effective_from < one.effective_until)

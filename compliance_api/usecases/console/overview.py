"""What the console shows: the verdicts with their reasons, as plain read-only values.

Holds always: everything here was computed and stored by the judge; reading changes nothing and recomputes nothing.
Times are aware and in UTC; a face turns them into legal time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from compliance_api.domain.findings.finding import EvidenceKind, FindingKind
from compliance_api.domain.observations.observation import Arm, Result
from compliance_api.domain.parties.organisation import Label
from compliance_api.domain.verdicts.coverage import Coverage
from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.usecases.console.measured import MeasuredView


@dataclass(frozen=True)
class EvidenceView:
    """One piece of evidence; see `compliance_api.domain.findings.finding.Evidence` for what each field holds."""

    kind: EvidenceKind
    reference: str
    at: datetime
    node: str
    probe: str
    detail: str


@dataclass(frozen=True)
class FindingView:
    """One finding with its numbers, its evidence and the clause it is measured by."""

    kind: FindingKind
    accuses: bool
    since: datetime
    last_seen: datetime
    # Empty where the finding concerns the operator as a whole.
    node: str
    # Named plain counts, in the order in which they are to be shown.
    counts: Mapping[str, int]
    evidence: tuple[EvidenceView, ...]
    law: str
    citation: Label


@dataclass(frozen=True)
class OperatorOverview:
    """One row of the front page: an operator in a jurisdiction."""

    organisation: str
    display_name: Label
    jurisdiction: str
    jurisdiction_name: Label
    verdict: Outcome
    # When the verdict became what it is.
    since: datetime
    evaluated_at: datetime
    law: str
    findings: tuple[FindingView, ...]
    coverage: Coverage


@dataclass(frozen=True)
class Overview:
    """The front page. `operators` stands in the registry's order and lacks those not judged yet."""

    # The newest evaluation; None before the first one.
    evaluated_at: datetime | None
    list_serial: int | None
    list_published_at: datetime | None
    list_entries: int | None
    operators: tuple[OperatorOverview, ...]


@dataclass(frozen=True)
class NodeView:
    """A node as its reports describe it."""

    name: str
    endpoints: tuple[str, ...]
    # The last report under this node's key; all None while there is none.
    last_window_end: datetime | None
    last_received_at: datetime | None
    sequence: int | None
    list_serial: int | None
    list_activated_at: datetime | None
    enforcing: bool | None
    # None as well where the node cannot know it.
    queries: int | None
    blocked: int | None


@dataclass(frozen=True)
class ReportView:
    """One stored report in a list."""

    node: str
    digest: str
    # The position in the authority's append-only log that the receipt states.
    log_index: int
    sequence: int
    window_start: datetime
    window_seconds: int
    received_at: datetime
    list_serial: int
    # None where the node cannot know it.
    queries: int | None
    blocked: int
    enforcing: bool

    @property
    def window_end(self) -> datetime:
        """When its window closed."""
        return self.window_start + timedelta(seconds=self.window_seconds)


@dataclass(frozen=True)
class ObservationView:
    """One stored observation in a list. `category` says when the name must not be shown in full."""

    reference: str
    asked_at: datetime
    probe: str
    vantage_point: str
    access_network: str
    node: str
    endpoint: str
    qname: str
    qtype: str
    # As lachan.compliance.v1.Category numbers them; 0 for a name never listed.
    category: int
    arm: Arm
    result: Result
    # How it was blocked, or why nothing can be said.
    shape: str
    reference_alive: bool


@dataclass(frozen=True)
class LiftedView:
    """What an operator let pass for some hours, by its nodes' own reports."""

    node: str
    # A suspended release, or the fingerprint of an overridden name: the name itself does not leave the edge.
    serial: int | None
    fingerprint: str
    # As lachan.compliance.v1.OverrideReason names it, lowercase.
    reason: str
    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class VerdictChange:
    """When a verdict became what."""

    at: datetime
    verdict: Outcome
    findings: tuple[FindingKind, ...]


@dataclass(frozen=True)
class OperatorDetail:
    """One operator in a jurisdiction; the lists are bounded, newest first."""

    overview: OperatorOverview
    nodes: tuple[NodeView, ...]
    reports: tuple[ReportView, ...]
    observations: tuple[ObservationView, ...]
    history: tuple[VerdictChange, ...]
    # By the latest reports, the newest first.
    lifted: tuple[LiftedView, ...] = ()
    # None where no day was judged yet.
    measured: MeasuredView | None = None


@dataclass(frozen=True)
class PlaceView:
    """Where an operator is judged."""

    organisation: str
    display_name: Label
    jurisdiction: str
    jurisdiction_name: Label


class OverviewReader(Protocol):
    """Reads what the judge stored."""

    async def overview(self) -> Overview:
        """The front page: findings without their evidence."""

    async def verdicts(self) -> Overview:
        """The same with the evidence of every finding."""

    async def names(self) -> Mapping[str, Label]:
        """What operators are called, by their identifier."""

    async def places(self, organisation: str) -> tuple[PlaceView, ...]:
        """Where an operator is judged; none where there is no verdict on it."""

    async def check(self) -> None:
        """Reads a verdict, or that there is none: fails where none can be read."""

    async def operator_detail(self, organisation: str, jurisdiction: str) -> OperatorDetail | None:
        """One operator in a jurisdiction; None where there is no verdict under these names."""

"""Findings with what was done about them, for those who read and those who act.

Holds always: a finding shows all of its steps; whose turn it is and until when stands in the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from compliance_api.domain.findings.casework import State, Step
from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.parties.organisation import Label


@dataclass(frozen=True)
class FindingCase:
    """One finding with its history."""

    identifier: str
    operator: str
    jurisdiction: str
    kind: FindingKind
    node: str
    since: datetime
    opened_at: datetime
    # When an evaluation first did not find it any more; None while it is found.
    ceased_at: datetime | None
    counts: Mapping[str, int]
    law: str
    steps: tuple[Step, ...]

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.steps[-1].state if self.steps else State.OPEN

    @property
    def turn(self) -> str | None:
        """Whose turn it is."""
        return self.steps[-1].next_unit if self.steps else None

    @property
    def due_at(self) -> datetime | None:
        """Until when."""
        return self.steps[-1].due_at if self.steps else None

    def overdue(self, now: datetime) -> bool:
        """Whether the next step should have been taken."""
        return bool(self.steps) and self.steps[-1].overdue(now)

    def document(self, now: datetime) -> dict[str, Any]:
        """For machines."""
        return {
            "finding": self.identifier,
            "operator": self.operator,
            "jurisdiction": self.jurisdiction,
            "kind": self.kind.value,
            "node": self.node or None,
            "since": self.since.isoformat(),
            "opened_at": self.opened_at.isoformat(),
            "ceased_at": self.ceased_at.isoformat() if self.ceased_at else None,
            "law": self.law,
            "counts": dict(self.counts),
            "state": self.state.value,
            "turn": self.turn,
            "due_at": self.due_at.isoformat() if self.due_at else None,
            "overdue": self.overdue(now),
            "steps": [one.document() for one in self.steps],
        }


@dataclass(frozen=True)
class Cited:
    """A piece of evidence that a finding cites, without what leads to a probe."""

    kind: str
    # YYYY-MM-DD, UTC.
    day: str
    node: str
    # SHA-256 of a report, which the operator has; empty of other kinds.
    reference: str


@dataclass(frozen=True)
class Seen:
    """How often a vantage point saw something of a node."""

    vantage_point: str
    node: str
    arm: str
    result: str
    observations: int


@dataclass(frozen=True)
class Detail:
    """One finding with what it rests on, as an operator may see it."""

    case: FindingCase
    # SHA-256 of what the ledger holds of the last step; whoever takes the next one names it.
    head: str
    citation: Label
    cited: tuple[Cited, ...]
    seen: tuple[Seen, ...]


@dataclass(frozen=True)
class Taken:
    """A finding after a step, and where that stands in the ledger."""

    case: FindingCase
    index: int


@dataclass(frozen=True)
class Listing:
    """Findings as a list shows them: of each its last step alone."""

    # Those that are late first, then those that somebody has to act on, then the newest; not all where there are many.
    cases: tuple[FindingCase, ...]
    total: int
    late: int


class CaseworkReader(Protocol):
    """Reads findings with their steps."""

    async def listing(self, now: datetime) -> Listing:
        """The findings that accuse, as a list shows them."""

    async def case(self, identifier: str) -> FindingCase | None:
        """One finding with its history; None where there is none under that id."""

"""What is kept of nodes, their reports and the releases they carried, as plain values.

Holds always: a record says what was handed in and when; what follows from it is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.reports.window import Absence


@dataclass(frozen=True)
class NodeRecord:
    """A node of the operator in this jurisdiction, or one that was."""

    name: str
    enrolled_at: datetime
    # The window of its first report ever; None while it never reported.
    first_window: datetime | None
    # From each revocation until it was enrolled again.
    away: tuple[Absence, ...] = ()
    # The windows that it reported shortly before the period, or the last one before: start and end, oldest first.
    heard: tuple[tuple[datetime, datetime], ...] = ()


@dataclass(frozen=True)
class ReportRecord:
    """A stored report whose signature holds."""

    node: str
    # Lowercase hex SHA-256 of its bytes.
    digest: str
    sequence: int
    relation: Relation
    received_at: datetime
    window_start: datetime
    window_seconds: int
    list_serial: int
    list_activated_at: datetime
    blocked: int
    enforcing: bool
    # For an equivocation: the hex digest of the report that used the number first.
    rival: str = ""

    @property
    def window_end(self) -> datetime:
        """When its window closed."""
        return self.window_start + timedelta(seconds=self.window_seconds)


@dataclass(frozen=True)
class UnverifiedRecord:
    """Report bytes that came from the node with a signature that does not hold."""

    node: str
    digest: str
    received_at: datetime
    reason: str


@dataclass(frozen=True)
class ReleaseRecord:
    """A release of the list."""

    serial: int
    published_at: datetime
    urgent: bool

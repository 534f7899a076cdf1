"""What the newest verdict on a month says in numbers: rates, how fast releases took effect, claims beside observations.

Holds always: it is what a stored document says, which is never changed; what was not measured is absent or None, never
zero. Times run from a release's publication, in whole seconds rounded outward.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

RELEASES = 30
"""The newest that are shown of a period."""


@dataclass(frozen=True)
class RateView:
    """How many of how many, with the exact 95 % interval in millionths."""

    name: str
    hits: int
    asked: int
    low: int
    high: int


@dataclass(frozen=True)
class BetweenView:
    """Seconds after a publication; without an upper bound where it had not ended when it was last looked at."""

    at_least: int
    at_most: int | None


@dataclass(frozen=True)
class EffectView:
    """When names of a release were first seen as it wants them, and last as before."""

    serial: int
    published_at: datetime
    # Answers of either kind.
    wanted: int
    before: int
    # None where there was no such answer.
    first_wanted: BetweenView | None
    last_before: BetweenView | None


@dataclass(frozen=True)
class LateView:
    """A release whose names were confirmed missed after the deadline."""

    serial: int
    published_at: datetime
    until_blocked: BetweenView


@dataclass(frozen=True)
class SlopeView:
    """Of a million questions that challenges saw answered, how many were counted: an interval; None where too few."""

    opened: int
    pairs: int
    low: int | None
    high: int | None
    accuses: bool


@dataclass(frozen=True)
class ClaimsView:
    """What nodes claimed, and what probes saw."""

    windows: int
    blocked: int
    not_enforcing: int
    serial: int | None
    seen_blocked: int
    seen_missed: int
    # None where no challenge was summed up.
    slope: SlopeView | None
    copied: int


@dataclass(frozen=True)
class MeasuredView:
    """The newest document on a month, or on a day where there is none on a month."""

    period: str
    start: datetime
    end: datetime
    reached_at: datetime
    version: int
    rates: tuple[RateView, ...]
    # The newest releases first; how many there are in all.
    blocking: tuple[EffectView, ...]
    blocking_total: int
    unblocking: tuple[EffectView, ...]
    unblocking_total: int
    late: tuple[LateView, ...]
    claims: ClaimsView

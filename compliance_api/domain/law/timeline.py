"""The laws of one place, one after another: which of them was in force, and known, at a moment.

Holds always: a moment is judged by the text that was in force then, as it was known then; so a text that is made to
reach back changes nothing that happened before it was known. A deadline is the one that held when it began to run: at
publication, or, for what was published while there was no law, from the first law on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from compliance_api.domain.law.law import Law


class Deadlines(Protocol):
    """Says until when a publication must have taken effect."""

    def block_due(self, published_at: datetime, *, urgent: bool) -> datetime | None:
        """When a name published then must be blocked; None where no law says so."""

    def unblock_due(self, removed_at: datetime) -> datetime | None:
        """When a name taken out then must be answered again; None where no law says so."""


@dataclass(frozen=True)
class Span:
    """A stretch of time with one law."""

    since: datetime
    # None while it goes on.
    until: datetime | None
    law: Law

    def holds(self, moment: datetime) -> bool:
        """Whether the moment lies in it."""
        return self.since <= moment and (self.until is None or moment < self.until)

    def clipped(self, start: datetime, end: datetime) -> tuple[datetime, datetime]:
        """Its part between two moments; empty where the second is not after the first."""
        return max(self.since, start), end if self.until is None else min(self.until, end)


@dataclass(frozen=True)
class Timeline:
    """Every stretch of time with a law, oldest first; between them there may be none."""

    spans: tuple[Span, ...]

    @classmethod
    def of(cls, law: Law) -> Timeline:
        """Of one text that was known before it came into force."""
        return cls((Span(law.effective_from, law.effective_until, law),))

    def at(self, moment: datetime) -> Law | None:
        """The law of a moment; None where there was none."""
        return next((one.law for one in reversed(self.spans) if one.holds(moment)), None)

    def first(self, start: datetime, end: datetime) -> Law | None:
        """The law at the beginning of a stretch of time, or else the first that came into force within it."""
        return next((one.law for one in self._within(start, end)), None)

    def within(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime, Law]]:
        """The laws of a stretch of time, each with the part of it in which it was in force."""
        return [(*one.clipped(start, end), one.law) for one in self._within(start, end)]

    def _within(self, start: datetime, end: datetime) -> Iterator[Span]:
        for one in self.spans:
            begins, ends = one.clipped(start, end)
            if begins < ends:
                yield one

    def running(self, since: datetime) -> tuple[datetime, Law] | None:
        """When a deadline that somebody wants to run from a moment begins, and by which law; None where there is none.

        That is the moment itself, or the coming into force of the first law after it.
        """
        for one in self.spans:
            if one.until is None or since < one.until:
                return max(since, one.since), one.law
        return None

    def block_due(self, published_at: datetime, *, urgent: bool) -> datetime | None:
        """When a name published then must be blocked; None where no law says so."""
        found = self.running(published_at)
        return found[1].block_due(found[0], urgent=urgent) if found else None

    def unblock_due(self, removed_at: datetime) -> datetime | None:
        """When a name taken out then must be answered again; None where no law says so."""
        found = self.running(removed_at)
        return found[1].unblock_due(found[0]) if found else None

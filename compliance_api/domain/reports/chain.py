"""A node's reports as one chain: each names the one before it, across restarts and boots.

Holds always: `follow` is a pure step from the last accepted report to the next; a break is judged once, where it
happens, and the chain goes on from there, so that one lost link is one finding; what a node declared lost, by a word or
by beginning anew, is not a break: how often that is believed is the law's affair. What comes late of an earlier boot
moves nothing, as long as it is about the time before the head: an epoch that was followed by another does not go on.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

MAX_PAST = 32
"""Epochs before a head's own that are remembered. Reports are sent in order: those that come late are of the last."""


class Relation(enum.StrEnum):
    """How a report stands to the one before it."""

    BEGINS = "begins"
    EXTENDS = "extends"
    # The node says that it lost its spool, or begins anew as who never reported: its disk was replaced.
    DECLARED_LOSS = "declared_loss"
    # Its window lies before the last one's end: the node's clock was set back, which breaks no chain.
    BACKWARDS = "backwards"
    # A number was skipped.
    GAP = "gap"
    # A number below the last one that was never seen before; the gap it belongs to was judged already.
    LATE = "late"
    WRONG_DIGEST = "wrong_digest"
    WRONG_EPOCH = "wrong_epoch"
    # The first report ever seen of a node says that there were others before it.
    UNKNOWN_START = "unknown_start"
    # Another report under a number that was used before.
    EQUIVOCATION = "equivocation"

    @property
    def broken(self) -> bool:
        """Whether the chain is broken here."""
        return self in {self.GAP, self.WRONG_DIGEST, self.WRONG_EPOCH, self.UNKNOWN_START}


@dataclass(frozen=True)
class Link:
    """What of a report the chain is made of."""

    boot_epoch: bytes
    previous_boot_epoch: bytes
    sequence: int
    digest: bytes
    previous_digest: bytes
    spool_lost: bool
    window_start: datetime
    window_seconds: int

    @property
    def window_end(self) -> datetime:
        """When the window closed."""
        return self.window_start + timedelta(seconds=self.window_seconds)

    @property
    def begins(self) -> bool:
        """Whether it is as the first one ever."""
        return self.sequence == 1 and not self.previous_digest and not self.previous_boot_epoch


@dataclass(frozen=True)
class Head:
    """The last link of a node's chain."""

    boot_epoch: bytes
    previous_boot_epoch: bytes
    sequence: int
    digest: bytes
    window_end: datetime
    # The epochs that followed one another up to this one, the last one first, at most `MAX_PAST`.
    past: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Step:
    """How a report was judged, and the head after it."""

    relation: Relation
    head: Head


def _head(link: Link, before: Head | None = None) -> Head:
    """The head after a link.

    An epoch is past only where another followed it: one that was left by a break may go on, and breaks again.
    """
    past = before.past if before is not None else ()
    if before is not None and before.boot_epoch not in {link.boot_epoch, *past}:
        followed = link.previous_boot_epoch == before.boot_epoch or link.spool_lost or link.begins
        past = (before.boot_epoch, *past)[:MAX_PAST] if followed else past
    past = tuple(epoch for epoch in past if epoch != link.boot_epoch)
    return Head(link.boot_epoch, link.previous_boot_epoch, link.sequence, link.digest, link.window_end, past)


def _first(link: Link) -> Relation:
    if link.spool_lost:
        return Relation.DECLARED_LOSS
    return Relation.BEGINS if link.begins else Relation.UNKNOWN_START


def _number(head: Head, link: Link) -> Relation | None:
    """What the epoch and the number alone say; None where both are the next ones."""
    if link.boot_epoch == head.boot_epoch:
        if link.sequence <= head.sequence:
            return Relation.LATE
        return None if link.sequence == head.sequence + 1 else Relation.GAP
    if link.boot_epoch in {head.previous_boot_epoch, *head.past} and link.window_start < head.window_end:
        return Relation.LATE
    if link.previous_boot_epoch != head.boot_epoch:
        return Relation.WRONG_EPOCH
    return None if link.sequence == 1 else Relation.GAP


def follow(head: Head | None, link: Link) -> Step:
    """Judges a report whose number is new against the last one; `head` is None for a node never heard of before."""
    if head is None:
        return Step(_first(link), _head(link))
    relation = _number(head, link)
    if relation is Relation.LATE:
        return Step(relation, head)
    if link.begins or (link.spool_lost and not link.previous_digest):
        relation = Relation.DECLARED_LOSS
    elif relation is None and link.previous_digest != head.digest:
        relation = Relation.WRONG_DIGEST
    elif relation is None and link.window_start < head.window_end:
        relation = Relation.BACKWARDS
    return Step(relation or Relation.EXTENDS, _head(link, head))

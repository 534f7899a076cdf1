"""Where each of a node's claims stands: decided in order, against what is stored. No I/O.

Holds always: the same digest under the same number stands where it stood; another digest under a number that was used
is kept beside the first, as an equivocation; what is not signed by the node never takes a number.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from compliance_api.domain.reports.chain import Head, Relation, follow
from compliance_api.usecases.reports.claim import Claim


@dataclass(frozen=True)
class Logged:
    """Where a claim stands in the log."""

    index: int
    accepted_at: datetime
    # None for a claim whose signature does not hold.
    relation: Relation | None
    # It was there before this call.
    again: bool


@dataclass
class Place:
    """Where a claim stands; a new one's index is not known until the log has given it one."""

    index: int
    accepted_at: datetime
    relation: Relation | None


@dataclass(frozen=True)
class New:
    """A claim that is to be stored."""

    operator: str
    node: str
    claim: Claim
    place: Place
    rival: bytes | None
    """The report that had the number first, where this one is an equivocation."""


def unsigned_key(claim: Claim) -> tuple[bytes, bytes]:
    """What tells claims apart whose signatures do not hold: the same bytes may come with several."""
    return claim.link.digest, hashlib.sha256(claim.signature + claim.key_id).digest()


class Standing:
    """A node's chain as it is stored, and what is added to it."""

    def __init__(
        self,
        operator: str,
        node: str,
        head: Head | None,
        first_window: datetime | None,
        ceiling: tuple[bytes, int] | None,
    ) -> None:
        """Begins with what the stored head knows.

        Args:
            operator: Whose node it is.
            node: Its name.
            head: The last link, None for a node never heard of before.
            first_window: The start of the first window that it told of.
            ceiling: The head's epoch and the highest number ever used in it, where that is known.
        """
        self.operator = operator
        self.node = node
        self.head = head
        self.first_window = first_window
        self.new: list[New] = []
        self._ceiling = ceiling
        # By epoch and number, the reports that use it, the first one first.
        self._numbers: dict[tuple[bytes, int], dict[bytes, Place]] = {}
        self._unsigned: dict[tuple[bytes, bytes], Place] = {}

    @property
    def moved(self) -> bool:
        """Whether there is a signed report among the new ones."""
        return any(one.place.relation is not None for one in self.new)

    @property
    def ceiling_unknown(self) -> bool:
        """Whether what is stored has to be asked for the highest number in the head's epoch."""
        return self.head is not None and (self._ceiling is None or self._ceiling[0] != self.head.boot_epoch)

    @property
    def highest(self) -> int:
        """The highest number used in the head's epoch, by what is stored or by what is new."""
        epoch = self.head.boot_epoch if self.head else b""
        stored = self._ceiling[1] if self._ceiling is not None and self._ceiling[0] == epoch else 0
        links = (one.claim.link for one in self.new if one.place.relation is not None)
        return max([stored, *(link.sequence for link in links if link.boot_epoch == epoch)])

    def is_certainly_new(self, claim: Claim) -> bool:
        """Whether nothing stored can have this claim's number."""
        link = claim.link
        return self._ceiling is not None and self._ceiling[0] == link.boot_epoch and self._ceiling[1] < link.sequence

    def recall_highest(self, sequence: int) -> None:
        """Tells the highest number stored in the head's epoch."""
        if self.head is not None:
            self._ceiling = self.head.boot_epoch, sequence

    def recall(self, epoch: bytes, sequence: int, digest: bytes, place: Place) -> None:
        """Tells of a report that is stored; those of one number in the order of their indices."""
        self._numbers.setdefault((epoch, sequence), {})[digest] = place

    def recall_unsigned(self, key: tuple[bytes, bytes], place: Place) -> None:
        """Tells of a report that is stored and whose signature does not hold."""
        self._unsigned[key] = place

    def decide(self, claim: Claim, now: datetime) -> tuple[Place, bool]:
        """Where the claim stands, and whether it stood there before."""
        return self._set_aside(claim, now) if claim.flaw else self._chain(claim, now)

    def _add(self, claim: Claim, now: datetime, relation: Relation | None, rival: bytes | None = None) -> Place:
        place = Place(-1, now, relation)
        self.new.append(New(self.operator, self.node, claim, place, rival))
        return place

    def _set_aside(self, claim: Claim, now: datetime) -> tuple[Place, bool]:
        key = unsigned_key(claim)
        if key in self._unsigned:
            return self._unsigned[key], True
        self._unsigned[key] = self._add(claim, now, None)
        return self._unsigned[key], False

    def _chain(self, claim: Claim, now: datetime) -> tuple[Place, bool]:
        link = claim.link
        same_number = self._numbers.setdefault((link.boot_epoch, link.sequence), {})
        if link.digest in same_number:
            return same_number[link.digest], True
        rival = next(iter(same_number), None)
        if rival is not None:
            relation = Relation.EQUIVOCATION
        else:
            step = follow(self.head, link)
            self.head, relation = step.head, step.relation
        if self.first_window is None:
            # A node that owed nothing before the window of its first report would put that into the next century.
            self.first_window = min(link.window_start, now)
        same_number[link.digest] = self._add(claim, now, relation, rival)
        return same_number[link.digest], False

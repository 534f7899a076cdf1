"""What a leaf of the ledger says: a salted commitment to a batch's bytes, never the bytes.

Holds always: the ledger shows nothing of the content, not even to who guesses it, as long as the salt is not known;
once salt and content are erased nobody can show it any more, and every proof of the tree still holds. A commitment
opens to one kind, one time and one content: each is in front of the next with its length.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from enum import StrEnum

from lachan.ledger.errors import LedgerError

DOMAIN = b"lachan/leaf/v1\0"
SALT_BYTES = 32
COMMITMENT_BYTES = 32
MAX_CONTENT_BYTES = 1 << 24
MAX_TIME = (1 << 63) - 1


class OpeningError(LedgerError):
    """An opening is not that of a commitment, or is beyond its bounds."""


class Kind(StrEnum):
    """What a batch holds."""

    REPORT = "report"
    UNVERIFIED_REPORT = "unverified_report"
    """A report whose signature does not hold: kept as evidence of that."""
    OBSERVATION = "observation"
    ASSIGNMENT = "assignment"
    CHALLENGE = "challenge"
    ORDER = "order"
    APPROVAL = "approval"
    RELEASE = "release"
    LAW = "law"
    TALLY = "tally"
    """A legal day of what probes saw, as it was counted."""
    FINDING = "finding"
    OPENING = "opening"
    """Committed counts that a node opened."""
    ENROLMENT = "enrolment"
    REVOCATION = "revocation"
    LINE_CHECK = "line_check"
    """What a line lets its users do beside its own resolver."""
    HOLD = "hold"
    """That something must be kept although its time is over, or need not be any more."""


@dataclass(frozen=True)
class Opening:
    """All that a commitment was made of; erased, it is gone for good."""

    salt: bytes
    """32 bytes from the system's random source, for this leaf alone."""
    kind: Kind
    entered_at: int
    """When the ledger took it in, in seconds since 1970, UTC."""
    content: bytes
    """The batch, in the canonical form of its kind."""

    def __post_init__(self) -> None:
        """Holds every field against its bound.

        Raises:
            OpeningError: One is beyond it.
        """
        if len(self.salt) != SALT_BYTES:
            raise OpeningError(f"salt: {len(self.salt)} bytes, not {SALT_BYTES}")
        if not 0 <= self.entered_at <= MAX_TIME:
            raise OpeningError(f"entered_at: {self.entered_at} is no time")
        if len(self.content) > MAX_CONTENT_BYTES:
            raise OpeningError(f"content: {len(self.content)} bytes, more than {MAX_CONTENT_BYTES}")

    @property
    def commitment(self) -> bytes:
        """The leaf's data; the tree hashes it once more."""
        kind = self.kind.encode()
        head = struct.pack(">B", len(kind)) + kind + struct.pack(">QQ", self.entered_at, len(self.content))
        return hashlib.sha256(DOMAIN + self.salt + head + self.content).digest()

    def check(self, commitment: bytes) -> None:
        """Checks that this opens the commitment.

        Raises:
            OpeningError: It does not: something of it was changed.
        """
        if not hmac.compare_digest(self.commitment, commitment):
            raise OpeningError(f"this {self.kind} is not what was committed to")

"""A newcomer on its way in: the token it came with, how it stands, and what it is issued."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lachan.tls import Identity


class State(enum.StrEnum):
    """How an enrolment stands."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    # Nobody decided in time; never kept, but told.
    EXPIRED = "expired"


@dataclass(frozen=True)
class Terms:
    """How long things are good for, in seconds."""

    token: float
    pending: float
    # Of a certificate.
    lifetime: float


@dataclass(frozen=True)
class Token:
    """What is kept of a token."""

    token_hash: bytes
    party: Identity
    # What the registry is to say of the party; empty where it says so already.
    entry: dict[str, Any]
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True)
class Enrolment:
    """One newcomer."""

    enrolment_id: bytes
    token_hash: bytes
    party: Identity
    entry: dict[str, Any]
    # DER.
    csr: bytes
    # The raw Ed25519 key of its reports or observations.
    key: bytes
    # What people compare.
    fingerprint: bytes
    state: State
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str
    # PEM, the leaf first; empty until it is confirmed.
    chain: bytes

    def at(self, now: datetime) -> Enrolment:
        """As it stands now: what was not decided in time cannot be any more."""
        if self.state is State.PENDING and now > self.expires_at:
            return replace(self, state=State.EXPIRED)
        return self


@dataclass(frozen=True)
class Issued:
    """A certificate that counts."""

    party: Identity
    # SHA-256 of the leaf's DER form.
    fingerprint: bytes
    # The leaf's SubjectPublicKeyInfo, DER.
    key: bytes
    not_before: datetime
    not_after: datetime
    # PEM, the leaf first.
    chain: bytes

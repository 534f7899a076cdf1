"""Whether who shows a certificate may speak for the party it names.

Holds always: what is decided here follows from the membership alone, as it stands at this moment; a party that was
enrolled is believed by the certificates it was issued and by no other, whoever holds the key that signs certificates;
what a revocation ended never counts again, whatever is enrolled under its name later; nobody speaks as a person who was
not enrolled, but for the people of an organisation whose own authorities vouch for them and that enrolled none.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from compliance_api.domain.parties.organisation import Node, Organisation, Person, Probe, Registry
from lachan.tls import Identity, Role


class Objection(enum.StrEnum):
    """Why a caller is turned away; a label of a metric."""

    # No certificate, or one that names nobody of this system.
    NAMELESS = "nameless"
    # An organisation, node or probe that is not in the registry.
    UNKNOWN = "unknown"
    # Not verified by the authorities that count for this organisation, or not valid now.
    UNTRUSTED = "untrusted"
    # Verified, but none that this party was issued.
    NOT_ISSUED = "not_issued"
    REVOKED = "revoked"
    # More than its share.
    LIMIT = "limit"


@dataclass(frozen=True)
class Shown:
    """What a verified certificate says."""

    identity: Identity
    # SHA-256 of its DER form.
    fingerprint: bytes
    not_before: datetime


@dataclass(frozen=True)
class Membership:
    """Everybody, and which of their certificates count, at one moment."""

    # Grows with every change, so that it tells two moments apart.
    revision: int = -1
    registry: Registry = field(default_factory=Registry)
    # The newest revocation of each party that ever had one.
    revoked_at: Mapping[Identity, datetime] = field(default_factory=dict)
    # Those of them that no later enrolment lifted.
    revoked: frozenset[Identity] = frozenset()
    revoked_certificates: frozenset[bytes] = frozenset()
    # What enrolled parties were issued here, where their organisation has no authorities of its own.
    issued: Mapping[Identity, frozenset[bytes]] = field(default_factory=dict)

    def roots(self, organisation: str) -> bytes | None:
        """The authorities (PEM) that count for an organisation: empty for this system's own; None if it is unknown."""
        owner = self.registry.organisation(organisation)
        return owner.roots if owner else None

    def objection(self, shown: Shown) -> Objection | None:
        """What stands against a caller whose certificate was verified."""
        who = shown.identity
        if who in self.revoked or shown.fingerprint in self.revoked_certificates:
            return Objection.REVOKED
        if who in self.issued:
            # What was issued before a revocation is among the revoked certificates.
            return None if shown.fingerprint in self.issued[who] else Objection.NOT_ISSUED
        if who in self.revoked_at and shown.not_before <= self.revoked_at[who]:
            return Objection.REVOKED
        owner = self.registry.organisation(who.organisation)
        known: Organisation | Node | Probe | Person | None = owner
        if who.role is Role.NODE:
            known = self.registry.node(who.organisation, who.name)
        elif who.role is Role.PROBE:
            known = self.registry.probe(who.organisation, who.name)
        elif who.role is Role.PERSON and owner is not None and (owner.people or not owner.roots):
            # Whoever has this system's own authority makes nobody's people by that alone.
            known = self.registry.person(who.organisation, who.name)
        return None if known else Objection.UNKNOWN

"""What letting in and out asks of its store and of who signs certificates.

Holds always: whatever one decision changes is one transaction.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from compliance_api.domain.parties.enrolment import Enrolment, Issued, State, Token
from compliance_api.domain.parties.organisation import Person, Registry
from compliance_api.usecases.membership.membership import Event
from lachan.tls import Identity


class Change(Protocol):
    """One transaction in which nobody else changes the membership."""

    async def registry(self) -> Registry:
        """Everybody, with those whose key is not known yet."""

    async def token(self, token_hash: bytes) -> Token | None:
        """A token."""

    async def add_token(self, token: Token) -> None:
        """Keeps a token."""

    async def spend(self, token_hash: bytes, now: datetime) -> None:
        """Marks a token as used."""

    async def enrolment(self, *, enrolment_id: bytes = b"", token_hash: bytes = b"") -> Enrolment | None:
        """An enrolment by its id or by its token."""

    async def add_enrolment(self, enrolment: Enrolment) -> None:
        """Keeps an enrolment."""

    async def decide(self, enrolment_id: bytes, state: State, by: str, now: datetime, chain: bytes) -> None:
        """Keeps what was decided of it."""

    async def enrolments(self, organisation: str | None, limit: int) -> list[Enrolment]:
        """Those of an organisation, or all; newest first."""

    async def admit(self, party: Identity, key: bytes, entry: dict[str, Any], now: datetime) -> None:
        """Puts a party into the registry, with a key that no file can change; lifts its revocations."""

    async def people(self, organisation: str) -> list[Person]:
        """Its people who were enrolled and not revoked since."""

    async def living(self, party: Identity, now: datetime) -> list[Issued]:
        """Certificates that were issued to a party, have not ended and were not revoked."""

    async def add_certificate(self, issued: Issued, now: datetime) -> None:
        """Keeps a certificate."""

    async def last_revoked(self, party: Identity) -> datetime | None:
        """When the party was last revoked."""

    async def revoke(
        self, party: Identity, fingerprint: bytes, by: str, reason: str, now: datetime, *, lifted: bool = False
    ) -> None:
        """Ends a party, or one certificate; `lifted` where the party goes on with others."""

    def note(self, event: Event) -> None:
        """Enters something into the ledger at the end of the transaction."""


class Store(Protocol):
    """Keeps enrolments."""

    def change(self, *, alone: bool = True) -> AbstractAsyncContextManager[Change]:
        """Begins a transaction; it is committed where the block ends well. What only reads need not be alone."""


class Issuer(Protocol):
    """Signs certificates."""

    def issue(self, party: Identity, csr: bytes, now: datetime, seconds: float) -> Issued:
        """A certificate for the key of a CSR that was read before."""

    def adopt(self, party: Identity, csr: bytes, chain: bytes, roots: bytes, now: datetime) -> Issued:
        """A certificate that the party's own organisation signed for the key of this CSR.

        Raises:
            TlsError: It is another's, for another key, or none of its organisation's authorities vouches for it.
        """

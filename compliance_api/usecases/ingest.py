"""Takes what nodes claim, once each, and answers with receipts.

Holds always: a receipt is signed only after its report is committed; the same bytes bring the same receipt, byte for
byte, from whichever process; a report whose signature does not hold is kept apart, so that it can never take the place
of one whose signature does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from compliance_api.domain.chain import Relation
from compliance_api.domain.organisation import Registry
from compliance_api.errors import InvalidRequestError, NotPermittedError, Violation
from compliance_api.usecases.claim import Claim, read
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import RECEIPT, SigningKey
from lachan.tls import Identity, Role

MAX_REPORTS = 256


@dataclass(frozen=True)
class Logged:
    """Where a claim stands in the log."""

    index: int
    accepted_at: datetime
    # None for a claim whose signature does not hold.
    relation: Relation | None
    # It was there before this call.
    again: bool


class ReportStore(Protocol):
    """Keeps claims."""

    async def add(self, operator: str, node: str, claims: Sequence[Claim], now: datetime) -> list[Logged]:
        """Stores each claim that is not there yet, all in one transaction, and says where each one stands."""


@dataclass(frozen=True)
class Acknowledged:
    """What a node gets back for one report, and how that was judged."""

    receipt: pb.SignedReceipt
    logged: Logged


class Ingest:
    """The task of taking reports."""

    def __init__(self, registry: Registry, store: ReportStore, key: SigningKey, clock: Callable[[], datetime]) -> None:
        self._registry = registry
        self._store = store
        self._key = key
        self._clock = clock

    async def submit(self, caller: Identity, reports: Sequence[pb.SignedReport]) -> list[Acknowledged]:
        """Stores `reports` and acknowledges each, in their order.

        Raises:
            NotPermittedError: The caller is no node, is not known, or speaks for another.
            InvalidRequestError: With every field that breaks a rule; nothing is stored.
        """
        if caller.role is not Role.NODE:
            raise NotPermittedError(f"{caller} is no node")
        node = self._registry.node(caller.organisation, caller.name)
        if node is None:
            raise NotPermittedError(f"{caller} is not in the registry")
        if not 1 <= len(reports) <= MAX_REPORTS:
            raise InvalidRequestError([Violation("reports", f"1 to {MAX_REPORTS} reports")])
        claims, violations = [], []
        for index, signed in enumerate(reports):
            try:
                claims.append(read(f"reports[{index}]", signed, caller, node))
            except InvalidRequestError as error:
                violations += error.violations
        if violations:
            raise InvalidRequestError(violations)
        logged = await self._store.add(caller.organisation, caller.name, claims, self._clock())
        return [self._acknowledge(claim, one) for claim, one in zip(claims, logged, strict=True)]

    def _acknowledge(self, claim: Claim, logged: Logged) -> Acknowledged:
        receipt = pb.Receipt(
            report_digest=claim.link.digest, index=logged.index, accepted_at=int(logged.accepted_at.timestamp())
        ).SerializeToString(deterministic=True)
        signed = pb.SignedReceipt(
            receipt=receipt, signature=self._key.sign(RECEIPT, receipt), key_id=self._key.public.key_id
        )
        return Acknowledged(signed, logged)

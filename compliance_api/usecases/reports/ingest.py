"""Takes what nodes claim, once each, and answers with receipts.

Holds always: a receipt is signed only after its report is committed; the same bytes bring the same receipt, byte for
byte, from whichever process; a report whose signature does not hold is kept apart, so that it can never take the place
of one whose signature does; a call with many reports gives way, so that none with one waits for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from compliance_api.domain.parties.organisation import Node, Registry
from compliance_api.errors import MAX_VIOLATIONS, InvalidRequestError, NotPermittedError, Violation
from compliance_api.usecases.reports.claim import Claim, read
from compliance_api.usecases.reports.grouping import Call
from compliance_api.usecases.reports.room import Room
from compliance_api.usecases.reports.standing import Logged
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import RECEIPT, SigningKey
from lachan.tls import Identity, Role

MAX_REPORTS = 256
SLICE = 8
"""Reports looked at, or receipts signed, before others have their turn: a millisecond or two."""


class ReportStore(Protocol):
    """Keeps claims."""

    async def add(self, call: Call) -> list[Logged]:
        """Where each claim of the call stands, once that is durable."""


@dataclass(frozen=True)
class Acknowledged:
    """What a node gets back for one report, and how that was judged."""

    receipt: pb.SignedReceipt
    logged: Logged


class Ingest:
    """The task of taking reports."""

    def __init__(self, registry: Registry, store: ReportStore, key: SigningKey, room: Room) -> None:
        self._registry = registry
        self._store = store
        self._key = key
        self._room = room

    async def submit(self, caller: Identity, reports: Sequence[pb.SignedReport]) -> list[Acknowledged]:
        """Stores `reports` and acknowledges each, in their order.

        Raises:
            NotPermittedError: The caller is no node, is not known, or speaks for another.
            InvalidRequestError: With every field that breaks a rule; nothing is stored.
            BusyError: There is no room for them now.
        """
        if caller.role is not Role.NODE:
            raise NotPermittedError(f"{caller} is no node")
        node = self._registry.node(caller.organisation, caller.name)
        if node is None:
            raise NotPermittedError(f"{caller} is not in the registry")
        if not 1 <= len(reports) <= MAX_REPORTS:
            raise InvalidRequestError([Violation("reports", f"1 to {MAX_REPORTS} reports")])
        size = sum(len(signed.report) for signed in reports)
        with self._room.hold((caller.organisation, caller.name), len(reports), size):
            claims = await self._read(caller, node, reports)
            logged = await self._store.add(Call(caller.organisation, caller.name, claims))
            return await self._acknowledge(claims, logged)

    async def _read(self, caller: Identity, node: Node, reports: Sequence[pb.SignedReport]) -> list[Claim]:
        claims: list[Claim] = []
        violations: list[Violation] = []
        for index, signed in enumerate(reports):
            if index and not index % SLICE:
                await asyncio.sleep(0)
            try:
                claims.append(read(f"reports[{index}]", signed, caller, node))
            except InvalidRequestError as error:
                violations += error.violations
                if len(violations) >= MAX_VIOLATIONS:
                    break
        if violations:
            raise InvalidRequestError(violations)
        return claims

    async def _acknowledge(self, claims: Sequence[Claim], logged: Sequence[Logged]) -> list[Acknowledged]:
        acknowledged = []
        for index, (claim, one) in enumerate(zip(claims, logged, strict=True)):
            if index and not index % SLICE:
                await asyncio.sleep(0)
            acknowledged.append(Acknowledged(self._sign(claim, one), one))
        return acknowledged

    def _sign(self, claim: Claim, logged: Logged) -> pb.SignedReceipt:
        receipt = pb.Receipt(
            report_digest=claim.link.digest, index=logged.index, accepted_at=int(logged.accepted_at.timestamp())
        ).SerializeToString(deterministic=True)
        return pb.SignedReceipt(
            receipt=receipt, signature=self._key.sign(RECEIPT, receipt), key_id=self._key.public.key_id
        )

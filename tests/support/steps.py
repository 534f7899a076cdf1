"""Leaves of a finding's steps, made as the service makes them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from compliance_api.domain.findings.casework import Action, Matter, Step, opening, take
from compliance_api.domain.findings.procedure import Procedure
from compliance_api.ledger import statement
from compliance_api.ledger.statement import Kept, Receipt
from compliance_api.storage.findings import casework
from lachan import canonical
from lachan.ledger.leaf import Kind
from lachan.signing import SigningKey
from tests.support.cases import NOW
from tests.support.people import FINDING, Signer

SERVICE = SigningKey.generate()
ROW = {
    "finding_id": bytes.fromhex(FINDING),
    "operator_id": "a",
    "jurisdiction": "hcm",
    "kind": "over_blocking",
    "node": "",
    "since": NOW,
    "last_seen": NOW,
    "citation_vi": "Điều 1",
    "citation_en": "Article 1",
    "law": "law-1",
    "counts": [],
    "evidence": [],
}
DAY = timedelta(days=1)


def let_in(who: Signer, by: str = "so: root") -> bytes:
    """What the ledger is told where somebody is let in."""
    key = who.key.public.raw.hex()
    told = {"event": "confirmed", "party": str(who.identity), "by": by, "key": key, "units": sorted(who.units)}
    return canonical.encode(told)


def ended(who: Signer) -> bytes:
    """What it is told where somebody is revoked."""
    return canonical.encode({"event": "revoked", "party": str(who.identity), "by": "x", "reason": "left"})


@dataclass
class Book:
    """The leaves of one finding and of the people who act on it, in their order; indices are places in it."""

    leaves: list[tuple[Kind, int, bytes]] = field(default_factory=list)
    matter: Matter = field(init=False)
    at: Any = NOW

    def __post_init__(self) -> None:
        step = opening(Procedure(), "a", NOW)
        self.matter = Matter("a", Procedure(), [], False, "")
        self.enter(step)

    def tell(self, kind: Kind, content: bytes) -> int:
        self.leaves.append((kind, int(self.at.timestamp()), content))
        return len(self.leaves) - 1

    def enter(self, step: Step) -> int:
        content = casework.leaf(ROW, step).content
        self.matter = replace(self.matter, steps=[*self.matter.steps, step], head=statement.digest(content))
        return self.tell(Kind.FINDING, content)

    def take(self, who: Signer, action: Action, *, days: float = 1, **said: Any) -> int:
        """The leaf of a step that somebody takes, as the rules have it."""
        self.at += days * DAY
        return self.enter(take(self.matter, who.deed(self.matter, action, **said), self.at))

    def kept(self, index: int) -> Kept:
        """What whoever took the step of a leaf keeps of it."""
        step = next(one for one in self.matter.steps if casework.leaf(ROW, one).content == self.leaves[index][2])
        told = Receipt(
            finding=FINDING, position=step.position, statement=statement.digest(step.statement), leaf=index, taken_at=1
        )
        data, signature = statement.receipt(SERVICE, told)
        return Kept(
            statement=step.statement.decode(),
            signature=step.signature.hex(),
            key=step.key.hex(),
            receipt=data.decode(),
            receipt_signature=signature.hex(),
        )

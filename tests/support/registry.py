"""People with keys, proposals, and logs of them, for tests of the registry."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.log import approvals, changes, keys, proposals
from blocklist_sync.central.log.approvals import ENROL, RETIRE, Admission, Approval, Person
from blocklist_sync.central.log.proposals import Order, Proposal

NOW = 1_790_000_000
ORDER = Order("12/QĐ", "2026-09-01", "Sở Mẫu", "Nghị định mẫu, điều 1", "ordinary", "mau", 1, "")
GAMBLING = Kind(Scope.SUBTREE, False, Category.GAMBLING, ORDER.basis)


@dataclass(frozen=True)
class Member:
    """Somebody with their key, drawn from their id."""

    id: str
    roles: tuple[str, ...]
    turn: int = 0
    signer: CryptoSigner = field(init=False, compare=False)

    def __post_init__(self) -> None:
        seed = hashlib.sha256(f"{self.id}/{self.turn}".encode()).digest()
        object.__setattr__(self, "signer", CryptoSigner(Ed25519PrivateKey.from_private_bytes(seed)))

    @property
    def key(self) -> bytes:
        return keys.raw(self.signer.public_key)

    @property
    def person(self) -> Person:
        return Person(self.id, f"Person {self.id}", "list-unit", self.roles, self.key.hex())


EDITOR = Member("editor", ("editor",))
FIRST = Member("first", ("approver", "editor"))
SECOND = Member("second", ("approver",))
THIRD = Member("third", ("approver",))
DELEGATED = frozenset({FIRST.key, SECOND.key, THIRD.key})


def text(*lines: tuple[str, Kind, bool]) -> bytes:
    """The text of some changes."""
    return b"".join(changes.encode(lines))


def proposal(data: bytes | None = None, *, number: int = 1, **other: Any) -> Proposal:
    """A proposal by EDITOR of these changes, or of one name."""
    parser = changes.Parser()
    parser.feed(text(("bad.example", GAMBLING, True)) if data is None else data)
    summary = parser.close()
    held: dict[str, Any] = {
        "id": str(uuid.UUID(int=number)),
        "order": ORDER,
        "effective_from": NOW,
        "review_by": NOW + 86_400 * 365,
        "reason": "As the order says",
        "proposer": EDITOR.id,
        "proposed_at": NOW,
        "changes_sha256": summary.digest.hex(),
        "added": summary.added,
        "removed": summary.removed,
    }
    return Proposal(**held | other)


def approval(of: Proposal, by: Member, at: int = NOW + 60) -> Approval:
    """A member's approval."""
    return Approval(by.id, at, proposals.sign_approval(by.signer, of, at).hex())


class LogBook:
    """A log in the making."""

    def __init__(self) -> None:
        self.steps: list[bytes] = []

    @property
    def next(self) -> tuple[int, bytes]:
        """The number of the next step, and the hash it must name."""
        return len(self.steps) + 1, approvals.hash_step(self.steps[-1]) if self.steps else approvals.GENESIS

    def admit(self, member: Member, by: Member, change: str = ENROL) -> LogBook:
        admission = Admission(change, member.person, NOW)
        witness = approvals.sign_admission(by.signer, by.id, admission)
        self.steps.append(approvals.person_step(*self.next, admission, witness))
        return self

    def retire(self, member: Member, by: Member) -> LogBook:
        return self.admit(member, by, RETIRE)

    def decide(self, of: Proposal, by: Member, *approved: Approval) -> LogBook:
        signature = proposals.sign_proposal(by.signer, of)
        self.steps.append(approvals.proposal_step(*self.next, of, signature, approved))
        return self


def founded() -> LogBook:
    """A log in which everybody of DELEGATED and EDITOR are enrolled."""
    book = LogBook().admit(FIRST, SECOND).admit(SECOND, FIRST)
    return book.admit(THIRD, FIRST).admit(EDITOR, SECOND)

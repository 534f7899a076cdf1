"""Whether an approvals log is believed: taken step by step, each by what stands before it.

Holds always, of a log that `Verifier` has taken:

- every proposal was signed by an enrolled editor and approved by as many enrolled approvers as it needs, all of them
  other people with other keys than the proposer and one another;
- an approver counts only where their key is one of `delegated`: those that the top-level targets role, whose keys are
  offline, ever named for the list role. When a key stops counting is said by its retirement in the log, so that old
  steps stay readable; so the server alone can invent no approver;
- a key belongs to one person for ever and is enrolled once, so that no old step can be said again;
- no proposal stands twice;
- what was decided later counts no earlier: approvers' clocks differ, and what takes a name out must never be applied
  before what brought it.

Who was enrolled before anybody was an approver was signed by a delegated key whose owner must be enrolled with it, as
an approver, before the first proposal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from blocklist_sync.central import canonical
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import keys, proposals
from blocklist_sync.central.log.approvals import (
    GENESIS,
    MAX_STEP_BYTES,
    MAX_STEPS,
    PERSON,
    RETIRE,
    Approval,
    Decision,
    Log,
    LogError,
    Person,
    Witness,
    hash_step,
    read_admission,
    read_approvals,
)
from blocklist_sync.central.log.proposals import Proposal, ProposalError


@dataclass(frozen=True)
class Delegated:
    """The raw public keys that approvers may have, and might have had: a key that left counts for what was before."""

    now: frozenset[bytes]
    until: Mapping[bytes, int] = field(default_factory=dict)
    """The last step that a key which left counts for."""

    def at(self, step: int) -> frozenset[bytes]:
        """The keys that count for a step."""
        return self.now.union(key for key, last in self.until.items() if last >= step) if self.until else self.now


class Verifier:
    """Takes a log step by step; nothing of a step that is refused is kept."""

    def __init__(self, delegated: Collection[bytes] | Delegated) -> None:
        """Begins an empty log.

        Args:
            delegated: The raw public keys that approvers may have.
        """
        self.length = 0
        self.head = GENESIS
        self._keys = delegated if isinstance(delegated, Delegated) else Delegated(frozenset(delegated))
        self._delegated: frozenset[bytes] = frozenset()
        self._people: dict[str, Person] = {}
        self._key_owner: dict[bytes, str] = {}
        self._awaited: dict[str, bytes] = {}
        self._ids: set[str] = set()
        self._decisions: list[Decision] = []

    def add(self, step: bytes) -> Decision | None:
        """Takes the next step; what it decided, where it is a proposal.

        Raises:
            LogError: It is not the next step, or was not signed as it must be.
        """
        index = self.length + 1
        self._delegated = self._keys.at(index)
        try:
            decision = self._take(step, index)
        except CentralError as error:
            raise LogError(index, str(error)) from error
        self.length = index
        self.head = hash_step(step)
        return decision

    @property
    def people(self) -> Mapping[str, Person]:
        """Everybody enrolled and not retired, by id."""
        return self._people

    @property
    def awaited(self) -> Mapping[str, bytes]:
        """Who has signed for others and must still be enrolled, and with which key."""
        return self._awaited

    def close(self) -> Log:
        """The log so far."""
        return Log(self.length, self.head, tuple(self._people.values()), tuple(self._decisions))

    def _take(self, step: bytes, index: int) -> Decision | None:
        if index > MAX_STEPS:
            raise CentralError(f"more than {MAX_STEPS} steps")
        if len(step) > MAX_STEP_BYTES:
            raise CentralError(f"longer than {MAX_STEP_BYTES} bytes")
        held = canonical.parse(step)
        kind = held.get("kind") if isinstance(held, dict) else None
        if kind == "person":
            held = proposals.shape(held, ("index", "previous", "kind", "admission", "witness"), "step")
        elif kind == "proposal":
            held = proposals.shape(held, ("index", "previous", "kind", "header", "signature", "approvals"), "step")
        else:
            raise ProposalError("kind", "neither person nor proposal")
        if held["index"] != index:
            raise ProposalError("index", f"{index} is expected here")
        if held["previous"] != self.head.hex():
            raise ProposalError("previous", "not the hash of the step before")
        if kind == "person":
            self._admit(held)
            return None
        decision = self._decide(held, index)
        self._ids.add(decision.proposal.id)
        self._decisions.append(decision)
        return decision

    def _admit(self, held: Any) -> None:
        admission = read_admission(held["admission"])
        witness = Witness(**proposals.shape(held["witness"], ("person", "public_key", "signature"), "witness"))
        person = admission.person
        self._check_witness(person, witness)
        if not _signed(witness.public_key, PERSON, admission.digest, witness.signature):
            raise ProposalError("witness.signature", "does not hold")
        if admission.change == RETIRE:
            if self._people.get(person.id) != person:
                raise ProposalError("admission.person", f"nobody enrolled is exactly this {person.id}")
            del self._people[person.id]
            return
        if person.id in self._people:
            raise ProposalError("admission.person.id", f"{person.id} is enrolled already")
        if person.key in self._key_owner:
            raise ProposalError("admission.person.public_key", "was enrolled before")
        if "approver" in person.roles and person.key not in self._delegated:
            raise ProposalError("admission.person.public_key", "an approver's key must be delegated the list role")
        awaited = self._awaited.get(person.id)
        if awaited is not None and (awaited != person.key or "approver" not in person.roles):
            raise ProposalError("admission.person", f"{person.id} has signed as an approver with another key")
        if witness.person not in self._people:
            self._awaited[witness.person] = bytes.fromhex(witness.public_key)
        self._awaited.pop(person.id, None)
        self._people[person.id] = person
        self._key_owner[person.key] = person.id

    def _check_witness(self, person: Person, witness: Witness) -> None:
        """Whether the witness may sign for this person."""
        proposals.check_identifier(witness.person, "witness.person")
        if not keys.is_key(witness.public_key):
            raise ProposalError("witness.public_key", "a key in hexadecimal is expected")
        key = bytes.fromhex(witness.public_key)
        if witness.person == person.id or key == person.key:
            raise ProposalError("witness", "nobody signs their own enrolment or retirement")
        if key not in self._delegated:
            raise ProposalError("witness.public_key", "no delegated approver's key")
        enrolled = self._people.get(witness.person)
        if enrolled is not None:
            if enrolled.key != key or "approver" not in enrolled.roles:
                raise ProposalError("witness", f"{witness.person} is no approver with this key")
            return
        if self._decisions or key in self._key_owner:
            raise ProposalError("witness", f"{witness.person} is not enrolled")
        if self._awaited.get(witness.person, key) != key or any(
            other != witness.person and awaited == key for other, awaited in self._awaited.items()
        ):
            raise ProposalError("witness", f"{witness.person} has signed with another key, or another with theirs")

    def _decide(self, held: Any, index: int) -> Decision:
        proposal = proposals.build(held["header"])
        if self._awaited:
            raise CentralError(f"signed for others and not enrolled: {', '.join(sorted(self._awaited))}")
        if proposal.id in self._ids:
            raise ProposalError("header.id", "this proposal stands in the log already")
        proposer = self._people.get(proposal.proposer)
        if proposer is None or "editor" not in proposer.roles:
            raise ProposalError("header.proposer", f"{proposal.proposer} is no enrolled editor")
        if not _signed(proposer.public_key, proposals.PROPOSAL, proposal.digest, held["signature"]):
            raise ProposalError("signature", f"not {proposer.id}'s under this header")
        approvals = read_approvals(held["approvals"])
        for number, approval in enumerate(approvals):
            try:
                check_approval(proposal, proposer.key, approval, self._people.get(approval.approver), self._delegated)
            except ProposalError as error:
                raise ProposalError(f"approvals[{number}].{error.field}", error.reason) from error
        if len({approval.approver for approval in approvals}) != len(approvals):
            raise ProposalError("approvals", "one person approves once")
        if len(approvals) < proposal.approvers_needed:
            raise ProposalError("approvals", f"{proposal.approvers_needed} are needed, {len(approvals)} given")
        before = self._decisions[-1].decided_at if self._decisions else 0
        decided_at = max(before, approvals[-1].decided_at)
        return Decision(index, proposal, approvals, decided_at, proposal.effect(decided_at))


def check_approval(
    proposal: Proposal, proposer_key: bytes, approval: Approval, approver: Person | None, delegated: Collection[bytes]
) -> None:
    """Whether one approval counts.

    Args:
        proposal: What is approved.
        proposer_key: The raw key of who proposed it.
        approval: The signature.
        approver: Whom the approval names, if they are enrolled now.
        delegated: The raw public keys that approvers may have.

    Raises:
        ProposalError: It does not; the field is the approval's.
    """
    if approver is None or "approver" not in approver.roles:
        raise ProposalError("approver", f"{approval.approver} is no enrolled approver")
    if approver.id == proposal.proposer or approver.key == proposer_key:
        raise ProposalError("approver", "nobody approves what they proposed")
    if approver.key not in delegated:
        raise ProposalError("approver", f"{approver.id}'s key is not delegated the list role")
    if proposals.check_seconds(approval.decided_at, "decided_at") < proposal.proposed_at:
        raise ProposalError("decided_at", "earlier than the proposal")
    message = proposals.approval_message(proposal.digest, approval.decided_at)
    if not _signed(approver.public_key, proposals.APPROVAL, message, approval.signature):
        raise ProposalError("signature", f"not {approver.id}'s under this header and time")


def verify_log(steps: Iterable[bytes], delegated: Collection[bytes] | Delegated) -> Log:
    """A whole log, checked from its first step.

    Args:
        steps: Each step's bytes, in order.
        delegated: The raw public keys that approvers may have (`keys.raw`).

    Raises:
        LogError: A step is not what it must be; the error names it.
    """
    verifier = Verifier(delegated)
    for step in steps:
        verifier.add(step)
    return verifier.close()


def _signed(public_key: str, context: bytes, message: bytes, signature: Any) -> bool:
    """Whether a signature in hexadecimal holds."""
    if (
        not isinstance(signature, str)
        or len(signature) > 2 * keys.MAX_SIGNATURE_BYTES
        or signature != signature.lower()
    ):
        return False
    try:
        raw = bytes.fromhex(signature)
    except ValueError:
        return False
    return keys.holds(bytes.fromhex(public_key), context, message, raw)

"""The approvals log: who may decide, and everything that was decided, as a chain of steps.

Each step is one line of canonical JSON that holds its number and the SHA-256 of the step before (32 zero bytes before
the first). A step either enrols or retires a person, or brings a proposal with its signatures.

Holds always: what is read here has the form of a step and every field its bound; whether a step is believed is
`verifier`'s to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer

from blocklist_sync.central import canonical
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import keys, proposals
from blocklist_sync.central.log.proposals import Proposal, ProposalError
from lachan import durable

GENESIS = bytes(32)
PERSON = b"lachan/person/v1\0"
ROLES = ("approver", "custodian", "editor")
ENROL, RETIRE = "enrol", "retire"
MAX_STEP_BYTES = 1 << 16
MAX_STEPS = 1 << 20
MAX_APPROVALS = 16
MAX_NAME_CHARACTERS = 200


class LogError(CentralError):
    """The log is not one; `step` is where that shows, from 1."""

    def __init__(self, step: int, reason: str) -> None:
        self.step = step
        self.reason = reason
        super().__init__(f"log, step {step}: {reason}")


@dataclass(frozen=True)
class Person:
    """Somebody who takes part, and the key they sign with."""

    id: str
    name: str
    unit: str
    roles: tuple[str, ...]
    public_key: str
    """As `keys.raw` has it, hexadecimal."""

    def __post_init__(self) -> None:
        """Holds every field against its bound.

        Raises:
            ProposalError: One is beyond it.
        """
        proposals.check_identifier(self.id, "id")
        proposals.check_prose(self.name, "name", MAX_NAME_CHARACTERS)
        proposals.check_identifier(self.unit, "unit")
        if not self.roles or list(self.roles) != sorted(set(self.roles) & set(ROLES)):
            raise ProposalError("roles", f"some of {', '.join(ROLES)}, sorted, each once")
        if not keys.is_key(self.public_key):
            raise ProposalError("public_key", "a key in hexadecimal is expected")

    @property
    def key(self) -> bytes:
        """The key's bytes."""
        return bytes.fromhex(self.public_key)


@dataclass(frozen=True)
class Admission:
    """A person's enrolment or retirement, as an approver signs it."""

    change: str
    person: Person
    decided_at: int

    def document(self) -> dict[str, Any]:
        """As canonical JSON has it."""
        return {"change": self.change, "decided_at": self.decided_at, "person": asdict(self.person)}

    @property
    def digest(self) -> bytes:
        """What is signed."""
        return hashlib.sha256(canonical.encode(self.document())).digest()


@dataclass(frozen=True)
class Witness:
    """The approver who signed an admission."""

    person: str
    public_key: str
    signature: str


@dataclass(frozen=True)
class Approval:
    """One approver's signature under a proposal."""

    approver: str
    decided_at: int
    signature: str


@dataclass(frozen=True)
class Decision:
    """An approved proposal in a verified log."""

    index: int
    proposal: Proposal
    approvals: tuple[Approval, ...]
    decided_at: int
    """Its last approval, or the decision before it in the log if that was later."""
    effect_at: int
    """When it begins to count: its own date, or when it was decided if that was later."""


@dataclass(frozen=True)
class Log:
    """A verified log."""

    length: int
    head: bytes
    people: tuple[Person, ...]
    """Everybody enrolled and not retired."""
    decisions: tuple[Decision, ...]
    """In the order of the log."""

    def in_effect(self, as_of: int) -> list[Decision]:
        """What counts at a moment, in the order in which it is applied."""
        return sorted(
            (decision for decision in self.decisions if decision.effect_at <= as_of),
            key=lambda decision: (decision.effect_at, decision.index),
        )


def sign_admission(signer: Signer, witness: str, admission: Admission) -> Witness:
    """An approver's signature under somebody's enrolment or retirement."""
    signature = signer.sign(PERSON + admission.digest)
    return Witness(witness, keys.raw(signer.public_key).hex(), signature.signature)


def person_step(index: int, previous: bytes, admission: Admission, witness: Witness) -> bytes:
    """The step that enrols or retires somebody."""
    return canonical.encode(
        {
            "index": index,
            "previous": previous.hex(),
            "kind": "person",
            "admission": admission.document(),
            "witness": asdict(witness),
        }
    )


def proposal_step(
    index: int, previous: bytes, proposal: Proposal, signature: bytes, approvals: Iterable[Approval]
) -> bytes:
    """The step that brings a proposal, its approvals in the order in which they were given."""
    ordered = sorted(approvals, key=_given)
    return canonical.encode(
        {
            "index": index,
            "previous": previous.hex(),
            "kind": "proposal",
            "header": proposal.document(),
            "signature": signature.hex(),
            "approvals": [asdict(approval) for approval in ordered],
        }
    )


def hash_step(step: bytes) -> bytes:
    """What the next step names as `previous`, and the log as its head."""
    return hashlib.sha256(step).digest()


def read(path: Path) -> Iterator[bytes]:
    """The steps in a file, a line each.

    Raises:
        CentralError: It cannot be read.
        LogError: A line is too long or without its end.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_STEP_BYTES + 2):
                number += 1
                if not line.endswith(b"\n"):
                    raise LogError(number, f"longer than {MAX_STEP_BYTES} bytes, or without the end of its line")
                yield line[:-1]
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error


def write(path: Path, steps: Iterable[bytes]) -> None:
    """Writes steps to a file, a line each, durably.

    Raises:
        FileError: It cannot be written.
    """
    durable.write(path, (step + b"\n" for step in steps))


def _given(approval: Approval) -> tuple[int, str]:
    return approval.decided_at, approval.approver


def read_admission(document: object) -> Admission:
    """An admission from a step's document.

    Raises:
        ProposalError: It is none; the field is named.
    """
    held = proposals.shape(document, ("change", "decided_at", "person"), "admission")
    if held["change"] not in (ENROL, RETIRE):
        raise ProposalError("admission.change", f"neither {ENROL} nor {RETIRE}")
    proposals.check_seconds(held["decided_at"], "admission.decided_at")
    names = ("id", "name", "unit", "roles", "public_key")
    person = dict(proposals.shape(held["person"], names, "admission.person"))
    roles = person["roles"]
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise ProposalError("admission.person.roles", "a list of texts is expected")
    try:
        return Admission(held["change"], Person(**person | {"roles": tuple(roles)}), held["decided_at"])
    except ProposalError as error:
        raise ProposalError(f"admission.person.{error.field}", error.reason) from error


def read_approvals(documents: object) -> tuple[Approval, ...]:
    """A proposal's approvals from a step's document.

    Raises:
        ProposalError: They are none, or not in order; the field is named.
    """
    if not isinstance(documents, list) or len(documents) > MAX_APPROVALS:
        raise ProposalError("approvals", f"a list of at most {MAX_APPROVALS} is expected")
    found = []
    for number, document in enumerate(documents):
        place = f"approvals[{number}]"
        approval = Approval(**proposals.shape(document, ("approver", "decided_at", "signature"), place))
        proposals.check_identifier(approval.approver, f"{place}.approver")
        proposals.check_seconds(approval.decided_at, f"{place}.decided_at")
        found.append(approval)
    if found != sorted(found, key=_given):
        raise ProposalError("approvals", "must stand in the order in which they were given")
    return tuple(found)

"""What somebody asks to be changed in the list, and by which legal order: the header that is signed.

Holds always: a header has one form (canonical JSON), and its SHA-256 is what the proposer and every approver sign, each
under a context of its own, so that one signature is never the other; every field is bounded, and a fault names its
field. The changes themselves are a text of their own (`changes`), held by `changes_sha256`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from securesystemslib.signer import Signer

from blocklist_sync.artifact.categories import ALWAYS_MANDATED
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.orders import Order as Basis
from blocklist_sync.artifact.orders import check_text
from blocklist_sync.central import canonical
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.changes import MAX_CHANGES, Summary

FORMAT = "lachan-proposal 1"
PROPOSAL = b"lachan/proposal/v1\0"
APPROVAL = b"lachan/approval/v1\0"

KEY_BYTES = 32
MAX_TEXT_CHARACTERS = 2000
MAX_RAILS = 32
MAX_SECONDS = 1 << 40
URGENCIES = ("ordinary", "urgent", "unblock")

IDENTIFIER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ProposalError(CentralError):
    """A header that none can be approved by; `field` is where that shows."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


def check_identifier(value: object, field: str) -> str:
    """An identifier: of a person, a unit, a jurisdiction, a rail.

    Raises:
        ProposalError: It is none.
    """
    if not isinstance(value, str) or not IDENTIFIER.fullmatch(value):
        raise ProposalError(field, "1 to 63 of a-z, 0-9 and inner hyphens")
    return value


def check_prose(value: object, field: str, limit: int = MAX_TEXT_CHARACTERS) -> str:
    """A text for people: something in it, on one line, and no more than `limit` characters.

    Raises:
        ProposalError: It is none.
    """
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise ProposalError(field, f"1 to {limit} characters")
    if not value.isprintable() or value != value.strip():
        raise ProposalError(field, "printable text on one line, without blanks around it")
    return value


def check_seconds(value: object, field: str) -> int:
    """A moment in seconds since 1970-01-01 UTC.

    Raises:
        ProposalError: It is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < MAX_SECONDS:
        raise ProposalError(field, "seconds since 1970-01-01 UTC")
    return value


def check_digest(value: object, field: str) -> str:
    """SHA-256 in hexadecimal.

    Raises:
        ProposalError: It is none.
    """
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ProposalError(field, "64 lowercase hexadecimal digits")
    return value


def check_uuid(value: object, field: str) -> str:
    """A UUID as text.

    Raises:
        ProposalError: It is none.
    """
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ProposalError(field, "a UUID in lowercase is expected")
    return value


def _is_date(value: object) -> bool:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return False
    try:
        dt.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _check_count(value: object, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_CHANGES:
        raise ProposalError(field, f"0 to {MAX_CHANGES}")
    return value


def shape(value: object, names: tuple[str, ...], place: str) -> Mapping[str, Any]:
    """An object that has exactly these fields.

    Raises:
        ProposalError: It has not.
    """
    if not isinstance(value, dict):
        raise ProposalError(place, "an object is expected")
    prefix = f"{place}." if place != "header" else ""
    for name in names:
        if name not in value:
            raise ProposalError(prefix + name, "is missing")
    for name in value:
        if name not in names:
            raise ProposalError((prefix + name)[:80], "is unknown")
    return value


@dataclass(frozen=True)
class Order:
    """The legal order that a proposal carries out."""

    number: str
    date: str
    """YYYY-MM-DD."""
    issuer: str
    legal_basis: str
    urgency: str
    jurisdiction: str
    mandated: int
    """1: for everybody; 0: for profiles that ask for the category."""
    scan_sha256: str
    """Of the scanned document; empty where there is none."""

    @property
    def basis(self) -> Basis:
        """The order as entries bear it."""
        return Basis(self.number, bool(self.mandated))

    def check(self, place: str = "order") -> None:
        """Holds every field against its bound.

        Raises:
            ProposalError: One is beyond it.
        """
        try:
            check_text(check_prose(self.number, f"{place}.number"))
        except ArtifactError as error:
            raise ProposalError(f"{place}.number", str(error)) from error
        if not _is_date(self.date):
            raise ProposalError(f"{place}.date", "a date as YYYY-MM-DD is expected")
        check_prose(self.issuer, f"{place}.issuer")
        check_prose(self.legal_basis, f"{place}.legal_basis")
        if self.urgency not in URGENCIES:
            raise ProposalError(f"{place}.urgency", f"one of {', '.join(URGENCIES)}")
        check_identifier(self.jurisdiction, f"{place}.jurisdiction")
        if isinstance(self.mandated, bool) or self.mandated not in (0, 1):
            raise ProposalError(f"{place}.mandated", "1 or 0")
        if self.scan_sha256 != "":
            check_digest(self.scan_sha256, f"{place}.scan_sha256")


@dataclass(frozen=True)
class Rail:
    """A rail that the proposal asks to be overridden, and what it found."""

    rail: str
    detail: str


@dataclass(frozen=True)
class Proposal:
    """A header, whole and checked."""

    id: str
    order: Order
    effective_from: int
    review_by: int
    reason: str
    proposer: str
    proposed_at: int
    changes_sha256: str
    added: int
    removed: int
    rails: tuple[Rail, ...] = ()

    def __post_init__(self) -> None:
        """Holds every field against its bound.

        Raises:
            ProposalError: One is beyond it.
        """
        check_uuid(self.id, "id")
        self.order.check()
        check_seconds(self.effective_from, "effective_from")
        if check_seconds(self.review_by, "review_by") <= self.effective_from:
            raise ProposalError("review_by", "must be later than effective_from")
        check_prose(self.reason, "reason")
        check_identifier(self.proposer, "proposer")
        check_seconds(self.proposed_at, "proposed_at")
        check_digest(self.changes_sha256, "changes_sha256")
        if not _check_count(self.added, "added") + _check_count(self.removed, "removed"):
            raise ProposalError("added", "nothing is added and nothing removed")
        if len(self.rails) > MAX_RAILS:
            raise ProposalError("rails", f"more than {MAX_RAILS}")
        for number, rail in enumerate(self.rails):
            check_identifier(rail.rail, f"rails[{number}].rail")
            check_prose(rail.detail, f"rails[{number}].detail")
        if list(self.rails) != sorted(set(self.rails), key=lambda rail: (rail.rail, rail.detail)):
            raise ProposalError("rails", "must be sorted, each once")

    @property
    def approvers_needed(self) -> int:
        """How many people have to approve it."""
        return 2 if self.rails else 1

    def document(self) -> dict[str, Any]:
        """The header as canonical JSON has it."""
        return {"format": FORMAT, **asdict(self), "rails": [asdict(rail) for rail in self.rails]}

    def encode(self) -> bytes:
        """The header's one form."""
        return canonical.encode(self.document())

    @property
    def digest(self) -> bytes:
        """SHA-256 of the header: what is signed."""
        return hashlib.sha256(self.encode()).digest()

    def effect(self, decided_at: int) -> int:
        """When the changes begin to count, where they are decided at `decided_at`."""
        return max(self.effective_from, decided_at)


def build(document: object) -> Proposal:
    """The proposal that a header's document describes.

    Raises:
        ProposalError: It describes none.
    """
    names = tuple(field.name for field in fields(Proposal))
    held = shape(document, ("format", *names), "header")
    if held["format"] != FORMAT:
        raise ProposalError("format", f"not {FORMAT!r}")
    order = shape(held["order"], tuple(field.name for field in fields(Order)), "order")
    if not isinstance(held["rails"], list):
        raise ProposalError("rails", "a list is expected")
    rails = tuple(
        Rail(**shape(rail, ("rail", "detail"), f"rails[{number}]")) for number, rail in enumerate(held["rails"])
    )
    return Proposal(**{name: held[name] for name in names} | {"order": Order(**order), "rails": rails})


def parse(data: bytes) -> Proposal:
    """The proposal in a header's bytes.

    Raises:
        CanonicalError: They are not canonical JSON.
        ProposalError: A field is missing, unknown or beyond its bound.
    """
    return build(canonical.parse(data))


def check_changes(proposal: Proposal, summary: Summary) -> None:
    """Holds a proposal against its changes.

    Raises:
        ProposalError: They are others, or additions bear another order than the proposal's own.
    """
    if summary.digest.hex() != proposal.changes_sha256:
        raise ProposalError("changes_sha256", "the changes are others")
    for field, count in (("added", summary.added), ("removed", summary.removed)):
        if count != getattr(proposal, field):
            raise ProposalError(field, f"the changes hold {count}")
    for kind in summary.adding:
        if kind.order != proposal.order.basis:
            raise ProposalError("order", f"entries are added under {kind.order.text!r}, not under the proposal's order")
        if kind.category in ALWAYS_MANDATED and not kind.order.mandated:
            raise ProposalError("order.mandated", f"{kind.category.label} is mandated for everybody")


def approval_message(digest: bytes, decided_at: int) -> bytes:
    """What an approver signs, behind the context."""
    return digest + decided_at.to_bytes(8, "little")


def sign_proposal(signer: Signer, proposal: Proposal) -> bytes:
    """The proposer's signature."""
    return bytes.fromhex(signer.sign(PROPOSAL + proposal.digest).signature)


def sign_approval(signer: Signer, proposal: Proposal, decided_at: int) -> bytes:
    """An approver's signature."""
    return bytes.fromhex(signer.sign(APPROVAL + approval_message(proposal.digest, decided_at)).signature)

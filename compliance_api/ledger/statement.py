"""What a person signs when they take a step about a finding, and what they keep of it.

Holds always: one statement has one form, so that what was signed can be read in one way alone; it names the finding,
the step that it makes and the one it follows, so that it can be said once and nowhere else.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from compliance_api.ledger import pack
from compliance_api.ledger.pack import Digest, Document, LeafIndex
from lachan.ledger.errors import LedgerError
from lachan.signing import STATEMENT, STEP_RECEIPT, SigningError, SigningKey, VerifyKey

MAX_BYTES = 1 << 16
MAX_NOTE = 4000
MAX_NAME = 200
MAX_POSITION = 1000

FindingId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Position = Annotated[int, Field(ge=1, le=MAX_POSITION)]
Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
_IDENTIFIER = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
PersonName = Annotated[str, Field(pattern=rf"^lachan://{_IDENTIFIER}/person/{_IDENTIFIER}$")]

D = TypeVar("D", bound=Document)


class StatementError(LedgerError):
    """A statement, or what was kept of one, is not what it must be."""


class Order(Document):
    """Another order that an operator acted on."""

    number: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    authority: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


class Statement(Document):
    """What is signed."""

    format: Literal["lachan-finding-statement 1"] = "lachan-finding-statement 1"
    finding: FindingId
    position: Position
    """Of the step that it makes."""
    previous: Digest
    """SHA-256 of what the ledger holds of the step before."""
    action: Annotated[str, Field(pattern=r"^[a-z]{1,20}$")]
    person: PersonName
    note: Annotated[str, Field(max_length=MAX_NOTE)] = ""
    order: Order | None = None
    paper: bool = False
    """That the operator answered on paper, and the authority enters it."""


class Receipt(Document):
    """What the service signs when a step was taken."""

    format: Literal["lachan-step-receipt 1"] = "lachan-step-receipt 1"
    finding: FindingId
    position: Position
    statement: Digest
    """SHA-256 of the statement."""
    leaf: LeafIndex
    """Where it stands in the ledger."""
    taken_at: Annotated[int, Field(ge=0)]
    """Seconds since 1970, UTC."""


class Kept(Document):
    """All that somebody needs to show what they stated, and that it was taken."""

    format: Literal["lachan-kept-statement 1"] = "lachan-kept-statement 1"
    statement: Annotated[str, Field(max_length=MAX_BYTES)]
    signature: Signature
    key: Digest
    """The raw Ed25519 key of who signed."""
    receipt: Annotated[str, Field(max_length=MAX_BYTES)]
    receipt_signature: Signature


def digest(data: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _parse(form: type[D], data: bytes, name: str) -> D:
    if len(data) > MAX_BYTES:
        raise StatementError(f"{name}: more than {MAX_BYTES} bytes")
    try:
        made = form.model_validate_json(data)
    except ValidationError as error:
        raise StatementError(f"{name}: {pack.reasons(error)}") from error
    if made.encode() != data:
        raise StatementError(f"{name}: not in its one form")
    return made


def parse(data: bytes) -> Statement:
    """A statement.

    Raises:
        StatementError: It is none, or not in its one form.
    """
    return _parse(Statement, data, "statement")


def parse_receipt(data: bytes) -> Receipt:
    """A receipt.

    Raises:
        StatementError: It is none, or not in its one form.
    """
    return _parse(Receipt, data, "receipt")


def parse_kept(data: bytes) -> Kept:
    """What somebody kept.

    Raises:
        StatementError: It is not that, or not in its one form.
    """
    return _parse(Kept, data, "kept statement")


def sign(key: SigningKey, made: Statement) -> bytes:
    """The signature of a statement."""
    return key.sign(STATEMENT, made.encode())


def check(key: bytes, data: bytes, signature: bytes) -> None:
    """Checks that whoever holds this raw key signed this statement.

    Raises:
        StatementError: They did not.
    """
    try:
        VerifyKey.from_raw(key).verify(STATEMENT, data, signature)
    except SigningError as error:
        raise StatementError(f"statement: {error}") from error


def receipt(key: SigningKey, made: Receipt) -> tuple[bytes, bytes]:
    """A receipt's bytes and their signature."""
    data = made.encode()
    return data, key.sign(STEP_RECEIPT, data)


def check_receipt(key: VerifyKey, data: bytes, signature: bytes, stated: bytes) -> Receipt:
    """A receipt for a statement, by the service that has this key.

    Raises:
        StatementError: It is for another one, or not the service's.
    """
    found = parse_receipt(data)
    try:
        key.verify(STEP_RECEIPT, data, signature)
    except SigningError as error:
        raise StatementError(f"receipt: {error}") from error
    made = parse(stated)
    if (found.finding, found.position, found.statement) != (made.finding, made.position, digest(stated)):
        raise StatementError("receipt: for another statement")
    return found

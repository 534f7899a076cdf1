"""What a pack of evidence says it holds, leaf by leaf, and whether that is so.

    evidence.json    each leaf with its kind, whom it is about, whether it is opened, and what it is cited as
    finding.json     the finding, with the evidence that it cites

Holds always: in a full pack every leaf is opened, unless it was erased by its retention, and even then it is named if
the finding cites it; what a report or an observation is cited as is read from its own bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from compliance_api.ledger import pack
from compliance_api.ledger.pack import Document, LeafIndex, PackError
from compliance_api.ledger.signatures import SIGNED, Signed
from compliance_api.ledger.wire import Message
from lachan.ledger.leaf import Kind

EVIDENCE = "evidence.json"
FINDING = "finding.json"
MAX_BYTES = 1 << 26


class Piece(Document):
    """One leaf."""

    index: LeafIndex
    kind: Kind
    subject: Annotated[str, Field(max_length=300)]
    state: Literal["opened", "erased", "missing"]
    reference: Annotated[str, Field(max_length=200)] = ""
    """What findings cite it as: a report's SHA-256, an observation's `ASSIGNMENT/INDEX`; empty for other kinds."""


class Evidence(Document):
    """`evidence.json`."""

    format: Literal["lachan-evidence 1"] = "lachan-evidence 1"
    form: Literal["full", "redacted"]
    operator: Annotated[str, Field(max_length=100)]
    finding: Annotated[str, Field(max_length=100)]
    pieces: Annotated[list[Piece], Field(max_length=pack.MAX_LEAVES)]
    withheld: dict[str, int] | None = None
    """Of a redacted one, how many leaves of each kind are not in it."""


def parse(data: bytes) -> Evidence:
    """`evidence.json`.

    Raises:
        PackError: It is not that, or not in its one form.
    """
    try:
        made = Evidence.model_validate_json(data)
    except ValidationError as error:
        raise PackError(f"{EVIDENCE}: {pack.reasons(error)}") from error
    if made.encode() != data:
        raise PackError(f"{EVIDENCE}: not in its canonical form")
    return made


def reference(kind: Kind, content: bytes) -> str:
    """What findings cite a leaf as, read from its content.

    Raises:
        PackError: It is no such content.
    """
    if kind not in SIGNED:
        return ""
    message = Signed.read(content).message
    if kind is not Kind.OBSERVATION:
        return hashlib.sha256(message).hexdigest()
    found = Message(message)
    return f"{found.data(1).hex()}/{found.number(2)}"


def cited(data: bytes) -> set[tuple[str, str]]:
    """The kinds and references of the leaves that a finding cites.

    Raises:
        PackError: It is no finding.
    """
    try:
        pieces = json.loads(data)["evidence"]
        found = {(str(one["kind"]), str(one["reference"])) for one in pieces}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise PackError(f"{FINDING}: no finding with its evidence") from error
    return {one for one in found if one[0] in SIGNED}


def cited_at_opening(content: bytes) -> set[tuple[str, str]]:
    """The same of a leaf of kind finding: what it cited when it was entered, whatever the pack says of it now."""
    try:
        pieces = json.loads(content).get("evidence", [])
        found = {(str(kind), str(name)) for kind, name in pieces}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return set()
    return {one for one in found if one[0] in SIGNED}


def missing(
    told: Evidence, opened: Mapping[int, tuple[Kind, str]], finding: bytes, entered: Mapping[int, set[tuple[str, str]]]
) -> Iterator[tuple[str, str]]:
    """What should be opened and is not, with its place.

    Args:
        told: What the pack says it holds.
        opened: Kind and reference of each leaf that is opened and holds, by its index.
        finding: `finding.json`.
        entered: What the finding's own leaves cite, by their indexes.

    Raises:
        PackError: The finding is none.
    """
    for one in told.pieces:
        if told.form == "full" and one.state != "erased" and one.index not in opened:
            yield pack.leaf_name(one.index), f"{one.kind} of {one.subject}: its content is not in the pack"
    if told.form == "full":
        there = {(str(kind), name) for kind, name in opened.values()}
        for kind, name in sorted(cited(finding) - there):
            yield FINDING, f"it cites {kind} {name}, which is not opened in the pack"
        for index, names in entered.items():
            for kind, name in sorted(names - there):
                yield pack.leaf_name(index), f"it cites {kind} {name}, which is not opened in the pack"


def differing(told: Evidence, opened: Mapping[int, tuple[Kind, str]]) -> Iterator[tuple[str, str]]:
    """Leaves that are not what the pack says they are, with their places."""
    for one in told.pieces:
        found = opened.get(one.index)
        if found is not None and found != (one.kind, one.reference):
            yield (
                pack.leaf_name(one.index),
                f"is {found[0]} {found[1]}, and {EVIDENCE} calls it {one.kind} {one.reference}",
            )
        elif found is not None and one.state != "opened":
            yield pack.leaf_name(one.index), f"is opened, and {EVIDENCE} calls it {one.state}"

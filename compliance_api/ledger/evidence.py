"""What a pack of evidence says it holds, leaf by leaf, and whether that is so.

    evidence.json    each leaf with its kind, whom it is about, whether it is opened, and what it is cited as
    finding.json     the finding, with the evidence that it cites (`compliance_api.ledger.accusation`)

Holds always: in a full pack every leaf is opened, unless it was erased by its retention, and even then it is named if
the finding cites it; what a report or an observation is cited as is read from its own bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from compliance_api.ledger import document, pack
from compliance_api.ledger.accusation import FINDING, cited, cited_at_opening
from compliance_api.ledger.pack import Document, LeafIndex, PackError
from compliance_api.ledger.signatures import SIGNED, Signed
from compliance_api.ledger.wire import Message
from lachan.ledger import tree
from lachan.ledger.leaf import Kind

EVIDENCE = "evidence.json"
MAX_BYTES = 1 << 26

_MAX_QUESTIONS = 10_000


class Piece(Document):
    """One leaf."""

    index: LeafIndex
    kind: Kind
    subject: Annotated[str, Field(max_length=300)]
    state: Literal["opened", "erased", "missing"]
    reference: Annotated[str, Field(max_length=200)] = ""
    """What findings cite it as: a report's SHA-256, an observation's `ASSIGNMENT/INDEX`, a counted day's digest, the
    challenge that an opening is of, or a challenge itself; empty for other kinds."""


class Evidence(Document):
    """`evidence.json`."""

    format: Literal["lachan-evidence 1"] = "lachan-evidence 1"
    form: Literal["full", "redacted"]
    operator: Annotated[str, Field(max_length=100)]
    finding: Annotated[str, Field(max_length=100)]
    as_of: Annotated[int, Field(ge=0, le=tree.MAX_SIZE)]
    """How many leaves the ledger had: the same number gives the same pack."""
    scope: Literal["whole", "cited"]
    """All leaves of the finding's nodes from the first to the last of the evidence, or those that it leads to."""
    pieces: Annotated[list[Piece], Field(max_length=pack.MAX_LEAVES)]
    unreported: dict[str, list[int]] | None = None
    """Of a full one, the questions of cited sessions that no observation answers, by assignment in hexadecimal."""
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
    if kind is Kind.TALLY:
        return str(document.read(content).get("digest", ""))
    if kind is Kind.CHALLENGE:
        # A seed, which draws them, is cited by nobody.
        return str(document.read(content).get("challenge", ""))
    if kind not in SIGNED:
        return ""
    message = Signed.read(content).message
    if kind in {Kind.REPORT, Kind.UNVERIFIED_REPORT}:
        return hashlib.sha256(message).hexdigest()
    found = Message(message)
    if kind is Kind.OPENING:
        return found.data(1).hex()
    return f"{found.data(1).hex()}/{found.number(2)}"


def is_deed(content: bytes) -> bool:
    """Whether a leaf of kind finding is a step that somebody took, and says nothing of what was found."""
    made = document.read(content)
    step = made.get("step")
    return isinstance(step, dict) and step.get("position") != 0 and "evidence" not in made and "counts" not in made


def is_of_person(content: bytes) -> bool:
    """Whether a leaf of kind enrolment or revocation is about a person."""
    return "/person/" in str(document.read(content).get("party"))


def missing(
    told: Evidence, opened: Mapping[int, tuple[Kind, str]], finding: bytes, entered: Mapping[int, bytes]
) -> Iterator[tuple[str, str]]:
    """What should be opened and is not, with its place.

    Args:
        told: What the pack says it holds.
        opened: Kind and reference of each leaf that is opened and holds, by its index.
        finding: `finding.json`.
        entered: The finding's own leaves by their indexes.

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
        for index, content in entered.items():
            for kind, name in sorted(cited_at_opening(content) - there):
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


def unanswered(
    told: Evidence, opened: Mapping[int, tuple[Kind, str]], finding: bytes, asked: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    """Questions of sessions that are cited, which are neither answered in the pack nor named as unreported.

    Args:
        told: What the pack says it holds.
        opened: Kind and reference of each leaf that is opened and holds, by its index.
        finding: `finding.json`.
        asked: How many questions each assignment had that is opened, by its hexadecimal id.

    Raises:
        PackError: The finding is none.
    """
    if told.form != "full":
        return
    answers = {name for kind, name in opened.values() if kind is Kind.OBSERVATION}
    for session in sorted({name.partition("/")[0] for kind, name in cited(finding) if kind == Kind.OBSERVATION}):
        if session not in asked:
            yield FINDING, f"it cites the session {session}, whose assignment is not opened in the pack"
            continue
        named = set((told.unreported or {}).get(session, ()))
        lost = [one for one in range(asked[session]) if one not in named and f"{session}/{one}" not in answers]
        if lost:
            numbers = ", ".join(map(str, lost[:10]))
            yield FINDING, f"of the session {session} questions {numbers} are neither answered nor unreported"


def questions(content: bytes) -> tuple[str, int] | None:
    """An assignment's hexadecimal id, and how many questions it has; None where a leaf is no such thing."""
    made = document.read(content)
    count, name = made.get("questions"), made.get("assignment")
    if made.get("type") != "assignment" or not isinstance(count, int) or not isinstance(name, str):
        return None
    return (name, count) if 0 <= count <= _MAX_QUESTIONS else None

"""`finding.json`: what a pack says was found, held against what the ledger was told of it.

Holds always: it is read in one way alone; in a full pack each thing it says is what the newest of the finding's own
leaves says, the evidence with all its details, the passage of the law and the times among them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from compliance_api.ledger import document, pack
from compliance_api.ledger.pack import PackError
from compliance_api.ledger.signatures import SIGNED
from lachan import canonical
from lachan.ledger.leaf import Kind

FINDING = "finding.json"
CITED = SIGNED | {Kind.TALLY, Kind.CHALLENGE}
"""Kinds of leaves that findings cite by a reference in their content."""

_ABOUT = ("finding", "operator", "jurisdiction", "kind", "node")
_SAID = ("since", "law", "counts")
_TOLD_LATER = ("last_seen", "citation")
"""Leaves of before say nothing of these."""


def digest(pieces: Any) -> str:
    """What a leaf has of the evidence beside its references: SHA-256 of all its details.

    Raises:
        ValueError: They have no one form.
    """
    return hashlib.sha256(canonical.encode({"evidence": pieces})).hexdigest()


def cited(data: bytes) -> set[tuple[str, str]]:
    """The kinds and references of the leaves that a finding cites.

    Raises:
        PackError: It is no finding.
    """
    try:
        found = {(str(one["kind"]), str(one["reference"])) for one in document.read(data)["evidence"]}
    except (TypeError, KeyError) as error:
        raise PackError(f"{FINDING}: no finding with its evidence") from error
    return {one for one in found if one[0] in CITED}


def cited_at_opening(content: bytes) -> set[tuple[str, str]]:
    """The same of a leaf of kind finding: what it cited when it was entered, whatever the pack says of it now."""
    try:
        found = {(str(kind), str(name)) for kind, name in document.read(content).get("evidence", [])}
    except (ValueError, TypeError):
        return set()
    return {one for one in found if one[0] in CITED}


def contradicting(
    finding: str, operator: str, data: bytes, entered: Mapping[int, bytes], *, full: bool
) -> Iterator[tuple[str, str]]:
    """Where the finding is not what the ledger was told of it, with the place.

    Args:
        finding: Its id.
        operator: Whom the pack is about.
        data: `finding.json`.
        entered: The finding's own leaves by their indexes.
        full: Whether those leaves have to be there; in an operator's form what was found is withheld.
    """
    shown = document.read(data)
    if (shown.get("finding"), shown.get("operator")) != (finding, operator):
        yield FINDING, "is not the finding that the pack is about"
    if not full:
        return
    documents = {index: document.read(content) for index, content in entered.items()}
    said = {index: one for index, one in documents.items() if "counts" in one}
    if not said:
        yield FINDING, "no leaf in the pack says what was found"
        return
    newest = max(said)
    for name in (*_ABOUT, *_SAID, *(one for one in _TOLD_LATER if one in said[newest])):
        if shown.get(name) != said[newest].get(name):
            yield FINDING, f"its {name} is not what leaf {newest} says"
    if sorted(cited(data)) != sorted(cited_at_opening(entered[newest])) or not _detailed(shown, said[newest]):
        yield FINDING, f"its evidence is not what leaf {newest} says"
    for index, one in documents.items():
        if one.get("finding") != finding:
            yield pack.leaf_name(index), "is of another finding"
        step = one.get("step")
        if isinstance(step, dict) and step.get("position") == 0 and shown.get("opened_at") != step.get("at"):
            yield FINDING, f"its opened_at is not what leaf {index} says"


def _detailed(shown: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    try:
        return "details" not in told or digest(shown.get("evidence")) == told["details"]
    except ValueError:
        return False

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from lachan.ledger import leaf, tree
from lachan.ledger.leaf import Kind, Opening, OpeningError
from tests.support.ledger import NOON, forest

OPENING = Opening(bytes(range(32)), Kind.REPORT, NOON, b'{"queries":7}')


def test_a_commitment_is_what_the_format_says() -> None:
    written = (
        b"lachan/leaf/v1\0"
        + bytes(range(32))
        + b"\x06report"
        + NOON.to_bytes(8, "big")
        + (13).to_bytes(8, "big")
        + b'{"queries":7}'
    )
    assert OPENING.commitment == hashlib.sha256(written).digest()
    OPENING.check(OPENING.commitment)


@pytest.mark.parametrize(
    "other",
    [
        replace(OPENING, salt=bytes(32)),
        replace(OPENING, kind=Kind.FINDING),
        replace(OPENING, entered_at=NOON - 1),
        replace(OPENING, content=b'{"queries":8}'),
    ],
)
def test_nothing_else_opens_it(other: Opening) -> None:
    with pytest.raises(OpeningError, match=f"this {other.kind} is not what was committed to"):
        other.check(OPENING.commitment)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"salt": bytes(31)}, "salt: 31 bytes"),
        ({"entered_at": -1}, "entered_at: -1"),
        ({"entered_at": leaf.MAX_TIME + 1}, "entered_at"),
        ({"content": bytes(leaf.MAX_CONTENT_BYTES + 1)}, "content: 16777217 bytes"),
    ],
)
def test_an_opening_is_bounded(change: dict[str, object], reason: str) -> None:
    with pytest.raises(OpeningError, match=reason):
        replace(OPENING, **change)


def test_proofs_hold_when_the_content_is_erased() -> None:
    woods = forest(6)
    at = woods.add(OPENING.commitment)
    # All that is left of the opening is its commitment.
    tree.verify_inclusion(tree.leaf_hash(woods.commitments[at]), at, woods.size, woods.inclusion(at), woods.root())

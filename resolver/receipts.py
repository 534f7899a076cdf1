"""The authority's receipts, held against the reports they are for.

Holds always: a receipt is over that very report's digest, signed with a key that was pinned here beforehand; a leaf is
that very report's, and stands under the head.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from google.protobuf.message import DecodeError

from lachan import signing
from lachan.compliance.v1 import report_pb2 as pb
from lachan.compliance.v1.audit_service_pb2 import ProvenLeaf
from lachan.ledger import tree
from lachan.ledger.batch import signed
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.errors import LedgerError
from lachan.ledger.leaf import Kind, Opening
from lachan.signing import SigningError, VerifyKey

# One whose signature the authority finds wrong is kept as evidence of that.
_KINDS = frozenset({Kind.REPORT, Kind.UNVERIFIED_REPORT})


def pinned(paths: Iterable[Path]) -> dict[bytes, VerifyKey]:
    """Public keys (PEM files) by their ids.

    Raises:
        SigningError: One cannot be read.
    """
    return {key.key_id: key for key in map(VerifyKey.load, paths)}


def check(receipt: pb.SignedReceipt, digest: bytes, keys: Mapping[bytes, VerifyKey]) -> None:
    """Holds a receipt against the digest of the report it should be for.

    Raises:
        SigningError: It is another report's, or not signed with a pinned key.
    """
    key = keys.get(receipt.key_id)
    if key is None:
        raise SigningError(f"is signed with key {receipt.key_id.hex()[:64]}, which is not pinned")
    key.verify(signing.RECEIPT, receipt.receipt, receipt.signature)
    try:
        content = pb.Receipt.FromString(receipt.receipt)
    except DecodeError as error:
        raise SigningError("is signed, but no receipt") from error
    if content.report_digest != digest:
        raise SigningError("is another report's")


def check_leaf(leaf: ProvenLeaf | None, report: pb.SignedReport, index: int, head: Checkpoint) -> None:
    """Holds a leaf against the report that should be in it, and against a head that is believed.

    Raises:
        LedgerError: It is another report's, or does not stand there.
    """
    if leaf is None or not leaf.HasField("opening"):
        raise LedgerError(f"leaf {index} is not shown")
    if leaf.opening.kind not in _KINDS:
        raise LedgerError(f"leaf {index} is no report's")
    content = signed(report.report, report.signature, report.key_id)
    opening = Opening(leaf.opening.salt, Kind(leaf.opening.kind), leaf.opening.entered_at, content)
    opening.check(leaf.commitment)
    tree.verify_inclusion(tree.leaf_hash(leaf.commitment), index, head.size, leaf.proof, head.root)


def proofs_of(
    positions: Sequence[int],
    reports: Sequence[pb.SignedReport],
    receipts: Sequence[pb.SignedReceipt],
    keys: Mapping[bytes, VerifyKey],
) -> tuple[dict[int, bytes], str]:
    """Proofs by the positions of their reports, and what is wrong with the first answer that proves nothing."""
    proofs: dict[int, bytes] = {}
    wrong = "" if len(receipts) == len(reports) else f"{len(receipts)} receipts for {len(reports)} reports"
    for position, report, receipt in zip(positions, reports, receipts, strict=False):
        digest = hashlib.sha256(report.report).digest()
        try:
            check(receipt, digest, keys)
        except SigningError as error:
            wrong = wrong or f"report {digest.hex()[:16]}: its receipt: {error}"
        else:
            proofs[position] = receipt.SerializeToString(deterministic=True)
    return proofs, wrong

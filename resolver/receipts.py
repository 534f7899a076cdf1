"""The authority's receipts, held against the reports they are for.

Holds always: a proof is a receipt over that very report's digest, signed with a key that was pinned here beforehand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from google.protobuf.message import DecodeError

from lachan import signing
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import SigningError, VerifyKey


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

"""What an operator keeps to show what it reported: every proven report in one file, and whether each of them holds.

    a line for each, as JSON: when it was proven (`stored_at`, Unix time), and `proof`, a `ProvenReceipt` in base64

Holds always: nothing is asked of the authority; a report holds where its receipt is by a key from outside, its own
bytes open the leaf that the receipt names, and that leaf stands under a head that a policy from outside believes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from lachan.compliance.v1 import report_pb2
from lachan.compliance.v1.audit_service_pb2 import ProvenReceipt
from lachan.ledger import note
from lachan.ledger.errors import LedgerError
from lachan.signing import SigningError, VerifyKey
from lachan.spool import Proof, Spool
from resolver.control import Message
from resolver.errors import ResolverError
from resolver.heads import Believers
from resolver.receipts import check, check_leaf

MAX_PROOFS = 100_000
MAX_LINE_BYTES = 4 << 20


class ProofError(ResolverError):
    """A file of proofs, or where one shall go, is not what it must be."""


@dataclass(frozen=True)
class Shown:
    """A report of such a file."""

    digest: str
    """SHA-256 of the report's own bytes."""
    node: str
    sequence: int
    window_start: int
    index: int
    """Of its leaf."""
    wrong: str
    """Why it is not proven; empty where it is."""


def lines(proofs: Sequence[Proof]) -> Iterator[bytes]:
    """Proofs as a file has them, the oldest first."""
    for one in reversed(proofs):
        told = {"stored_at": int(one.stored_at), "proof": base64.b64encode(one.proof).decode()}
        yield json.dumps(told, separators=(",", ":")).encode() + b"\n"


def handler(spool: Spool, message: Message, fds: list[int]) -> tuple[Message, Sequence[int]]:
    """The command `receipts`: writes proofs into the file that came with it.

    Raises:
        ProofError: None came, or something that could make this process wait.
        SpoolError: The spool cannot be read.
    """
    if len(fds) != 1 or not stat.S_ISREG(os.fstat(fds[0]).st_mode):
        raise ProofError("one open file is expected")
    proofs = spool.proofs(min(max(int(message["last"]), 1), MAX_PROOFS))
    with open(fds[0], "wb", closefd=False) as file:
        file.writelines(lines(proofs))
    return {"proofs": len(proofs)}, ()


def verify(data: Iterator[bytes], keys: Mapping[bytes, VerifyKey], believers: Believers, now: int) -> Iterator[Shown]:
    """Each report of a file, with what is wrong with it.

    Args:
        data: The file's lines.
        keys: The authority's keys of receipts by their ids; from outside.
        believers: Whom to believe about the ledger; from outside.
        now: Seconds since 1970, UTC.

    Raises:
        ProofError: A line is none; it is named.
    """
    for number, line in enumerate(data, 1):
        try:
            if len(line) > MAX_LINE_BYTES or number > MAX_PROOFS:
                raise ProofError(f"line {number}: more than is read")
            raw = base64.b64decode(json.loads(line)["proof"], validate=True)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProofError(f"line {number}: no report with its proof") from error
        yield _shown(raw, keys, believers, now)


def _shown(raw: bytes, keys: Mapping[bytes, VerifyKey], believers: Believers, now: int) -> Shown:
    digest, node, sequence, start, index, wrong = b"", "", 0, 0, 0, ""
    try:
        proof = ProvenReceipt.FromString(raw)
        if not proof.checkpoint or not proof.HasField("report"):
            return Shown("", "", 0, 0, 0, "is kept with a receipt alone, or without its own bytes")
        own = report_pb2.Report.FromString(proof.report.report)
        node, sequence, start = f"{own.organisation}/{own.node}", own.sequence, own.window_start
        digest = hashlib.sha256(proof.report.report).digest()
        check(proof.receipt, digest, keys)
        index = report_pb2.Receipt.FromString(proof.receipt.receipt).index
        head = believers.check(note.parse(proof.checkpoint), now).checkpoint
        check_leaf(proof.leaf, proof.report, index, head)
    except DecodeError:
        wrong = "is kept with a receipt alone, or damaged"
    except (LedgerError, SigningError) as error:
        wrong = str(error)
    return Shown(digest.hex(), node, sequence, start, index, wrong)

"""What a log asks of a witness, and the answer (C2SP tlog-witness, `add-checkpoint`): bytes in, bytes out.

Holds always: only what the witness took is answered by a cosignature; every refusal has the status that C2SP gives it,
and says why in a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from compliance_api.ledger.witness import SplitViewError, StaleSizeError, Witness
from lachan.durable import FileError
from lachan.ledger import checkpoint, note, tree
from lachan.ledger.note import NoteError, SignatureError
from lachan.ledger.policy import LogSignatureError, UnknownLogError
from lachan.ledger.tree import ProofError

MAX_LINE_BYTES = 64
MAX_BODY_BYTES = note.MAX_NOTE_BYTES + (tree.MAX_PROOF_HASHES + 2) * MAX_LINE_BYTES
PLAIN = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"


@dataclass(frozen=True)
class Submission:
    """A checkpoint, and the proof that it continues a tree of `old` leaves."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True)
class Reply:
    """What goes back."""

    status: HTTPStatus
    form: str
    body: bytes


def parse(body: bytes) -> Submission:
    """A submission from a request's body.

    Raises:
        NoteError: It is none; the line is named.
    """
    if len(body) > MAX_BODY_BYTES:
        raise NoteError(0, f"larger than {MAX_BODY_BYTES} bytes")
    head, blank, signed = body.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise NoteError(head.count(b"\n", 0, error.start) + 1, "not ASCII") from error
    if not blank or not lines[0].startswith("old "):
        raise NoteError(1, "not `old`, a size, the proof's lines, an empty line and a checkpoint")
    if len(lines) - 1 > tree.MAX_PROOF_HASHES:
        raise NoteError(0, f"a proof of more than {tree.MAX_PROOF_HASHES} lines")
    old = checkpoint.parse_number(lines[0].removeprefix("old "), 1, "the old size")
    proof = [note.unbase64(one, line, "the hash", tree.HASH_BYTES) for line, one in enumerate(lines[1:], 2)]
    return Submission(old, tuple(proof), signed)


def answer(witness: Witness, body: bytes, now: int) -> Reply:
    """Lets the witness decide.

    Args:
        witness: The one who is asked; by one thread at a time.
        body: The request's, whatever it is.
        now: Seconds since 1970, UTC.
    """
    try:
        asked = parse(body)
        signature = witness.add_checkpoint(asked.old, asked.proof, asked.checkpoint, now)
    except StaleSizeError as error:
        return Reply(HTTPStatus.CONFLICT, SIZE, f"{error.size}\n".encode())
    except (SplitViewError, SignatureError, LogSignatureError, UnknownLogError, NoteError, ProofError) as error:
        return Reply(_STATUS.get(type(error), HTTPStatus.BAD_REQUEST), PLAIN, f"{error}\n".encode())
    except FileError:
        # Where its files are is no business of who asks.
        return Reply(HTTPStatus.SERVICE_UNAVAILABLE, PLAIN, b"the checkpoint cannot be kept now\n")
    return Reply(HTTPStatus.OK, PLAIN, f"{signature}\n".encode())


_STATUS: dict[type[Exception], HTTPStatus] = {
    SplitViewError: HTTPStatus.CONFLICT,
    SignatureError: HTTPStatus.FORBIDDEN,
    LogSignatureError: HTTPStatus.FORBIDDEN,
    UnknownLogError: HTTPStatus.NOT_FOUND,
    ProofError: HTTPStatus.UNPROCESSABLE_ENTITY,
}

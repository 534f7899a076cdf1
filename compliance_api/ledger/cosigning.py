"""What a log sends to a witness and makes of its reply (C2SP tlog-witness, `add-checkpoint`): bytes in, decision out.

Holds always: a cosignature counts only with the witness's known key under the very head that was sent, and with a time
close to ours; whatever else a witness says changes nothing but where the next proof begins.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from compliance_api.ledger.submission import SIZE
from lachan.ledger import checkpoint, note
from lachan.ledger.note import Note, NoteError, NoteKey, Signature

MAX_REPLY_BYTES = note.MAX_NOTE_BYTES
CLOCK_TOLERANCE_S = 60
"""Seconds by which a cosignature's time may differ from ours. A witness that is further off could, alone, make the log
look backdated; the verifier's own tolerance (`compliance_api.ledger.verify.TOLERANCE_S`) is wider."""
MAX_SHOWN = 200


class Failure(StrEnum):
    """Why a witness brought no cosignature."""

    UNREACHABLE = "unreachable"
    """No reply, or none in time."""
    REFUSED = "refused"
    """Another status than the protocol has, or a request that the witness finds wrong."""
    CONTRADICTED = "contradicted"
    """It says that this head contradicts one that it cosigned: the log has split or was rewritten."""
    AHEAD = "ahead"
    """It has cosigned a larger tree of this log than there is here: leaves were lost."""
    SIGNATURE = "signature"
    """What it sent is no cosignature of its own under this head."""
    CLOCK = "clock"
    """Its cosignature's time is too far from ours."""


@dataclass(frozen=True)
class Stale:
    """The proof has to begin at another size."""

    size: int


@dataclass(frozen=True)
class Refusal:
    """No cosignature."""

    failure: Failure
    detail: str


def request(old: int, proof: Sequence[bytes], signed: bytes) -> bytes:
    """The body of a request.

    Args:
        old: The size that the witness has cosigned last, as far as known.
        proof: That the head continues it.
        signed: The head as the log signed it.
    """
    lines = "".join(f"{base64.b64encode(one).decode()}\n" for one in proof)
    return f"old {old}\n{lines}\n".encode() + signed


def _shown(body: bytes) -> str:
    return ascii(body[:MAX_SHOWN].decode(errors="replace").strip())


def read(status: int, form: str, body: bytes, head: Note, key: NoteKey, now: int) -> Signature | Stale | Refusal:
    """What a reply says.

    Args:
        status: HTTP's.
        form: The content type.
        body: At most `MAX_REPLY_BYTES`.
        head: What was sent.
        key: The witness's.
        now: Seconds since 1970, UTC.
    """
    if status == HTTPStatus.CONFLICT and form.partition(";")[0].strip() == SIZE:
        try:
            size = checkpoint.parse_number(body.decode("ascii").removesuffix("\n"), 1, "the size")
        except (UnicodeDecodeError, NoteError) as error:
            return Refusal(Failure.REFUSED, f"409 without a size: {error}")
        if size > checkpoint.parse(head.text).size:
            return Refusal(Failure.AHEAD, f"it has cosigned {size} leaves")
        return Stale(size)
    if status in (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY):
        return Refusal(Failure.CONTRADICTED, f"{status} {_shown(body)}")
    if status != HTTPStatus.OK:
        return Refusal(Failure.REFUSED, f"{status} {_shown(body)}")
    return _cosignature(body, head, key, now)


def _cosignature(body: bytes, head: Note, key: NoteKey, now: int) -> Signature | Refusal:
    try:
        lines = body.decode().removesuffix("\n").split("\n")[: note.MAX_SIGNATURES]
        found = [note.parse_signature(line, number) for number, line in enumerate(lines, 1)]
        own = [one for one in found if (one.name, one.id) == (key.name, key.id)][:1]
        times = note.verify(Note(head.text, tuple(own)), [key])
    except (UnicodeDecodeError, NoteError) as error:
        return Refusal(Failure.SIGNATURE, str(error))
    if not own:
        return Refusal(Failure.SIGNATURE, "its reply has no signature of its key")
    if abs(times[key] - now) > CLOCK_TOLERANCE_S:
        return Refusal(Failure.CLOCK, f"cosigned at {times[key]}, which is {times[key] - now:+} s from now")
    return own[0]

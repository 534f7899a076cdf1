"""Signed notes (C2SP signed-note): a text, and under it the signatures of those who stand for it.

Holds always: a note that parses has exactly one form in bytes; a signature counts only for a key that was known before,
by its name *and* its id, and one that then does not hold refuses the whole note. Unknown signatures are ignored.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from lachan.ledger.errors import LedgerError
from lachan.signing import SigningError, SigningKey, VerifyKey

MAX_NOTE_BYTES = 1 << 16
MAX_SIGNATURES = 64
MAX_KEY_NAME_CHARACTERS = 200
MAX_TIME = (1 << 63) - 1
MARK = "\u2014 "
_ID_BYTES, _TIME_BYTES = 4, 8

# The formats are C2SP's, so that other witnesses understand them. The text has no control characters but newlines, and
# thus begins with no context of `lachan.signing`, all of which have one.
_PLAIN = b""
_COSIGNED = b"cosignature/v1\n"


class NoteError(LedgerError):
    """A note is not one; `line` is where that shows, from 1, or 0 for the whole."""

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        super().__init__(f"line {line}: {reason}" if line else reason)


class SignatureError(NoteError):
    """A signature of a known key does not hold."""


class SignatureKind(IntEnum):
    """What a key signs, and how; part of the key's id."""

    ED25519 = 1
    COSIGNATURE = 4


def unbase64(text: str, line: int, what: str, length: int | None = None) -> bytes:
    """The bytes of a standard base64 text, of which only the one canonical form is taken.

    Raises:
        NoteError: It is none, or of another length.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(line, f"{what} is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise NoteError(line, f"{what} is not canonical base64")
    if length is not None and len(data) != length:
        raise NoteError(line, f"{what} is {len(data)} bytes long, not {length}")
    return data


def is_key_name(name: str) -> bool:
    """Whether this can name a key."""
    printable = name.isprintable() and not any(one.isspace() or one == "+" for one in name)
    return printable and 0 < len(name) <= MAX_KEY_NAME_CHARACTERS


@dataclass(frozen=True)
class NoteKey:
    """A public key under the name and for the kind of signature it is known for."""

    name: str
    kind: SignatureKind
    key: VerifyKey

    def __post_init__(self) -> None:
        """Holds the name against its form.

        Raises:
            NoteError: It cannot name a key.
        """
        if not is_key_name(self.name):
            raise NoteError(0, f"{self.name!r} cannot name a key")

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart; no protection."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key.raw).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """The verifier key in text: `name+id+base64(kind, key)`."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.key.raw).decode()}"

    @classmethod
    def parse(cls, text: str, line: int = 0) -> NoteKey:
        """A verifier key from its text.

        Raises:
            NoteError: It is none, of another kind, or its id belongs to another key.
        """
        name, *rest = text.split("+", 2)
        if len(rest) != 2 or not is_key_name(name):
            raise NoteError(line, "not a verifier key: name+id+base64")
        data = unbase64(rest[1], line, "the key", 33)
        try:
            made = cls(name, SignatureKind(data[0]), VerifyKey.from_raw(data[1:]))
        except (ValueError, SigningError) as error:
            raise NoteError(line, f"the key of {name} is neither Ed25519 nor for cosignatures") from error
        if made.id.hex() != rest[0]:
            raise NoteError(line, f"the id {rest[0]!r} is not that of the key of {name}, which is {made.id.hex()}")
        return made


@dataclass(frozen=True)
class Signature:
    """A line under a note; nothing about it is known to hold."""

    name: str
    id: bytes
    data: bytes

    def __str__(self) -> str:
        """The line, without its newline."""
        return f"{MARK}{self.name} {base64.b64encode(self.id + self.data).decode()}"


@dataclass(frozen=True)
class Note:
    """A text and the lines under it."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """The note's bytes."""
        return (self.text + "\n" + "".join(f"{one}\n" for one in self.signatures)).encode()

    def with_signatures(self, more: Iterable[Signature]) -> Note:
        """The note with more lines under it, each once."""
        return Note(self.text, tuple(dict.fromkeys((*self.signatures, *more))))


def parse_signature(line: str, number: int) -> Signature:
    """A signature line.

    Raises:
        NoteError: It is none.
    """
    name, _, encoded = line.removeprefix(MARK).partition(" ")
    if not line.startswith(MARK) or not is_key_name(name):
        raise NoteError(number, "not a signature line: em dash, space, key name, space, base64")
    data = unbase64(encoded, number, "the signature")
    if len(data) <= _ID_BYTES:
        raise NoteError(number, "the signature is empty")
    return Signature(name, data[:_ID_BYTES], data[_ID_BYTES:])


def parse(data: bytes) -> Note:
    """A note from its bytes; nothing in it is to be believed before `verify`.

    Raises:
        NoteError: It is none; the line is named.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise NoteError(0, f"larger than {MAX_NOTE_BYTES} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise NoteError(data.count(b"\n", 0, error.start) + 1, "not UTF-8") from error
    for number, line in enumerate(whole.split("\n"), 1):
        if any(one < " " for one in line):
            raise NoteError(number, "a control character")
    at = whole.rfind("\n\n")
    if at < 0 or not whole.endswith("\n"):
        raise NoteError(whole.count("\n") + 1, "no blank line and signatures, each line ended, after the text")
    text, first = whole[: at + 1], whole.count("\n", 0, at + 2) + 1
    lines = whole[at + 2 :].split("\n")[:-1]
    if not 0 < len(lines) <= MAX_SIGNATURES:
        raise NoteError(first, f"{len(lines)} signatures, not 1 to {MAX_SIGNATURES}")
    return Note(text, tuple(parse_signature(line, number) for number, line in enumerate(lines, first)))


def sign(text: str, name: str, key: SigningKey) -> Signature:
    """An Ed25519 signature of a text under a name."""
    known = NoteKey(name, SignatureKind.ED25519, key.public)
    return Signature(name, known.id, key.sign(_PLAIN, text.encode()))


def _cosigned(text: str, time: int) -> bytes:
    return f"time {time}\n{text}".encode()


def cosign(text: str, name: str, key: SigningKey, time: int) -> Signature:
    """A timestamped cosignature (C2SP tlog-cosignature, v1) of a checkpoint's text.

    Args:
        text: The checkpoint's text.
        name: The witness's.
        key: The witness's, and used for nothing else.
        time: Seconds since 1970, UTC.

    Raises:
        NoteError: No such time can be written.
    """
    if not 0 <= time <= MAX_TIME:
        raise NoteError(0, f"{time} is no time to cosign at")
    known = NoteKey(name, SignatureKind.COSIGNATURE, key.public)
    signed = key.sign(_COSIGNED, _cosigned(text, time))
    return Signature(name, known.id, time.to_bytes(_TIME_BYTES, "big") + signed)


def _verify_one(text: str, known: NoteKey, signature: Signature) -> int:
    """The time of a cosignature, or 0 of another signature, that holds."""
    at = _TIME_BYTES if known.kind is SignatureKind.COSIGNATURE else 0
    time, signed = int.from_bytes(signature.data[:at], "big"), signature.data[at:]
    try:
        # A signature of another length is one that does not hold.
        if known.kind is SignatureKind.COSIGNATURE:
            known.key.verify(_COSIGNED, _cosigned(text, time), signed)
        else:
            known.key.verify(_PLAIN, text.encode(), signed)
    except SigningError as error:
        raise SignatureError(0, f"the signature of {known.name} ({known.id.hex()}) does not hold") from error
    if time > MAX_TIME:
        raise SignatureError(0, f"the cosignature of {known.name} has a time out of range")
    return time


def verify(note: Note, keys: Sequence[NoteKey]) -> dict[NoteKey, int]:
    """Those of the keys that signed this note, each with the time it named (0 where the kind has none).

    A key that cosigned twice is there once, with its latest time.

    Raises:
        SignatureError: A signature of one of the keys does not hold.
    """
    known = {(one.name, one.id): one for one in keys}
    found: dict[NoteKey, int] = {}
    for signature in note.signatures:
        key = known.get((signature.name, signature.id))
        if key is not None:
            time = _verify_one(note.text, key, signature)
            found[key] = max(time, found.get(key, 0))
    return found

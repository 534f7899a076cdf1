"""Checkpoints (C2SP tlog-checkpoint): which log, how many leaves, which root.

Holds always: a checkpoint's text has one form; extension lines, which no auditor could judge, are refused.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from lachan.ledger import note, tree
from lachan.ledger.note import Note, NoteError
from lachan.signing import SigningKey

MAX_SIZE_DIGITS = len(str(tree.MAX_SIZE))


def parse_number(text: str, line: int, what: str) -> int:
    """A decimal number without leading zeroes, at most the largest tree's size.

    Raises:
        NoteError: It is none.
    """
    plain = text.isascii() and text.isdigit() and len(text) <= MAX_SIZE_DIGITS
    if not plain or (text[0] == "0" and text != "0") or int(text) > tree.MAX_SIZE:
        raise NoteError(line, f"{what} is not a decimal number of at most {tree.MAX_SIZE} without leading zeroes")
    return int(text)


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log at one size."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        """Holds every field against its bound.

        Raises:
            NoteError: One is beyond it; lines are those of the text.
        """
        if not note.is_key_name(self.origin):
            raise NoteError(1, "the origin is not a name without blanks and plus signs")
        if not 0 <= self.size <= tree.MAX_SIZE:
            raise NoteError(2, f"no tree has {self.size} leaves")
        if len(self.root) != tree.HASH_BYTES:
            raise NoteError(3, f"the root is {len(self.root)} bytes long, not {tree.HASH_BYTES}")
        if self.size == 0 and self.root != tree.EMPTY_ROOT:
            raise NoteError(3, "not the root of the empty tree")

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def signed(self, key: SigningKey) -> Note:
        """The checkpoint as its log publishes it; the log's key has the name of its origin."""
        return Note(self.text, (note.sign(self.text, self.origin, key),))


def parse(text: str) -> Checkpoint:
    """A checkpoint from a note's text.

    Raises:
        NoteError: It is none; the line is named.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop():
        raise NoteError(len(lines), "not the three lines of a checkpoint: origin, size, root")
    if len(lines) > 3:
        raise NoteError(4, "an extension line")
    size = parse_number(lines[1], 2, "the size")
    return Checkpoint(lines[0], size, note.unbase64(lines[2], 3, "the root", tree.HASH_BYTES))

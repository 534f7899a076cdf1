"""The ledger's last head that this edge believed, on its disk, and the proof if the ledger ever contradicted itself.

Holds always: a head is kept only if the pinned policies believe it and it continues the one kept before; of two that
contradict each other both are kept, signed as they came, and nothing later is believed until somebody has looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lachan import durable
from lachan.ledger import checkpoint, note, tree
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.errors import LedgerError
from lachan.ledger.note import Note, NoteError
from lachan.ledger.policy import Believed
from lachan.ledger.tree import ProofError

CHECKPOINT = "checkpoint"
CONTRADICTED = "contradicted"
CONTRADICTION = "contradiction"


class ContradictionError(LedgerError):
    """The ledger was split or rewritten: two heads, believed by the same policy, that cannot both be of one log."""


class OlderHeadError(LedgerError):
    """A head is smaller than the one kept."""


class Believers(Protocol):
    """Who say whether a head counts (`lachan.ledger.policy`, `resolver.trust`)."""

    def check(self, signed: Note, now: int) -> Believed:
        """The head, believed; LedgerError where it is not."""


class Heads:
    """What is kept in a folder."""

    def __init__(self, folder: Path, believers: Believers) -> None:
        """Takes up what is there.

        Raises:
            LedgerError: What is there is no head.
            FileError: It cannot be read.
        """
        self._folder = folder
        self._believers = believers
        durable.make_folder(folder)
        path = folder / CHECKPOINT
        self._data = durable.read(path, note.MAX_NOTE_BYTES) if path.exists() else b""
        try:
            self.kept = checkpoint.parse(note.parse(self._data).text) if self._data else None
        except NoteError as error:
            raise LedgerError(f"{path}: {error}") from error

    @property
    def contradicted(self) -> bool:
        """Whether two heads are kept that contradict each other; removing the file ends it."""
        return (self._folder / CONTRADICTION).exists()

    def look(self, data: bytes, now: int) -> Checkpoint:
        """A head as it came, believed by the policy and not older than the one kept.

        Raises:
            LedgerError: The policy does not believe it.
            OlderHeadError: It is older.
            ContradictionError: It has another root than the one kept of its size; both are on the disk now.
            FileError: They cannot be kept.
        """
        head = self._believers.check(note.parse(data), now).checkpoint
        if self.kept is None or head == self.kept:
            return head
        if head.origin != self.kept.origin:
            raise LedgerError(f"a head of {head.origin}, and not of {self.kept.origin}")
        if head.size < self.kept.size:
            raise OlderHeadError(f"a head of {head.size} leaves, after one of {self.kept.size}")
        if head.size == self.kept.size:
            self._contradict(data, f"two roots of one tree of {head.size} leaves")
        return head

    def take(self, data: bytes, head: Checkpoint, proof: Sequence[bytes]) -> None:
        """Keeps a head that was looked at, with the proof that it continues the one kept.

        Raises:
            ContradictionError: It is not shown to; both are on the disk now.
            FileError: It cannot be kept.
        """
        if self.kept is not None:
            try:
                tree.verify_consistency(self.kept.size, head.size, self.kept.root, head.root, proof)
            except ProofError as error:
                self._contradict(data, str(error))
        durable.write(self._folder / CHECKPOINT, [data])
        self._data, self.kept = data, head

    def _contradict(self, data: bytes, reason: str) -> None:
        """Keeps both heads, the first pair of them, and says so."""
        if not self.contradicted:
            durable.write(self._folder / CONTRADICTED, [self._data])
            durable.write(self._folder / CONTRADICTION, [data])
        raise ContradictionError(f"{reason}; both heads are kept in {self._folder}")

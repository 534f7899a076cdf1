"""A witness: it lets a log only grow, and says so with a timestamped cosignature (C2SP tlog-witness).

Holds always: a checkpoint is on the disk before its cosignature leaves, so that after any crash the witness cosigns
nothing that contradicts what it ever cosigned; a log that is not known here gets nothing; a state that cannot be read
is an error, never a fresh start. A signed checkpoint that contradicts the one kept is kept too: it is the proof.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lachan import durable
from lachan.ledger import checkpoint, note, tree
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.errors import LedgerError
from lachan.ledger.note import NoteError, NoteKey, Signature
from lachan.ledger.policy import LogSignatureError, UnknownLogError
from lachan.signing import SigningKey


class StaleSizeError(LedgerError):
    """The log began its proof at another size than the one cosigned last: `size`, from which it may try again."""

    def __init__(self, origin: str, size: int) -> None:
        self.size = size
        super().__init__(f"{origin}: the last size cosigned here is {size}")


class RollbackError(StaleSizeError):
    """The log signed a tree smaller than the one cosigned last."""


class SplitViewError(LedgerError):
    """The log signed two trees that cannot both be its own; the second is kept as the proof of that."""


class WitnessStateError(LedgerError):
    """What a witness kept is not what it wrote."""


class Witness:
    """One witness over its folder; made by `opened`, which lets no second one near."""

    def __init__(self, folder: Path, name: str, key: SigningKey, logs: Sequence[NoteKey]) -> None:
        """Takes up what the folder holds.

        Raises:
            WitnessStateError: It is not what a witness wrote about these logs.
            FileError: It cannot be read.
        """
        self._folder = folder
        self._name = name
        self._key = key
        self._logs = logs
        self._last = {log.name: kept for log in logs if (kept := self._load(log.name))}

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, name: str, key: SigningKey, logs: Sequence[NoteKey]) -> Iterator[Witness]:
        """Holds the folder for this process and takes up what is in it.

        Raises:
            FileError: Another process holds it, or it cannot be read.
            WitnessStateError: It is not what a witness wrote about these logs.
        """
        durable.make_folder(folder)
        with durable.lock(folder):
            yield cls(folder, name, key, logs)

    def _path(self, origin: str, suffix: str) -> Path:
        # An origin has slashes and may be long.
        return self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()}.{suffix}"

    def _load(self, origin: str) -> Checkpoint | None:
        path = self._path(origin, "checkpoint")
        if not path.exists():
            return None
        try:
            kept = note.parse(durable.read(path, note.MAX_NOTE_BYTES))
            own = NoteKey(self._name, note.SignatureKind.COSIGNATURE, self._key.public)
            cosigned = note.verify(kept, [own])
            head = checkpoint.parse(kept.text)
        except NoteError as error:
            raise WitnessStateError(f"{path}: {error}") from error
        if not cosigned or head.origin != origin:
            raise WitnessStateError(f"{path}: not a checkpoint of {origin} cosigned with this witness's key")
        return head

    def last(self, origin: str) -> Checkpoint | None:
        """The checkpoint cosigned last."""
        return self._last.get(origin)

    def add_checkpoint(self, old: int, proof: Sequence[bytes], data: bytes, now: int) -> Signature:
        """Cosigns a checkpoint that continues the last one.

        Args:
            old: The size that the proof begins at, which must be the last one cosigned here, or 0.
            proof: The consistency proof from there; empty from 0.
            data: The checkpoint as its log signed it.
            now: Seconds since 1970, UTC.

        Raises:
            NoteError: It is no checkpoint, or smaller than where the proof begins.
            SignatureError: A known signature under it does not hold.
            UnknownLogError: Its log is not one of ours.
            LogSignatureError: Its log did not sign it.
            RollbackError: It is smaller than the last one.
            StaleSizeError: The proof begins elsewhere; not the log's fault where another request came first.
            SplitViewError: Another root at the same size.
            ProofError: It is not shown to continue the last one.
            FileError: It cannot be kept, and so is not cosigned.
        """
        signed = note.parse(data)
        head = checkpoint.parse(signed.text)
        keys = [one for one in self._logs if one.name == head.origin]
        if not keys:
            raise UnknownLogError(f"the log {head.origin} is not witnessed here")
        if not note.verify(signed, keys):
            raise LogSignatureError(f"no signature of the log {head.origin} under its checkpoint of {head.size} leaves")
        if old > head.size:
            raise NoteError(0, f"the proof begins at {old} leaves, and the checkpoint has {head.size}")
        last = self._last.get(head.origin, Checkpoint(head.origin, 0, tree.EMPTY_ROOT))
        if head.size < last.size:
            raise RollbackError(head.origin, last.size)
        if head.size == last.size and head.root != last.root:
            self._keep_contradiction(head.origin, signed.encode())
            raise SplitViewError(f"{head.origin}: two roots of one tree of {head.size} leaves")
        if old != last.size:
            raise StaleSizeError(head.origin, last.size)
        tree.verify_consistency(last.size, head.size, last.root, head.root, proof)
        signature = note.cosign(signed.text, self._name, self._key, now)
        ours = note.Note(signed.text, tuple(one for one in signed.signatures if one.name == head.origin))
        durable.write(self._path(head.origin, "checkpoint"), [ours.with_signatures([signature]).encode()])
        self._last[head.origin] = head
        return signature

    def _keep_contradiction(self, origin: str, data: bytes) -> None:
        """Keeps the first one; a log gone bad shall not fill the disk."""
        path = self._path(origin, "contradiction")
        if not path.exists():
            durable.write(path, [data])

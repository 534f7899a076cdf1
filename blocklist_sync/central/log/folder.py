"""The approvals log as files, so that it can be carried to a signer's machine.

    steps.jsonl             the log, a step a line        changes/SHA256.changes   what each proposal changes
    fingerprint.seed        what fingerprint keys are drawn from, the same for everybody who rebuilds

Holds always: a folder proves nothing by itself; `verified` says what in it was signed by whom, and that it continues
the log that was signed into the published list.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from blocklist_sync.artifact.records import KEY_BYTES, FingerprintKey
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import approvals
from blocklist_sync.central.log.approvals import GENESIS, Decision, Log
from blocklist_sync.central.log.verifier import Delegated, Verifier
from lachan import durable

SEED_BYTES = 32


@dataclass(frozen=True)
class Checkpoint:
    """How far the log reached when the published list was signed; nothing of that may have changed since."""

    length: int = 0
    head: bytes = GENESIS


def take(steps: Iterable[bytes], keys: Delegated, checkpoint: Checkpoint, length: int | None = None) -> Log:
    """Verifies a log, or its first `length` steps.

    Args:
        steps: Each step's bytes.
        keys: What the top-level targets delegate, and did before.
        checkpoint: What the published list was signed with.
        length: How many steps; all if None.

    Raises:
        CentralError: It is shorter, or not the one that was signed before.
        LogError: A step is not what it must be.
    """
    verifier = Verifier(keys)
    for step in islice(steps, length):
        verifier.add(step)
        if verifier.length == checkpoint.length and verifier.head != checkpoint.head:
            raise CentralError(
                f"the log was rewritten: its step {checkpoint.length} is not the one that the published list was "
                "signed with"
            )
    wanted = max(checkpoint.length, length or 0)
    if verifier.length < wanted:
        raise CentralError(f"the log has {verifier.length} steps, where {wanted} are needed")
    return verifier.close()


class LogFolder:
    """A folder with a log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps_path = folder / "steps.jsonl"
        self._seed_path = folder / "fingerprint.seed"

    def changes_path(self, digest: str) -> Path:
        """Where the changes of a digest are."""
        return self.folder / "changes" / f"{digest}.changes"

    def text_of(self, decision: Decision) -> Path:
        """Where a decision's changes are."""
        return self.changes_path(decision.proposal.changes_sha256)

    def verified(self, keys: Delegated, checkpoint: Checkpoint, length: int | None = None) -> Log:
        """The log, or its first `length` steps; the changes are checked where they are read.

        Raises:
            CentralError: It is shorter, or not the one that was signed before.
            LogError: A step is not what it must be.
        """
        return take(approvals.read(self.steps_path), keys, checkpoint, length)

    def head_at(self, length: int) -> bytes:
        """The hash of the log's first `length` steps, as it is written; empty where it has not so many."""
        if not length:
            return GENESIS
        step = next(islice(approvals.read(self.steps_path), length - 1, None), None)
        return approvals.hash_step(step) if step is not None else b""

    def heads(self) -> list[bytes]:
        """The hash of every length of the log, as it is written, from none of its steps to all."""
        return [GENESIS, *map(approvals.hash_step, approvals.read(self.steps_path))]

    def cut(self, log: Log, length: int) -> Log:
        """A verified log as it was when it had `length` steps.

        Raises:
            CentralError: It never had so many.
        """
        if length > log.length:
            raise CentralError(f"the log has {log.length} steps, not {length}")
        decisions = tuple(decision for decision in log.decisions if decision.index <= length)
        return replace(log, length=length, head=self.head_at(length), decisions=decisions)

    @property
    def has_seed(self) -> bool:
        """Whether there is a seed already."""
        return self._seed_path.exists()

    def drawn_seed(self) -> bytes:
        """The seed, drawn where there is none yet: where the list is built, and nowhere else.

        Raises:
            CentralError: The file is not one.
        """
        if not self.has_seed:
            self.keep_seed(secrets.token_bytes(SEED_BYTES))
        return self.seed()

    def keep_seed(self, seed: bytes) -> None:
        """Keeps the seed that was handed over.

        Raises:
            CentralError: It is none.
            FileError: It cannot be written.
        """
        if len(seed) != SEED_BYTES:
            raise CentralError(f"a fingerprint seed has {SEED_BYTES} bytes, not {len(seed)}")
        durable.make_folder(self.folder)
        durable.write(self._seed_path, [seed])

    def seed(self) -> bytes:
        """What fingerprint keys are drawn from.

        Raises:
            CentralError: The file is not one.
            FileError: There is none.
        """
        seed = durable.read(self._seed_path, SEED_BYTES)
        if len(seed) != SEED_BYTES:
            raise CentralError(f"{self._seed_path}: not {SEED_BYTES} bytes")
        return seed


def fingerprint_key(seed: bytes, epoch: int, draw: int) -> FingerprintKey:
    """The fingerprint key of an epoch; `draw` counts the keys of it under which names collide.

    A function of the seed, so that nobody can choose a key under which an innocent name has a listed one's fingerprint.
    """
    material = b"lachan/fingerprint-key/v1\0" + seed + epoch.to_bytes(4, "little") + draw.to_bytes(4, "little")
    return FingerprintKey(epoch, hashlib.sha256(material).digest()[:KEY_BYTES])

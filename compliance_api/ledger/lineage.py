"""The heads of a pack: signed, cosigned, and each tree the beginning of the next.

Holds always: only what the policy from outside believes is a head; every step between two of them is proven.
"""

from __future__ import annotations

from compliance_api.ledger import pack
from compliance_api.ledger.outcome import Flaw, Outcome
from compliance_api.ledger.pack import Folder, PackError
from lachan.durable import FileError
from lachan.ledger import note, tree
from lachan.ledger.errors import LedgerError
from lachan.ledger.note import Note
from lachan.ledger.policy import Believed, Policy
from lachan.ledger.tree import ProofError


class Lineage:
    """The heads that a pack brings; `heads` has those that are believed, the smallest first."""

    def __init__(self, files: Folder, believed: Policy, now: int, outcome: Outcome) -> None:
        self._files = files
        self._policy = believed
        self._now = now
        self._outcome = outcome
        self.heads: list[Believed] = []

    def _believe(self, place: str, signed: Note, origin: str) -> Believed | None:
        try:
            believed = self._policy.check(signed, self._now)
        except LedgerError as error:
            self._outcome.name(Flaw.CHECKPOINT, place, error)
            return None
        if believed.checkpoint.origin != origin:
            self._outcome.name(Flaw.CHECKPOINT, place, f"of the log {believed.checkpoint.origin}, not {origin}")
            return None
        return believed

    def check(self, origin: str) -> None:
        """Every checkpoint is believed, and each tree begins with the one before."""
        names = sorted(one for one in self._files.names if one.startswith(pack.CHECKPOINTS))
        if not 0 < len(names) <= pack.MAX_CHECKPOINTS:
            self._outcome.name(
                Flaw.CHECKPOINT, pack.CHECKPOINTS, f"{len(names)} files, not 1 to {pack.MAX_CHECKPOINTS}"
            )
            return
        for name in names:
            try:
                signed = note.parse(self._files.read(name, note.MAX_NOTE_BYTES))
            except (LedgerError, FileError) as error:
                self._outcome.name(Flaw.CHECKPOINT, name, error)
                continue
            believed = self._believe(name, signed, origin)
            if believed is not None and name != pack.checkpoint_name(believed.checkpoint.size):
                self._outcome.name(Flaw.CHECKPOINT, name, f"is the checkpoint of {believed.checkpoint.size} leaves")
            elif believed is not None:
                self.heads.append(believed)
        self.heads.sort(key=lambda one: one.checkpoint.size)
        for before, after in zip(self.heads, self.heads[1:], strict=False):
            self._check_step(before, after)
        self._outcome.head = self.heads[-1] if self.heads else None

    def _check_step(self, before: Believed, after: Believed) -> None:
        old, new = before.checkpoint, after.checkpoint
        name = pack.consistency_name(old.size, new.size)
        try:
            proof = pack.parse_hashes(name, self._files.read(name, pack.MAX_DOCUMENT_BYTES))
            tree.verify_consistency(old.size, new.size, old.root, new.root, proof)
        except ProofError as error:
            self._outcome.name(Flaw.REWRITTEN, name, error)
        except (PackError, FileError) as error:
            self._outcome.name(Flaw.FILE, name, error)

    def pinned(self, pinned: Note, origin: str) -> None:
        """The pack goes through the checkpoint that whoever asks has kept."""
        believed = self._believe("pinned", pinned, origin)
        if believed is None:
            return
        own = believed.checkpoint
        same = [one.checkpoint for one in self.heads if one.checkpoint.size == own.size]
        if not same:
            self._outcome.name(Flaw.UNPINNED, "pinned", f"the pack has no believed checkpoint of {own.size} leaves")
        elif same[0].root != own.root:
            name = pack.checkpoint_name(own.size)
            self._outcome.name(
                Flaw.SPLIT_VIEW, name, f"another root than the pinned checkpoint of {own.size} leaves has"
            )

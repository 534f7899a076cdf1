"""Whether a pack of evidence holds, decided offline, with keys and a pinned checkpoint from outside the pack.

Holds always: nothing inside the pack is believed but by a key from outside; every problem is named with its place, not
only the first; a leaf that the pack is about is there or named as missing.

When a leaf was entered is its own word. It is held against the witnesses': it was not in the tree that they cosigned
before it, and was in the one after. Of their times the one that leaves less room counts, so that one witness who lies
with the log makes none; a log that keeps to the rules takes no cosignature whose time is far from its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from compliance_api.ledger import challenged, evidence, pack
from compliance_api.ledger.challenged import Challenged
from compliance_api.ledger.evidence import Evidence, Piece
from compliance_api.ledger.outside import Outside
from compliance_api.ledger.pack import Contents, Folder, PackError
from compliance_api.ledger.signatures import SIGNED, ForgedError, Signers, UnknownKeyError
from compliance_api.ledger.steps import Steps
from lachan import durable
from lachan.durable import FileError
from lachan.ledger import leaf, note, policy, tree
from lachan.ledger.errors import LedgerError
from lachan.ledger.leaf import Kind, Opening, OpeningError
from lachan.ledger.note import Note, NoteError
from lachan.ledger.policy import Believed, Policy
from lachan.ledger.tree import ProofError

MAX_PROBLEMS = 1000
TOLERANCE_S = 300
"""Seconds between a leaf's entry and the next round of cosigning, and by which clocks may differ."""


class Flaw(StrEnum):
    """What can be wrong with a pack."""

    FILE = "file"
    """A file is missing, was changed, or is not what it must be."""
    CHECKPOINT = "checkpoint"
    """A checkpoint lacks signatures, or one does not hold."""
    SPLIT_VIEW = "split_view"
    """Two roots of one size."""
    REWRITTEN = "rewritten"
    """A later tree does not begin with an earlier one."""
    UNPINNED = "unpinned"
    """The pack does not go through the checkpoint that was pinned."""
    DROPPED = "dropped"
    """A leaf that the pack is about is not in it."""
    NOT_INCLUDED = "not_included"
    """A leaf is not in the tree at its place."""
    EDITED = "edited"
    """The content is not what was committed to."""
    BACKDATED = "backdated"
    """A leaf claims to have been entered before it was."""
    POSTDATED = "postdated"
    """A leaf claims to have been entered after it was."""
    FORGED = "forged"
    """A message does not bear the signature of whom it is said to be of."""
    CONTRADICTED = "contradicted"
    """The finding is not what the ledger was told of it."""
    UNKNOWN_KEY = "unknown_key"
    """The pack does not open the leaf that told the ledger of a signer's key."""
    IRREGULAR = "irregular"
    """A step was taken that might not be, by this person or at this time."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where."""

    flaw: Flaw
    place: str
    detail: str

    def __str__(self) -> str:
        """A line."""
        return f"{self.place}: {self.flaw}: {self.detail}"


@dataclass
class Outcome:
    """What a pack's ledger part came to."""

    origin: str = ""
    head: Believed | None = None
    opened: int = 0
    hidden: int = 0
    """Leaves that are there by their commitments alone."""
    unreported: int = 0
    """Questions of cited sessions whose probes told no answer."""
    answers: list[str] = field(default_factory=list)
    """Whose word each answer in it is."""
    problems: list[Problem] = field(default_factory=list)
    """`MAX_PROBLEMS` at most."""

    @property
    def holds(self) -> bool:
        """Whether all of it does."""
        return not self.problems


class _Verifier:
    def __init__(self, files: Folder, believed: Policy, outside: Outside, now: int) -> None:
        self._files = files
        self._policy = believed
        self._outside = outside
        self._now = now
        self._heads: list[Believed] = []
        self._opened: dict[int, tuple[Kind, str]] = {}
        # The finding's own leaves, and how many questions each assignment had.
        self._findings: dict[int, bytes] = {}
        self._asked: dict[str, int] = {}
        self._entered: dict[int, int] = {}
        self._signers = Signers()
        self._challenged = Challenged()
        self.outcome = Outcome()

    def _name(self, flaw: Flaw, place: str, error: Exception | str) -> None:
        if len(self.outcome.problems) < MAX_PROBLEMS:
            self.outcome.problems.append(Problem(flaw, place, str(error).removeprefix(f"{place}: ")))

    def check_index(self) -> None:
        """Every file is in the index as it is there, and no other."""
        try:
            digests = self._files.index()
        except (PackError, FileError) as error:
            self._name(Flaw.FILE, pack.INDEX, error)
            return
        for name in sorted((self._files.names | set(digests)) - {pack.INDEX}):
            if name not in digests:
                self._name(Flaw.FILE, name, "is not in the index")
            elif name not in self._files.names:
                self._name(Flaw.FILE, name, "is missing")
            elif self._files.digest(name) != digests[name]:
                self._name(Flaw.FILE, name, "was changed: its SHA-256 is not the index's")

    def contents(self) -> tuple[Contents, list[int]] | None:
        """What the pack is about."""
        try:
            found = pack.parse_contents(self._files.read(pack.CONTENTS, pack.MAX_DOCUMENT_BYTES))
            self.outcome.origin = found.origin
            return found, list(found.indexes())
        except (PackError, FileError) as error:
            self._name(Flaw.FILE, pack.CONTENTS, error)
            return None

    def _believe(self, place: str, signed: Note, origin: str) -> Believed | None:
        try:
            believed = self._policy.check(signed, self._now)
        except LedgerError as error:
            self._name(Flaw.CHECKPOINT, place, error)
            return None
        if believed.checkpoint.origin != origin:
            self._name(Flaw.CHECKPOINT, place, f"of the log {believed.checkpoint.origin}, not {origin}")
            return None
        return believed

    def check_heads(self, origin: str) -> None:
        """Every checkpoint is believed, and each tree begins with the one before."""
        names = sorted(one for one in self._files.names if one.startswith(pack.CHECKPOINTS))
        if not 0 < len(names) <= pack.MAX_CHECKPOINTS:
            self._name(Flaw.CHECKPOINT, pack.CHECKPOINTS, f"{len(names)} files, not 1 to {pack.MAX_CHECKPOINTS}")
            return
        for name in names:
            try:
                signed = note.parse(self._files.read(name, note.MAX_NOTE_BYTES))
            except (LedgerError, FileError) as error:
                self._name(Flaw.CHECKPOINT, name, error)
                continue
            believed = self._believe(name, signed, origin)
            if believed is not None and name != pack.checkpoint_name(believed.checkpoint.size):
                self._name(Flaw.CHECKPOINT, name, f"is the checkpoint of {believed.checkpoint.size} leaves")
            elif believed is not None:
                self._heads.append(believed)
        self._heads.sort(key=lambda one: one.checkpoint.size)
        for before, after in zip(self._heads, self._heads[1:], strict=False):
            self._check_step(before, after)
        self.outcome.head = self._heads[-1] if self._heads else None

    def _check_step(self, before: Believed, after: Believed) -> None:
        old, new = before.checkpoint, after.checkpoint
        name = pack.consistency_name(old.size, new.size)
        try:
            proof = pack.parse_hashes(name, self._files.read(name, pack.MAX_DOCUMENT_BYTES))
            tree.verify_consistency(old.size, new.size, old.root, new.root, proof)
        except ProofError as error:
            self._name(Flaw.REWRITTEN, name, error)
        except (PackError, FileError) as error:
            self._name(Flaw.FILE, name, error)

    def check_pinned(self, pinned: Note, origin: str) -> None:
        """The pack goes through the checkpoint that whoever asks has kept."""
        believed = self._believe("pinned", pinned, origin)
        if believed is None:
            return
        own = believed.checkpoint
        same = [one.checkpoint for one in self._heads if one.checkpoint.size == own.size]
        if not same:
            self._name(Flaw.UNPINNED, "pinned", f"the pack has no believed checkpoint of {own.size} leaves")
        elif same[0].root != own.root:
            name = pack.checkpoint_name(own.size)
            self._name(Flaw.SPLIT_VIEW, name, f"another root than the pinned checkpoint of {own.size} leaves has")

    def check_leaves(self, indexes: Sequence[int]) -> None:
        """Every leaf is there, in the tree, and what it says."""
        known = {name for index in indexes for name in (pack.leaf_name(index), pack.content_name(index))}
        for name in sorted(one for one in self._files.names if one.startswith(pack.LEAVES) and one not in known):
            self._name(Flaw.FILE, name, f"a leaf that {pack.CONTENTS} does not name")
        latest = 0
        for index in indexes:
            name = pack.leaf_name(index)
            if name not in self._files.names:
                self._name(Flaw.DROPPED, name, f"leaf {index} is not in the pack")
                continue
            opening = self._check_leaf(index, name)
            if opening is None:
                continue
            self._check_time(index, name, opening.entered_at)
            if opening.entered_at < latest:
                self._name(
                    Flaw.BACKDATED, name, f"entered {latest - opening.entered_at} s before a leaf in front of it"
                )
            latest = max(latest, opening.entered_at)

    def _check_leaf(self, index: int, name: str) -> Opening | None:
        """The opening of a leaf, if it has one and it holds."""
        try:
            found = pack.parse_leaf(name, self._files.read(name, pack.MAX_DOCUMENT_BYTES))
            commitment = bytes.fromhex(found.commitment)
            if self.outcome.head is not None:
                head = self.outcome.head.checkpoint
                proof = [bytes.fromhex(one) for one in found.proof]
                tree.verify_inclusion(tree.leaf_hash(commitment), index, head.size, proof, head.root)
            content = pack.content_name(index)
            if found.opened is None:
                self.outcome.hidden += 1
                if content in self._files.names:
                    self._name(Flaw.FILE, content, "the content of a leaf that is not opened")
                return None
            data = self._files.read(content, leaf.MAX_CONTENT_BYTES)
            opening = Opening(bytes.fromhex(found.opened.salt), found.opened.kind, found.opened.entered_at, data)
            opening.check(commitment)
            if evidence.EVIDENCE in self._files.names:
                self._opened[index] = opening.kind, evidence.reference(opening.kind, data)
                self._entered[index] = opening.entered_at
                self._signers.learn(index, opening.kind, data)
                self._challenged.learn(opening.kind, opening.entered_at, data, self._opened[index][1])
                if opening.kind is Kind.FINDING:
                    self._findings[index] = data
                elif opening.kind is Kind.ASSIGNMENT and (asked := evidence.questions(data)):
                    self._asked[asked[0]] = asked[1]
        except ProofError as error:
            self._name(Flaw.NOT_INCLUDED, name, error)
        except OpeningError as error:
            self._name(Flaw.EDITED, name, error)
        except (PackError, FileError) as error:
            self._name(Flaw.FILE, name, error)
        else:
            self.outcome.opened += 1
            return opening
        return None

    def check_evidence(self, indexes: Sequence[int]) -> None:
        """What the pack says it holds it does hold, and all that its finding cites."""
        if evidence.EVIDENCE not in self._files.names:
            return
        place = evidence.EVIDENCE
        try:
            told = evidence.parse(self._files.read(place, evidence.MAX_BYTES))
            if [one.index for one in told.pieces] != list(indexes):
                self._name(Flaw.FILE, place, f"names other leaves than {pack.CONTENTS} does")
            place = evidence.FINDING
            finding = self._files.read(place, evidence.MAX_BYTES)
            for name, detail in evidence.missing(told, self._opened, finding, self._findings):
                self._name(Flaw.DROPPED, name, detail)
            for name, detail in evidence.unanswered(told, self._opened, finding, self._asked):
                self._name(Flaw.DROPPED, name, detail)
            for name, detail in evidence.contradicting(told, finding, self._findings):
                self._name(Flaw.CONTRADICTED, name, detail)
            self.outcome.unreported = sum(len(one) for one in (told.unreported or {}).values())
            for name, detail in evidence.differing(told, self._opened):
                self._name(Flaw.EDITED, name, detail)
            self._check_signatures(told.pieces)
            self._check_steps(told)
            place = challenged.CHALLENGES
            if told.form == "full":
                drawn = self._files.read(place, evidence.MAX_BYTES) if place in self._files.names else b"{}"
                for detail in self._challenged.contradicting(finding, drawn):
                    self._name(Flaw.CONTRADICTED, evidence.FINDING, detail)
        except (PackError, FileError) as error:
            self._name(Flaw.FILE, place, error)

    def _check_signatures(self, pieces: Sequence[Piece]) -> None:
        for one in pieces:
            found = self._opened.get(one.index)
            if found is None or found[0] not in SIGNED:
                continue
            name = pack.content_name(one.index)
            try:
                self._signers.check(one.index, found[0], self._files.read(name, leaf.MAX_CONTENT_BYTES), one.subject)
            except ForgedError as error:
                self._name(Flaw.FORGED, name, error)
            except UnknownKeyError as error:
                self._name(Flaw.UNKNOWN_KEY, name, error)
            except (PackError, FileError) as error:
                self._name(Flaw.FILE, name, error)

    def _check_steps(self, told: Evidence) -> None:
        steps = Steps(told.finding, told.operator, told.form == "full", self._outside)
        for index, (kind, _) in sorted(self._opened.items()):
            if kind in {Kind.FINDING, Kind.ENROLMENT, Kind.REVOCATION}:
                content = self._files.read(pack.content_name(index), leaf.MAX_CONTENT_BYTES)
                steps.learn(index, kind, self._entered[index], content)
        for fault in steps.faults():
            self._name(Flaw(fault.flaw), pack.leaf_name(fault.leaf), fault.detail)
        self.outcome.answers = steps.answers

    def _check_time(self, index: int, name: str, entered_at: int) -> None:
        without = [one.latest for one in self._heads if one.checkpoint.size <= index]
        within = [one.earliest for one in self._heads if one.checkpoint.size > index]
        if without and entered_at < max(without) - TOLERANCE_S:
            late = max(without) - entered_at
            self._name(
                Flaw.BACKDATED, name, f"witnesses saw the ledger without it {late} s after it claims to be there"
            )
        if within and entered_at > min(within) + TOLERANCE_S:
            early = entered_at - min(within)
            self._name(Flaw.POSTDATED, name, f"witnesses saw the ledger with it {early} s before it claims to be there")


def verify(folder: Path, believed: Policy, pinned: Note | None, now: int, outside: Outside | None = None) -> Outcome:
    """Verifies the ledger part of a pack.

    Args:
        folder: The pack.
        believed: Whom to believe; from outside the pack.
        pinned: A checkpoint kept from before, from outside the pack; None if there is none, and then a whole ledger
            made up by its log together with a quorum of its witnesses is not seen.
        now: Seconds since 1970, UTC.
        outside: The operator's people, and what they kept; without it, whom the ledger was told of counts as such.

    Raises:
        PackError: It holds what no pack holds: links, devices, strange names, too many files.
    """
    verifier = _Verifier(Folder(folder), believed, outside or Outside(), now)
    verifier.check_index()
    contents = verifier.contents()
    if contents is not None:
        found, indexes = contents
        verifier.check_heads(found.origin)
        if pinned is not None:
            verifier.check_pinned(pinned, found.origin)
        verifier.check_leaves(indexes)
        verifier.check_evidence(indexes)
    return verifier.outcome


def verify_files(folder: Path, keys: Path, pinned: Path | None, now: int, outside: Outside | None = None) -> Outcome:
    """The same with policy and pinned checkpoint from files of their own.

    Raises:
        LedgerError: One is not what it must be.
        FileError: One cannot be read.
    """
    try:
        believed = policy.parse(durable.read(keys, policy.MAX_POLICY_BYTES))
    except NoteError as error:
        raise LedgerError(f"{keys}: {error}") from error
    try:
        kept = pinned and note.parse(durable.read(pinned, note.MAX_NOTE_BYTES))
    except NoteError as error:
        raise LedgerError(f"{pinned}: {error}") from error
    return verify(folder, believed, kept or None, now, outside)

"""Whether a pack of evidence holds, decided offline, with keys and a pinned checkpoint from outside the pack.

Holds always: nothing inside the pack is believed but by a key from outside; every problem is named with its place, not
only the first; a leaf that the pack is about is there or named as missing.

When a leaf was entered is its own word. It is held against the witnesses': it was not in the tree that they cosigned
before it, and was in the one after. Of their times the one that leaves less room counts, so that one witness who lies
with the log makes none; a log that keeps to the rules takes no cosignature whose time is far from its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from compliance_api.ledger import accusation, challenged, evidence, pack
from compliance_api.ledger.accusation import FINDING
from compliance_api.ledger.challenged import Challenged
from compliance_api.ledger.evidence import Evidence, Piece
from compliance_api.ledger.lineage import Lineage
from compliance_api.ledger.outcome import Flaw, Outcome
from compliance_api.ledger.outside import Outside
from compliance_api.ledger.pack import Contents, Folder, PackError
from compliance_api.ledger.removed import REMOVALS, Removed
from compliance_api.ledger.signatures import SIGNED, ForgedError, Signers, UnknownKeyError
from compliance_api.ledger.steps import Steps
from lachan import durable
from lachan.durable import FileError
from lachan.ledger import leaf, note, policy, tree
from lachan.ledger.errors import LedgerError
from lachan.ledger.leaf import Kind, Opening, OpeningError
from lachan.ledger.note import Note, NoteError
from lachan.ledger.policy import Policy
from lachan.ledger.tree import ProofError

TOLERANCE_S = 300
"""Seconds between a leaf's entry and the next round of cosigning, and by which clocks may differ."""


class _Verifier:
    def __init__(self, files: Folder, believed: Policy, outside: Outside, now: int) -> None:
        self._files = files
        self._outside = outside
        self._opened: dict[int, tuple[Kind, str]] = {}
        # The finding's own leaves, and how many questions each assignment had.
        self._findings: dict[int, bytes] = {}
        self._asked: dict[str, int] = {}
        self._entered: dict[int, int] = {}
        self._signers = Signers(outside)
        self._challenged = Challenged()
        self._removed = Removed()
        self.outcome = Outcome()
        self.lineage = Lineage(files, believed, now, self.outcome)

    def check_index(self) -> None:
        """Every file is in the index as it is there, and no other."""
        try:
            digests = self._files.index()
        except (PackError, FileError) as error:
            self.outcome.name(Flaw.FILE, pack.INDEX, error)
            return
        for name in sorted((self._files.names | set(digests)) - {pack.INDEX}):
            if name not in digests:
                self.outcome.name(Flaw.FILE, name, "is not in the index")
            elif name not in self._files.names:
                self.outcome.name(Flaw.FILE, name, "is missing")
            elif self._files.digest(name) != digests[name]:
                self.outcome.name(Flaw.FILE, name, "was changed: its SHA-256 is not the index's")

    def contents(self) -> tuple[Contents, list[int]] | None:
        """What the pack is about."""
        try:
            found = pack.parse_contents(self._files.read(pack.CONTENTS, pack.MAX_DOCUMENT_BYTES))
            self.outcome.origin = found.origin
            return found, list(found.indexes())
        except (PackError, FileError) as error:
            self.outcome.name(Flaw.FILE, pack.CONTENTS, error)
            return None

    def check_leaves(self, indexes: Sequence[int]) -> None:
        """Every leaf is there, in the tree, and what it says."""
        known = {name for index in indexes for name in (pack.leaf_name(index), pack.content_name(index))}
        for name in sorted(one for one in self._files.names if one.startswith(pack.LEAVES) and one not in known):
            self.outcome.name(Flaw.FILE, name, f"a leaf that {pack.CONTENTS} does not name")
        latest = 0
        for index in indexes:
            name = pack.leaf_name(index)
            if name not in self._files.names:
                self.outcome.name(Flaw.DROPPED, name, f"leaf {index} is not in the pack")
                continue
            opening = self._check_leaf(index, name)
            if opening is None:
                continue
            self._check_time(index, name, opening.entered_at)
            if opening.entered_at < latest:
                self.outcome.name(
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
                    self.outcome.name(Flaw.FILE, content, "the content of a leaf that is not opened")
                return None
            data = self._files.read(content, leaf.MAX_CONTENT_BYTES)
            opening = Opening(bytes.fromhex(found.opened.salt), found.opened.kind, found.opened.entered_at, data)
            opening.check(commitment)
            if evidence.EVIDENCE in self._files.names:
                self._opened[index] = opening.kind, evidence.reference(opening.kind, data)
                self._entered[index] = opening.entered_at
                self._signers.learn(index, opening.kind, data)
                self._removed.learn(opening.kind, data)
                self._challenged.learn(opening.kind, opening.entered_at, data, self._opened[index][1])
                if opening.kind is Kind.FINDING:
                    self._findings[index] = data
                elif opening.kind is Kind.ASSIGNMENT and (asked := evidence.questions(data)):
                    self._asked[asked[0]] = asked[1]
        except ProofError as error:
            self.outcome.name(Flaw.NOT_INCLUDED, name, error)
        except OpeningError as error:
            self.outcome.name(Flaw.EDITED, name, error)
        except (PackError, FileError) as error:
            self.outcome.name(Flaw.FILE, name, error)
        else:
            self.outcome.opened += 1
            return opening
        return None

    def check_evidence(self, indexes: Sequence[int]) -> None:
        """What the pack says it holds it does hold, and all that its finding cites."""
        beside = sorted(one for one in self._files.names if not one.startswith(pack.LEDGER) and one != pack.INDEX)
        if not beside:
            return
        for name in sorted(set(beside) - pack.BESIDE):
            self.outcome.name(Flaw.FILE, name, "is no file of a pack of evidence")
        place = evidence.EVIDENCE
        try:
            told = evidence.parse(self._files.read(place, evidence.MAX_BYTES))
            if [one.index for one in told.pieces] != list(indexes):
                self.outcome.name(Flaw.FILE, place, f"names other leaves than {pack.CONTENTS} does")
            self.outcome.form = told.form
            place = FINDING
            finding = self._files.read(place, evidence.MAX_BYTES)
            for name, detail in evidence.missing(told, self._opened, finding, self._findings):
                self.outcome.name(Flaw.DROPPED, name, detail)
            for name, detail in evidence.unanswered(told, self._opened, finding, self._asked):
                self.outcome.name(Flaw.DROPPED, name, detail)
            for name, detail in self._contradicting(told, finding):
                self.outcome.name(Flaw.CONTRADICTED, name, detail)
            self.outcome.unreported = sum(len(one) for one in (told.unreported or {}).values())
            for name, detail in evidence.differing(told, self._opened):
                self.outcome.name(Flaw.EDITED, name, detail)
            self._check_signatures(told.pieces)
            self._check_steps(told)
            place = challenged.CHALLENGES
            if told.form == "full":
                for detail in self._removed.contradicting(self._shown(REMOVALS)):
                    self.outcome.name(Flaw.CONTRADICTED, REMOVALS, detail)
                drawn = self._shown(place)
                for detail in self._challenged.contradicting(finding, drawn):
                    self.outcome.name(Flaw.CONTRADICTED, FINDING, detail)
        except (PackError, FileError) as error:
            self.outcome.name(Flaw.FILE, place, error)

    def _contradicting(self, told: Evidence, finding: bytes) -> Iterator[tuple[str, str]]:
        return accusation.contradicting(told.finding, told.operator, finding, self._findings, full=told.form == "full")

    def _shown(self, name: str) -> bytes:
        """A file that not every pack has."""
        return self._files.read(name, evidence.MAX_BYTES) if name in self._files.names else b"{}"

    def _check_signatures(self, pieces: Sequence[Piece]) -> None:
        for one in pieces:
            found = self._opened.get(one.index)
            if found is None or found[0] not in SIGNED:
                continue
            name = pack.content_name(one.index)
            try:
                self._signers.check(one.index, found[0], self._files.read(name, leaf.MAX_CONTENT_BYTES), one.subject)
            except ForgedError as error:
                self.outcome.name(Flaw.FORGED, name, error)
            except UnknownKeyError as error:
                self.outcome.name(Flaw.UNKNOWN_KEY, name, error)
            except (PackError, FileError) as error:
                self.outcome.name(Flaw.FILE, name, error)

    def _check_steps(self, told: Evidence) -> None:
        steps = Steps(told.finding, told.operator, told.form == "full", self._outside)
        for index, (kind, _) in sorted(self._opened.items()):
            if kind in {Kind.FINDING, Kind.ENROLMENT, Kind.REVOCATION}:
                content = self._files.read(pack.content_name(index), leaf.MAX_CONTENT_BYTES)
                steps.learn(index, kind, self._entered[index], content)
        for fault in steps.faults():
            self.outcome.name(Flaw(fault.flaw), pack.leaf_name(fault.leaf), fault.detail)
        self.outcome.answers = steps.answers

    def _check_time(self, index: int, name: str, entered_at: int) -> None:
        without = [one.latest for one in self.lineage.heads if one.checkpoint.size <= index]
        within = [one.earliest for one in self.lineage.heads if one.checkpoint.size > index]
        if without and entered_at < max(without) - TOLERANCE_S:
            late = max(without) - entered_at
            self.outcome.name(
                Flaw.BACKDATED, name, f"witnesses saw the ledger without it {late} s after it claims to be there"
            )
        if within and entered_at > min(within) + TOLERANCE_S:
            early = entered_at - min(within)
            self.outcome.name(
                Flaw.POSTDATED, name, f"witnesses saw the ledger with it {early} s before it claims to be there"
            )


def verify(folder: Path, believed: Policy, pinned: Note | None, now: int, outside: Outside | None = None) -> Outcome:
    """Verifies the ledger part of a pack.

    Args:
        folder: The pack.
        believed: Whom to believe; from outside the pack.
        pinned: A checkpoint kept from before, from outside the pack; None if there is none, and then a whole ledger
            made up by its log together with a quorum of its witnesses is not seen.
        now: Seconds since 1970, UTC.
        outside: Who signs for an operator, and what was kept; without it, whom the ledger was told of counts as such.

    Raises:
        PackError: It holds what no pack holds: links, devices, strange names, too many files.
    """
    verifier = _Verifier(Folder(folder), believed, outside or Outside(), now)
    verifier.check_index()
    contents = verifier.contents()
    if contents is not None:
        found, indexes = contents
        verifier.lineage.check(found.origin)
        if pinned is not None:
            verifier.lineage.pinned(pinned, found.origin)
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

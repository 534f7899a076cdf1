"""A release folder: the candidate as it was built, and what was published before.

    state.tsv, state.json   the folded list, and of which log     list.json      the document that approvers sign
    entries.tsv   the clear list, each entry with its serial      release.json   what the candidate is
    records.bin   the candidate's records                         history.json   the releases, oldest first
    policy.json   its policy bundle                               published/     list, records, policy as published last
    public/       what the public is told of it                   commitments.secret   what its salts are drawn from
    removals.tsv  names that releases ceased to block

Holds always: every file is whole (written aside and renamed), 0600 in a folder of mode 0700, since all of it is
confidential; a serial that was published keeps its bytes for ever; a candidate that somebody may have signed keeps its
serial and its bytes, and the next one takes another serial.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, Targets

from blocklist_sync.artifact import policy, records
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.artifact.records import FingerprintKey, Release
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.statecache import StateCache
from blocklist_sync.central.release import removals, repository
from lachan import durable

MAX_JSON_BYTES = 16 << 20


@dataclass(frozen=True)
class Candidate:
    """What `release.json` says of the candidate."""

    serial: int
    records_digest: str
    content_digest: str
    key_epoch: int
    key_draw: int
    names: int
    records: int
    log_length: int
    log_head: str
    as_of: int
    """Seconds since 1970-01-01 UTC."""
    urgent: bool
    rollback: int = 0
    """The serial whose content this is again; 0 for the log's own."""


@dataclass(frozen=True)
class Published:
    """One release of the history; `published_at` is 0 where its serial is taken but nobody can have seen it yet."""

    serial: int
    records_digest: str
    content_digest: str
    published_at: int
    entries: int
    urgent: bool
    log_length: int
    as_of: int
    key_epoch: int


def content_digest(data: bytes, bundle: bytes) -> str:
    """SHA-256 of what a release says, whatever its serial: two releases with one content need no new serial."""
    digest = hashlib.sha256(data[:16])
    digest.update(data[24:])
    digest.update(hashlib.sha256(bundle).digest())
    return digest.hexdigest()


def _policy(path: Path) -> PolicyBundle:
    try:
        return policy.parse(durable.read(path, policy.MAX_BYTES))
    except ArtifactError as error:
        raise CentralError(f"{path}: {error}") from error


def _records(path: Path) -> Release:
    try:
        return records.parse(durable.read(path, records.MAX_BYTES))
    except ArtifactError as error:
        raise CentralError(f"{path}: {error}") from error


class ReleaseFolder:
    """A release folder; made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = StateCache(folder / "state.tsv")
        self.entries_path = folder / "entries.tsv"
        self.records_path = folder / "records.bin"
        self.policy_path = folder / "policy.json"
        self.document_path = folder / "list.json"
        self.delegating_path = folder / "delegating.json"
        self.history_path = folder / "history.json"
        self.public = folder / "public"
        self.published_entries_path = folder / "published" / "entries.tsv"
        self.published_policy_path = folder / "published" / "policy.json"
        self.published_records_path = folder / "published" / "records.bin"
        self.removals_path = folder / "removals.tsv"
        self._candidate_path = folder / "release.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder and holds it for this process.

        Raises:
            FileError: It cannot be made, or another process holds it.
        """
        durable.make_folder(self.folder / "published")
        with durable.lock(self.folder):
            yield

    def _json(self, path: Path) -> Any:
        try:
            return json.loads(durable.read(path, MAX_JSON_BYTES))
        except ValueError as error:
            raise CentralError(f"{path}: not JSON: {error}") from error

    def target(self, path: str) -> Path:
        """Where the candidate's bytes of a target are."""
        return self.folder / path.rpartition("/")[2]

    def published_heading(self) -> tuple[int, FingerprintKey]:
        """Serial of the release that was last published, and the key of its fingerprints.

        Raises:
            CentralError: There is none, or it cannot be read.
        """
        try:
            with self.published_records_path.open("rb") as file:
                return records.heading(file.read(records.HEADING_BYTES))
        except (OSError, ArtifactError) as error:
            raise CentralError(f"{self.published_records_path}: {error}") from error

    def policy(self) -> PolicyBundle:
        """The policy bundle; the default one in a new folder.

        Raises:
            CentralError: It cannot be used.
        """
        return _policy(self.policy_path) if self.policy_path.exists() else policy.default()

    def published_policy(self) -> PolicyBundle:
        """The policy bundle of the release that was last published.

        Raises:
            CentralError: It cannot be used.
            FileError: There is none.
        """
        return _policy(self.published_policy_path)

    def published_release(self) -> Release:
        """The records of the release that was last published, checked.

        Raises:
            CentralError: There are none, or they cannot be used.
        """
        if not self.published_records_path.exists():
            raise CentralError(f"{self.folder}: nothing was published here yet")
        return _records(self.published_records_path)

    def candidate(self) -> Candidate | None:
        """What was built last; None in a new folder.

        Raises:
            CentralError: The file is malformed.
        """
        if not self._candidate_path.exists():
            return None
        try:
            return Candidate(**self._json(self._candidate_path))
        except TypeError as error:
            raise CentralError(f"{self._candidate_path}: {error}") from error

    def document(self) -> Metadata[Targets]:
        """The candidate's document, with the signatures that it has so far.

        Raises:
            CentralError: It is malformed.
            FileError: There is none.
        """
        return repository.read(self.document_path, Targets)

    def history(self) -> list[Published]:
        """The releases, oldest first.

        Raises:
            CentralError: The file is malformed.
        """
        if not self.history_path.exists():
            return []
        try:
            return [Published(**row) for row in self._json(self.history_path)]
        except TypeError as error:
            raise CentralError(f"{self.history_path}: {error}") from error

    def published(self) -> list[Published]:
        """The releases that edges can have, oldest first.

        Raises:
            CentralError: The history is malformed.
        """
        return [row for row in self.history() if row.published_at]

    def release(self) -> Release:
        """The candidate's records, checked, and the ones that `release.json` describes.

        Raises:
            CentralError: There are none, or they are others.
        """
        candidate = self.candidate()
        if candidate is None:
            raise CentralError(f"{self.folder}: nothing was built here yet")
        parsed = _records(self.records_path)
        if parsed.digest.hex() != candidate.records_digest:
            raise CentralError(f"{self.records_path}: not the records that were built; build again")
        return parsed

    def store(self, targets: Mapping[str, bytes], candidate: Candidate, document: Metadata[Targets] | None) -> None:
        """Writes a candidate; `release.json` comes last, and says which records are meant."""
        for path, data in targets.items():
            durable.write(self.target(path), [data])
        if document is not None:
            self.store_document(document)
        else:
            self.document_path.unlink(missing_ok=True)
        durable.write(self._candidate_path, [json.dumps(asdict(candidate), indent=2).encode() + b"\n"])

    def store_delegating(self, targets: Metadata[Targets] | None) -> None:
        """Keeps the top-level targets that the candidate will be published with, where those are to change."""
        if targets is not None:
            durable.write(self.delegating_path, [targets.to_bytes()])
        else:
            self.delegating_path.unlink(missing_ok=True)

    def store_document(self, document: Metadata[Targets]) -> None:
        """Writes the candidate's document, as a rule with one signature more."""
        durable.write(self.document_path, [document.to_bytes()])

    def _note(self, release: Published) -> None:
        rows = [asdict(row) for row in [*(row for row in self.history() if row.serial != release.serial), release]]
        durable.write(self.history_path, [json.dumps(rows, indent=1).encode() + b"\n"])

    def reserve(self, release: Published) -> None:
        """Takes a serial for its bytes, before anybody can see them."""
        self._note(replace(release, published_at=0))

    def _note_removals(self, release: Published) -> None:
        before, after = self.published_entries_path, self.entries_path
        if not before.exists() or before.samefile(after):
            return
        oldest = release.published_at - removals.KEEP_SECONDS
        kept = [row.serial for row in self.published() if row.published_at >= oldest]
        taken = tuple(removals.taken_out(before, after, release.serial))
        removals.note(self.removals_path, taken, min(kept, default=release.serial))

    def mark_published(self, release: Published) -> None:
        """Notes that a release is published now; doing so again changes nothing."""
        candidate = self.candidate()
        if candidate is not None and candidate.records_digest == release.records_digest:
            # Before the lists change places: whatever interrupts, this is done again.
            self._note_removals(release)
            for path in (self.entries_path, self.records_path, self.policy_path):
                durable.link(path, self.folder / "published" / path.name)
        self._note(release)

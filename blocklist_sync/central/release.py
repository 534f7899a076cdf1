"""A release folder: the clear list, the candidate built from it, and what was published before.

    entries.tsv   the clear list                          release.json  what the candidate is
    records.bin   the candidate's records                 history.json  the releases, oldest first
    policy.json   its policy bundle                       published/    entries and records as last published
    fingerprint.seed   what fingerprint keys are drawn from

Holds always: every file is whole (written aside and renamed), 0600 in a folder of mode 0700, since all of it is
confidential; a serial that was published keeps its bytes for ever; the candidate is the published release itself until
its content differs.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from blocklist_sync.artifact import policy, records
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.artifact.records import FingerprintKey, Release
from blocklist_sync.central import entries as clear
from blocklist_sync.central.entries import Entries
from blocklist_sync.central.errors import CentralError
from lachan import durable

SEED_BYTES = 32
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


@dataclass(frozen=True)
class Published:
    """One release of the history; `published_at` is 0 where its serial is taken but nobody can have seen it yet."""

    serial: int
    records_digest: str
    content_digest: str
    published_at: int
    entries: int
    urgent: bool


def content_digest(data: bytes, bundle: bytes) -> str:
    """SHA-256 of what a release says, whatever its serial: two releases with one content need no new serial."""
    digest = hashlib.sha256(data[:16])
    digest.update(data[24:])
    digest.update(hashlib.sha256(bundle).digest())
    return digest.hexdigest()


class ReleaseFolder:
    """A release folder; made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries_path = folder / "entries.tsv"
        self.records_path = folder / "records.bin"
        self.policy_path = folder / "policy.json"
        self.published_entries_path = folder / "published" / "entries.tsv"
        self.published_records_path = folder / "published" / "records.bin"
        self.history_path = folder / "history.json"
        self._candidate_path = folder / "release.json"
        self._seed_path = folder / "fingerprint.seed"

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

    def entries(self) -> Entries:
        """The clear list; empty in a new folder.

        Raises:
            CentralError: It is malformed.
        """
        return clear.read(self.entries_path) if self.entries_path.exists() else Entries()

    def published_entries(self) -> Entries:
        """The clear list as it was last published; empty before that.

        Raises:
            CentralError: It is malformed.
        """
        return clear.read(self.published_entries_path) if self.published_entries_path.exists() else Entries()

    def policy(self) -> PolicyBundle:
        """The policy bundle; the default one in a new folder.

        Raises:
            CentralError: It cannot be used.
        """
        if not self.policy_path.exists():
            return policy.default()
        try:
            return policy.parse(durable.read(self.policy_path, policy.MAX_BYTES))
        except ArtifactError as error:
            raise CentralError(f"{self.policy_path}: {error}") from error

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
        try:
            parsed = records.parse(durable.read(self.records_path, records.MAX_BYTES))
        except ArtifactError as error:
            raise CentralError(f"{self.records_path}: {error}") from error
        if parsed.digest.hex() != candidate.records_digest:
            raise CentralError(f"{self.records_path}: not the records that were built; build again")
        return parsed

    def key(self, epoch: int, draw: int) -> FingerprintKey:
        """The fingerprint key of an epoch; `draw` counts the keys of it that let two names collide.

        Keys are a function of the folder's seed, so that the same list under the same epoch has the same bytes.
        """
        if not self._seed_path.exists():
            durable.write(self._seed_path, [secrets.token_bytes(SEED_BYTES)])
        seed = durable.read(self._seed_path, SEED_BYTES)
        if len(seed) != SEED_BYTES:
            raise CentralError(f"{self._seed_path}: not {SEED_BYTES} bytes")
        material = b"lachan/fingerprint-key/v1\0" + seed + epoch.to_bytes(4, "little") + draw.to_bytes(4, "little")
        return FingerprintKey(epoch, hashlib.sha256(material).digest()[: records.KEY_BYTES])

    def store(self, entries: Entries, data: bytes, bundle: PolicyBundle, candidate: Candidate) -> None:
        """Writes a candidate; `release.json` comes last, and says which records are meant."""
        clear.write(self.entries_path, entries)
        durable.write(self.policy_path, [bundle.encode()])
        durable.write(self.records_path, [data])
        durable.write(self._candidate_path, [json.dumps(asdict(candidate), indent=2).encode() + b"\n"])

    def _note(self, release: Published) -> None:
        rows = [asdict(row) for row in [*(row for row in self.history() if row.serial != release.serial), release]]
        durable.write(self.history_path, [json.dumps(rows, indent=1).encode() + b"\n"])

    def reserve(self, release: Published) -> None:
        """Takes the candidate's serial for its bytes, before they are signed."""
        self._note(replace(release, published_at=0))

    def mark_published(self, release: Published) -> None:
        """Notes that the candidate is published now; doing so again changes nothing."""
        durable.link(self.entries_path, self.published_entries_path)
        durable.link(self.records_path, self.published_records_path)
        self._note(release)

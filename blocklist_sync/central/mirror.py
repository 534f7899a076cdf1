"""A working copy of a repository that is published elsewhere, for a machine that signs or verifies.

Holds always: nothing that is fetched counts before it verifies from a root that the machine trusts, and what does not
is not kept; every file is bounded, and their number; the copy never goes back to an older timestamp, snapshot or list;
a file whose name gives its digest or version is fetched once. That signatures have expired is for the reader to say: a
list that has, is signed anew from such a copy.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from blocklist_sync.artifact import manifest, policy, records
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake.download import AbsentError, Limits, download
from blocklist_sync.central.release import deltas
from blocklist_sync.central.release.accountability import MAX_STATEMENT_BYTES
from blocklist_sync.central.release.deltas import MANIFEST_TARGET
from blocklist_sync.central.release.repository import (
    LIST_ROLE,
    MAX_METADATA_BYTES,
    MAX_ROOT_ROTATIONS,
    POLICY_TARGET,
    RECORDS_TARGET,
    Contents,
    Repository,
    parse,
)
from lachan import durable, tls
from lachan.tls import TlsFiles

WHOLE_SECONDS = 600.0
IDLE_SECONDS = 20.0
MAX_HISTORY = 10_000
TARGET_LIMITS = {
    RECORDS_TARGET: records.MAX_BYTES,
    POLICY_TARGET: policy.MAX_BYTES,
    MANIFEST_TARGET: manifest.MAX_BYTES,
}
MAX_COMMITMENTS_BYTES = 1 << 30
"""Of thirty million entries."""


def context(files: TlsFiles | None) -> ssl.SSLContext:
    """TLS 1.2 or newer: as a party with its authorities, or as anybody with the system's.

    Raises:
        CentralError: A file cannot be used.
    """
    made = ssl.create_default_context(cafile=files.ca if files is not None else None)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if files is not None:
        try:
            made.load_cert_chain(files.certificate, files.key)
        except OSError as error:
            raise tls.TlsError(f"{files.certificate}: {error}") from error
    return made


def statement(url: str, into: Path, serial: int, secured: ssl.SSLContext) -> None:
    """Fetches what the public is told of a release, from where anybody may ask; whether it holds is for its reader.

    Raises:
        SourceError: It cannot be fetched.
        FileError: It cannot be written.
    """
    durable.make_folder(into)
    for name, limit in ((f"{serial}.json", MAX_STATEMENT_BYTES), (f"{serial}.commitments", MAX_COMMITMENTS_BYTES)):
        bounds = Limits(limit, WHOLE_SECONDS, IDLE_SECONDS)
        download(f"{url.rstrip('/')}/{name}", into / name, bounds, secured)


class _Staged(Repository):
    """The copy as it will be: its timestamp lies beside the one that counts."""

    def path(self, role: str, version: int) -> Path:
        """Where a version of a role's metadata stands."""
        return self.metadata / "timestamp.next" if role == Timestamp.type else super().path(role, version)


class Mirror:
    """A folder that follows a URL; its user holds the folder locked."""

    def __init__(self, url: str, folder: Path, secured: ssl.SSLContext) -> None:
        """Remembers where things are.

        Args:
            url: Of the repository, https.
            folder: The copy.
            secured: Whom to trust.
        """
        self._url = url.rstrip("/")
        self._context = secured
        self._came: list[Path] = []
        self.repository = Repository(folder)

    def update(self, trusted: bytes, *, history: bool = False) -> Repository:
        """Brings the copy up to date.

        Args:
            trusted: The root that is trusted.
            history: Fetch the earlier documents of the list too, and the deltas, as far as they are there.

        Raises:
            CentralError: What is published does not verify, or is older than what was seen before.
            SourceError: It cannot be fetched.
            FileError: The copy cannot be written.
        """
        held = self.repository.verified(trusted) if self.repository.exists() else None
        durable.make_folder(self.repository.metadata)
        with self._undone_on_error():
            self._roots(parse(trusted, Root, "the trusted root").signed.version)
            staged = _Staged(self.repository.folder)
            aside = staged.path(Timestamp.type, 0)
            if not self._get("metadata/timestamp.json", aside, MAX_METADATA_BYTES):
                if held is not None:
                    raise CentralError(f"{self._url}: no longer publishes what this machine has seen")
                self._get("metadata/1.targets.json", self.repository.path(Targets.type, 1), MAX_METADATA_BYTES)
                self.repository.verified(trusted)
                return self.repository
            self._release(aside, held, history=history)
            came = staged.verified(trusted)
            aside.replace(self.repository.path(Timestamp.type, 0))
        _forget(self.repository, came)
        return self.repository

    @contextmanager
    def _undone_on_error(self) -> Iterator[None]:
        """Removes what came if it turns out not to verify: it would be in the way of what does."""
        self._came.clear()
        try:
            yield
        except Exception:
            for path in self._came:
                path.unlink(missing_ok=True)
            raise

    def _get(self, path: str, into: Path, limit: int) -> bool:
        """Fetches a file; False where there is none."""
        try:
            download(f"{self._url}/{path}", into, Limits(limit, WHOLE_SECONDS, IDLE_SECONDS), self._context)
        except AbsentError:
            return False
        self._came.append(into)
        return True

    def _once(self, path: str, into: Path, limit: int) -> None:
        """Fetches a file that never changes.

        Raises:
            AbsentError: There is none.
        """
        if not into.exists() and not self._get(path, into, limit):
            raise AbsentError(f"{self._url}/{path}: is not there")

    def _roots(self, version: int) -> None:
        for number in range(version + 1, version + 1 + MAX_ROOT_ROTATIONS):
            into = self.repository.path(Root.type, number)
            if not into.exists() and not self._get(f"metadata/{number}.root.json", into, MAX_METADATA_BYTES):
                return

    def _document(self, role: str, version: int, kind: type[Any]) -> Metadata[Any]:
        into = self.repository.path(role, version)
        self._once(f"metadata/{into.name}", into, MAX_METADATA_BYTES)
        return parse(durable.read(into, MAX_METADATA_BYTES), kind, into)

    def _release(self, aside: Path, held: Contents | None, *, history: bool) -> None:
        stamp = parse(durable.read(aside, MAX_METADATA_BYTES), Timestamp, aside)
        _forwards(Timestamp.type, held.timestamp if held else None, stamp.signed.version)
        version = stamp.signed.snapshot_meta.version
        _forwards(Snapshot.type, held.snapshot if held else None, version)
        snapshot = self._document(Snapshot.type, version, Snapshot)
        versions = {role: _version(snapshot.signed, role) for role in (Targets.type, LIST_ROLE)}
        _forwards(LIST_ROLE, held.listed if held else None, versions[LIST_ROLE])
        self._document(Targets.type, versions[Targets.type], Targets)
        listed = self._document(LIST_ROLE, versions[LIST_ROLE], Targets)
        for path, target in listed.signed.targets.items():
            digest = target.hashes.get("sha256", "")
            if path not in TARGET_LIMITS or len(digest) != hashlib.sha256().digest_size * 2 or not digest.isalnum():
                raise CentralError(f"{self._url}: the list names {path!r:.80}, which is no part of a release")
            into = self.repository.target_path(path, digest)
            durable.make_folder(into.parent)
            self._once(f"targets/{path.rpartition('/')[0]}/{into.name}", into, TARGET_LIMITS[path])
            _hold(into, digest)
        if history:
            self._deltas(listed.signed)
        for number in range(max(1, versions[LIST_ROLE] - MAX_HISTORY), versions[LIST_ROLE] if history else 0):
            into = self.repository.path(LIST_ROLE, number)
            if not into.exists():
                self._get(f"metadata/{into.name}", into, MAX_METADATA_BYTES)

    def _deltas(self, listed: Targets) -> None:
        for step in deltas.signed_steps(self.repository.targets, listed.targets):
            into = deltas.path(self.repository.targets, step)
            if not into.exists() and self._get(
                f"targets/{into.relative_to(self.repository.targets)}", into, step.length
            ):
                _hold(into, step.digest.hex())


def _hold(path: Path, digest: str) -> None:
    """Holds a file against the digest, or the beginning of it, that its name is made of.

    Raises:
        CentralError: It is another: kept, it would never be fetched again.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(digest):
        path.unlink()
        raise CentralError(f"{path.name}: other bytes came than were signed")


def _version(snapshot: Snapshot, role: str) -> int:
    try:
        return snapshot.meta[f"{role}.json"].version
    except KeyError as error:
        raise CentralError(f"the snapshot names no {role}") from error


def _forwards(role: str, held: Metadata[Any] | None, version: int) -> None:
    """Refuses what is older than what was seen: somebody holds this machine back.

    Raises:
        CentralError: It is.
    """
    if held is not None and version < held.signed.version:
        raise CentralError(f"{role}: version {version} is offered, and this machine has seen {held.signed.version}")


def _forget(repository: Repository, contents: Contents) -> None:
    """Removes earlier targets: a copy needs what is published now."""
    named = contents.listed.signed.targets if contents.listed else {}
    kept = {repository.target_path(path, target.hashes["sha256"]) for path, target in named.items()}
    if named:
        kept |= {deltas.path(repository.targets, step) for step in deltas.signed_steps(repository.targets, named)}
    for path in {one.parent for one in kept}:
        for file in path.iterdir():
            if file not in kept:
                file.unlink(missing_ok=True)

"""Publishes what the holders of the offline roles have signed, with the online keys alone.

Holds always: nothing is published below a threshold, and the refusal names who is missing; a file that a signature
names is durable before the signature is, and what readers go by comes last, so that they see the release before or the
one after, whatever interrupts; where keys change, what is written first verifies under the old root and the new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from blocklist_sync.artifact.records import parse as parse_records
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release import canary, deltas, retention
from blocklist_sync.central.release import statement as statements
from blocklist_sync.central.release.candidate import Published, ReleaseFolder
from blocklist_sync.central.release.ceremony import expiry, lacking_root, merge
from blocklist_sync.central.release.deltas import MANIFEST_TARGET
from blocklist_sync.central.release.repository import (
    LIST_ROLE,
    MAX_METADATA_BYTES,
    PUBLIC,
    PUBLISHED_AT,
    RECORDS_TARGET,
    Contents,
    Repository,
    missing,
    parse_offline,
    role_keys,
)
from blocklist_sync.central.release.statement import Statement
from lachan import durable

LIST_FILE = f"{LIST_ROLE}.json"
MAX_TARGET_BYTES = 256 << 20


class WaitingError(CentralError):
    """What is offered cannot be published yet; what is published can still be renewed."""


@dataclass(frozen=True)
class Lifetimes:
    """For how long the online signatures hold, in seconds."""

    snapshot: float = 7 * 86_400.0
    timestamp: float = 86_400.0


@dataclass(frozen=True)
class Documents:
    """What the offline roles have signed and is to be published; None where a role stays as it is."""

    root: Metadata[Root] | None = None
    targets: Metadata[Targets] | None = None
    listed: Metadata[Targets] | None = None


@dataclass(frozen=True)
class Outcome:
    """What `publish` did: `new` is False where it only renewed what expires."""

    release: Published
    new: bool
    root: Path
    pruned: int = 0
    """Files of earlier releases that are gone."""


@dataclass(frozen=True)
class _Next:
    """The whole repository as it will be; `before` is the root until now, if there is one."""

    before: Root | None
    root: Metadata[Root]
    targets: Metadata[Targets]
    listed: Metadata[Targets]
    rings: dict[str, int]
    """What is signed of how long edges wait that are no canaries."""
    statement: Statement
    """What the public is told."""

    @property
    def new_root(self) -> bool:
        """Whether the root changes."""
        return self.before is None or self.before.version != self.root.signed.version

    def seamless(self, snapshot: Metadata[Snapshot], stamp: Metadata[Timestamp]) -> bool:
        """Whether the rest verifies under the root before too, so that the new one can come last.

        Where keys are lost it cannot: then readers keep the list they have until the timestamp is there, and running
        `publish` again completes what was interrupted.
        """
        held = self.before
        return held is not None and not (
            missing(held, Targets.type, self.targets)
            or missing(held, Snapshot.type, snapshot)
            or missing(held, Timestamp.type, stamp)
        )

    def lacking(self) -> list[str]:
        """Which thresholds are not reached, and who could."""
        found = lacking_root(self.root, self.before if self.new_root else None)
        found += filter(None, [missing(self.root.signed, Targets.type, self.targets)])
        found += filter(None, [missing(self.targets.signed, LIST_ROLE, self.listed)])
        return found


def _chosen(role: str, offered: Metadata[Any] | None, held: Metadata[Any] | None) -> Metadata[Any]:
    """The version of a role that counts from now on: the one offered, if it is the next one.

    Raises:
        CentralError: It is not, or there is none at all.
    """
    if offered is None or (held is not None and offered.signed_bytes == held.signed_bytes):
        if held is None:
            raise CentralError(f"{role}: nothing is published yet, and nothing is offered")
        return held
    version = held.signed.version if held else 0
    if offered.signed.version != version + 1:
        raise CentralError(f"{role}: version {offered.signed.version} is offered, and {version} is published")
    return offered


def _check_list(listed: Metadata[Targets], held: Metadata[Targets] | None) -> None:
    """Holds a list against the one before: a serial rises, or stands for the same bytes; a log only grows."""
    if held is None:
        return
    before, after = held.signed.targets[RECORDS_TARGET], listed.signed.targets[RECORDS_TARGET]
    old, new = before.custom["serial"], after.custom["serial"]
    if new < old or (new == old and after.hashes != before.hashes):
        raise CentralError(f"serial {new} with other records is not newer than the published serial {old}")
    if after.custom["log_length"] < before.custom["log_length"]:
        raise CentralError(f"a log of {after.custom['log_length']} steps, after one of {before.custom['log_length']}")


def _check_current(documents: _Next, now: int) -> None:
    moment = datetime.fromtimestamp(now, UTC)
    for role, metadata in (("root", documents.root), ("targets", documents.targets), (LIST_ROLE, documents.listed)):
        if metadata.signed.is_expired(moment):
            raise CentralError(
                f"{role}: expired at {metadata.signed.expires:%Y-%m-%d %H:%M} UTC; sign its next version"
            )


class Publication:
    """One publishing into one repository."""

    def __init__(self, repository: Repository, online: Sequence[Signer], lifetimes: Lifetimes, now: int) -> None:
        self._repository = repository
        self._online = online
        self._lifetimes = lifetimes
        self._now = now

    def _signed(self, role: str, signed: Snapshot | Timestamp, documents: _Next) -> Metadata[Any]:
        """Signs with every key at hand that the root before or the root after names for the role.

        Raises:
            CentralError: The root after asks for more.
        """
        signed.expires = expiry(self._now, getattr(self._lifetimes, role))
        metadata: Metadata[Any] = Metadata(signed)
        roots = [documents.root.signed, *([documents.before] if documents.before else [])]
        known = {key.keyid for root in roots for key in role_keys(root, role)[0]}
        for signer in self._online:
            if signer.public_key.keyid in known:
                try:
                    metadata.sign(signer, append=True)
                except UnsignedMetadataError as error:
                    raise CentralError(f"{role}: the signer failed: {error}") from error
        if lacks := missing(documents.root.signed, role, metadata):
            raise CentralError(f"nothing was published:\n  {lacks}")
        return metadata

    def snapshot(self, documents: _Next, held: Contents) -> Metadata[Snapshot]:
        """The snapshot that ties the documents together: the one that is published, where it still does."""
        same = held.listed is not None and _serial(held.listed) == _serial(documents.listed)
        beside: dict[str, Any] = {PUBLISHED_AT: held.published_at if same and held.published_at else self._now}
        beside[PUBLIC] = documents.statement.digest
        if documents.rings:
            beside[canary.RINGS] = documents.rings
        meta = {
            "targets.json": MetaFile(documents.targets.signed.version),
            LIST_FILE: MetaFile(documents.listed.signed.version, unrecognized_fields=beside),
        }
        before = held.snapshot
        if before is not None and self._holds(before, meta, documents.root.signed):
            return before
        version = before.signed.version + 1 if before else 1
        return self._signed(Snapshot.type, Snapshot(version=version, meta=meta), documents)

    def timestamp(self, documents: _Next, held: Contents, snapshot: Metadata[Snapshot]) -> Metadata[Timestamp]:
        """The next timestamp."""
        version = held.timestamp.signed.version + 1 if held.timestamp else 1
        stamp = Timestamp(version=version, snapshot_meta=MetaFile(snapshot.signed.version))
        return self._signed(Timestamp.type, stamp, documents)

    def _holds(self, snapshot: Metadata[Snapshot], meta: dict[str, MetaFile], root: Root) -> bool:
        """Whether the published snapshot says what is to be said, with half of its lifetime left at least."""
        left = snapshot.signed.expires - datetime.fromtimestamp(self._now, UTC)
        young = left >= timedelta(seconds=self._lifetimes.snapshot / 2)
        return young and snapshot.signed.meta == meta and not missing(root, Snapshot.type, snapshot)

    def write(self, documents: _Next, snapshot: Metadata[Snapshot], stamp: Metadata[Timestamp]) -> None:
        """Writes everything, in the order in which no reader meets half of it."""
        repository = self._repository
        repository.write(Targets.type, documents.targets)
        repository.write(LIST_ROLE, documents.listed)
        repository.write(Snapshot.type, snapshot)
        if documents.new_root and not documents.seamless(snapshot, stamp):
            repository.write(Root.type, documents.root)
        repository.write(Timestamp.type, stamp)
        if documents.new_root and documents.seamless(snapshot, stamp):
            repository.write(Root.type, documents.root)


def _serial(listed: Metadata[Targets]) -> int:
    return int(listed.signed.targets[RECORDS_TARGET].custom["serial"])


def _rings(held: Contents, listed: Metadata[Targets], hold: float, now: int) -> dict[str, int]:
    """How long edges wait that are no canaries: as is signed already, or as is asked for a new release.

    Raises:
        WaitingError: Canary edges still try what is published.
    """
    before = canary.signed(held.snapshot, LIST_FILE)
    if held.listed is not None and _serial(held.listed) == _serial(listed):
        return before
    if listed.signed.targets[RECORDS_TARGET].custom["urgent"]:
        return {}
    if reason := canary.busy(before, held.published_at, now):
        raise WaitingError(reason)
    return canary.rings(hold)


def _statement(repository: Repository, folder: ReleaseFolder, held: Contents, listed: Metadata[Targets]) -> Statement:
    """What the public is told of a list: what was signed of it already, or what the release folder says.

    Raises:
        CentralError: That is of another release.
        FileError: It cannot be read.
    """
    serial = _serial(listed)
    if held.listed is not None and _serial(held.listed) == serial and (digest := statements.signed(held.snapshot)):
        return Statement(serial, digest)
    return statements.read(repository, folder, listed)


def _bring_delta(repository: Repository, held: Metadata[Targets], listed: Metadata[Targets], records: Path) -> None:
    """Puts the delta into the repository that the signed manifest ends with.

    Raises:
        CentralError: The manifest is not the one that follows from what is published.
    """
    release = parse_records(durable.read(records, MAX_TARGET_BYTES))
    chain = deltas.after(repository.targets, held.signed.targets, release)
    if hashlib.sha256(chain.manifest.encode()).hexdigest() != listed.signed.targets[MANIFEST_TARGET].hashes["sha256"]:
        raise CentralError(f"{MANIFEST_TARGET}: was made beside another repository; build and sign again")
    deltas.store(repository.targets, chain)


def _bring_targets(repository: Repository, folder: ReleaseFolder, listed: Metadata[Targets]) -> None:
    """Puts every target that the list names into the repository.

    Raises:
        CentralError: The release folder holds other bytes than were signed.
    """
    for path, target in listed.signed.targets.items():
        digest = target.hashes["sha256"]
        if repository.target_path(path, digest).exists():
            continue
        file = folder.target(path)
        data = durable.read(file, MAX_TARGET_BYTES)
        if hashlib.sha256(data).hexdigest() != digest:
            raise CentralError(f"{file}: not the bytes that were signed as {path}; build and sign again")
        repository.target(path, data, digest)


def _row(listed: Metadata[Targets], published_at: int) -> Published:
    target = listed.signed.targets[RECORDS_TARGET]
    custom: Mapping[str, Any] = target.custom
    # Of a roll-back, what counts is where its content came from.
    content = custom.get("rollback", custom)
    return Published(
        serial=custom["serial"],
        records_digest=target.hashes["sha256"],
        content_digest=custom["content"],
        published_at=published_at,
        entries=custom["records"],
        urgent=custom["urgent"],
        log_length=content["log_length"],
        as_of=content["as_of"],
        key_epoch=custom["key_epoch"],
    )


def publish(
    folder: ReleaseFolder,
    repository: Path,
    documents: Documents,
    online: Sequence[Signer],
    *,
    now: int,
    lifetimes: Lifetimes | None = None,
    hold: float = 0.0,
    keep: float = retention.KEEP_SECONDS,
) -> Outcome:
    """Publishes documents, or renews the online signatures over what is published already.

    Args:
        folder: The release folder, which the caller holds locked.
        repository: The folder of static files.
        documents: What the offline roles have signed.
        online: The keys of snapshot and timestamp.
        now: Seconds since 1970-01-01 UTC.
        lifetimes: For how long the online signatures hold.
        hold: Seconds for which canary edges have a new release before others, unless it is urgent.
        keep: Seconds for which files stay that the list has ceased to name.

    Raises:
        WaitingError: A threshold is not reached, or canary edges still try what is published; nothing was written.
        CentralError: The documents do not continue what is published.
        FileError: Something cannot be written; the release before stays published.
    """
    repo = Repository(repository)
    durable.make_folder(repo.metadata, 0o755)
    with durable.lock(repository):
        held = repo.opened()
        root = _chosen(Root.type, documents.root, held.root if held else None)
        before = held.root.signed if held else None
        held = held or Contents(root)
        targets = _chosen(Targets.type, documents.targets, held.targets)
        listed = _chosen(LIST_ROLE, documents.listed, held.listed)
        rings, statement = _rings(held, listed, hold, now), _statement(repo, folder, held, listed)
        after = _Next(before, root, targets, listed, rings, statement)
        if lacks := after.lacking():
            raise WaitingError("nothing was published:\n  " + "\n  ".join(lacks))
        _check_current(after, now)
        _check_list(after.listed, held.listed)
        publication = Publication(repo, online, lifetimes or Lifetimes(), now)
        snapshot = publication.snapshot(after, held)
        stamp = publication.timestamp(after, held, snapshot)
        _bring_targets(repo, folder, after.listed)
        row = _row(after.listed, Contents(root, snapshot=snapshot).published_at)
        new = held.listed is None or _serial(held.listed) != row.serial
        if held.listed is not None and new:
            _bring_delta(repo, held.listed, after.listed, repo.target_path(RECORDS_TARGET, row.records_digest))
        if new:
            # From here on the serial belongs to these bytes, even if this process ends before anybody can see them.
            folder.reserve(row)
        statements.bring(repo, statement)
        publication.write(after, snapshot, stamp)
        folder.mark_published(row)
        pruned = retention.prune(repo, after.listed.signed.version, now, keep)
    return Outcome(row, new, repo.path(Root.type, 1), pruned)


def read_documents(paths: Sequence[Path]) -> Documents:
    """The signed documents in files, told apart by what they are; copies of one bring their signatures together.

    Raises:
        CentralError: A file is none of the offline roles' documents.
    """
    found: dict[str, list[Metadata[Any]]] = {}
    for path in paths:
        role, metadata = parse_offline(durable.read(path, MAX_METADATA_BYTES), path)
        found.setdefault(role, []).append(metadata)
    whole = {role: merge(deepcopy(copies), role) for role, copies in found.items()}
    return Documents(whole.get(Root.type), whole.get(Targets.type), whole.get(LIST_ROLE))

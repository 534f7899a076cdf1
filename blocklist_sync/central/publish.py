"""Signs a release with TUF into a folder of static files that any web server can carry.

    metadata/N.root.json  N.targets.json  N.list.json  N.snapshot.json  timestamp.json
    targets/list/SHA256.records.bin  targets/list/SHA256.policy.json  targets/list/SHA256.manifest  HALF-SHA256.delta

Holds always: a file that a signature names is durable before the signature is, and `timestamp.json` comes last, so that
a reader sees the release before or the one after; what was signed under a serial is never signed with other bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from blocklist_sync.artifact.records import Release
from blocklist_sync.central import canary, deltas
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.keys import LIST_ROLE, THRESHOLD, Keys
from blocklist_sync.central.release import Published, ReleaseFolder
from lachan import durable

RECORDS_TARGET = "list/records.bin"
POLICY_TARGET = "list/policy.json"
LIST_FILE = f"{LIST_ROLE}.json"
MAX_METADATA_BYTES = 1 << 20

Payload = TypeVar("Payload", Root, Targets, Snapshot, Timestamp)


@dataclass(frozen=True)
class Lifetimes:
    """For how long each signature holds, in seconds."""

    root: float = 365 * 86_400.0
    targets: float = 365 * 86_400.0
    list: float = 30 * 86_400.0
    snapshot: float = 7 * 86_400.0
    timestamp: float = 86_400.0


@dataclass(frozen=True)
class Outcome:
    """What `publish` did: `new` is False where it only renewed what expires."""

    release: Published
    new: bool
    root: Path


class Repository:
    """A repository folder, read and written role by role."""

    def __init__(self, folder: Path, keys: Keys, lifetimes: Lifetimes, now: int) -> None:
        self.metadata = folder / "metadata"
        self.targets = folder / "targets"
        self._keys = keys
        self._lifetimes = lifetimes
        self._now = now

    def latest(self, role: str, kind: type[Payload]) -> Metadata[Payload] | None:
        """The newest metadata of a role.

        Raises:
            CentralError: It is malformed.
        """
        if role == Timestamp.type:
            path = self.metadata / "timestamp.json"
        else:
            versions = [int(p.name.split(".")[0]) for p in self.metadata.glob(f"*.{role}.json") if p.name[0] != "."]
            path = self.metadata / f"{max(versions, default=0)}.{role}.json"
        if not path.exists():
            return None
        try:
            loaded = Metadata.from_bytes(durable.read(path, MAX_METADATA_BYTES))
        except RepositoryError as error:
            raise CentralError(f"{path}: {error}") from error
        if not isinstance(loaded.signed, kind):
            raise CentralError(f"{path}: not metadata of {role}")
        return loaded

    def expiry(self, role: str) -> datetime:
        """When a signature of a role made now expires."""
        lifetime = timedelta(seconds=getattr(self._lifetimes, role))
        return (datetime.fromtimestamp(self._now, UTC) + lifetime).replace(microsecond=0)

    def ageing(self, metadata: Metadata[Any], role: str) -> bool:
        """Whether less than half of a role's lifetime is left: time to renew it."""
        left = metadata.signed.expires - datetime.fromtimestamp(self._now, UTC)
        return bool(left < timedelta(seconds=getattr(self._lifetimes, role) / 2))

    def write(self, role: str, signed: Payload) -> None:
        """Signs a role's next version with every key of the role, and writes it durably."""
        signed.expires = self.expiry(role)
        metadata = Metadata(signed)
        for signer in self._keys.of_role[role]:
            metadata.sign(signer, append=True)
        name = "timestamp.json" if role == Timestamp.type else f"{signed.version}.{role}.json"
        durable.write(self.metadata / name, [metadata.to_bytes()], durable.PUBLIC)

    def root(self) -> Root:
        """The trusted root, made of the keys where there is none, renewed where it ages.

        Raises:
            CentralError: The repository was made with other keys.
        """
        held = self.latest(Root.type, Root)
        if held is None:
            root = Root(consistent_snapshot=True)
            for role in (Root.type, Targets.type, Snapshot.type, Timestamp.type):
                for signer in self._keys.of_role[role]:
                    root.add_key(signer.public_key, role)
            self.write(Root.type, root)
            return root
        for role in (Root.type, Targets.type, Snapshot.type, Timestamp.type):
            if {signer.public_key.keyid for signer in self._keys.of_role[role]} != set(held.signed.roles[role].keyids):
                raise CentralError(f"{self.metadata}: made with other keys than these ({role})")
        if self.ageing(held, Root.type):
            held.signed.version += 1
            self.write(Root.type, held.signed)
        return held.signed

    def delegation(self) -> Targets:
        """The top-level targets: nothing but the delegation of `list/` to the approvers."""
        held = self.latest(Targets.type, Targets)
        if held is not None and not self.ageing(held, Targets.type):
            return held.signed
        signers = self._keys.of_role[LIST_ROLE]
        role = DelegatedRole(
            LIST_ROLE, [s.public_key.keyid for s in signers], THRESHOLD, terminating=True, paths=["list/*"]
        )
        targets = Targets(
            version=held.signed.version + 1 if held else 1,
            delegations=Delegations({s.public_key.keyid: s.public_key for s in signers}, {LIST_ROLE: role}),
        )
        self.write(Targets.type, targets)
        return targets

    def target(self, path: str, data: bytes, custom: Mapping[str, object]) -> TargetFile:
        """Writes a target under the name its digest gives it (a name's bytes never change)."""
        digest = hashlib.sha256(data).hexdigest()
        folder, _, name = path.rpartition("/")
        file = self.targets / folder / f"{digest}.{name}"
        durable.make_folder(file.parent, 0o755)
        if not (file.exists() and file.stat().st_size == len(data)):
            durable.write(file, [data], durable.PUBLIC)
        return TargetFile(len(data), {"sha256": digest}, path, {"custom": dict(custom)})

    def list_release(
        self, held: Metadata[Targets] | None, release: Release, bundle: bytes, published: Published
    ) -> Targets:
        """Signs a new release."""
        custom = {
            "serial": release.serial,
            "names": release.names,
            "records": release.count,
            "published_at": published.published_at,
            "urgent": published.urgent,
        }
        chain = deltas.after(self.targets, held.signed.targets if held else {}, release)
        deltas.store(self.targets, chain)
        listed = Targets(
            version=held.signed.version + 1 if held else 1,
            targets={
                RECORDS_TARGET: self.target(RECORDS_TARGET, release.data, custom),
                POLICY_TARGET: self.target(POLICY_TARGET, bundle, {}),
                deltas.MANIFEST_TARGET: self.target(deltas.MANIFEST_TARGET, chain.manifest.encode(), {}),
            },
        )
        self.write(LIST_ROLE, listed)
        return listed

    def renew(self, held: Metadata[Targets]) -> Targets:
        """Signs the published release again where its signatures age."""
        if self.ageing(held, LIST_ROLE):
            held.signed.version += 1
            self.write(LIST_ROLE, held.signed)
        return held.signed

    def close(self, targets: Targets, listed: Targets, rings: dict[str, int] | None = None) -> None:
        """Ties the new versions together: the snapshot names them, the timestamp names the snapshot, last."""
        held = self.latest(Snapshot.type, Snapshot)
        meta = {"targets.json": MetaFile(targets.version), LIST_FILE: canary.meta(listed.version, rings or {})}
        version = held.signed.version if held else 0
        if held is None or held.signed.meta != meta or self.ageing(held, Snapshot.type):
            version += 1
            self.write(Snapshot.type, Snapshot(version=version, meta=meta))
        stamp = self.latest(Timestamp.type, Timestamp)
        self.write(
            Timestamp.type,
            Timestamp(version=stamp.signed.version + 1 if stamp else 1, snapshot_meta=MetaFile(version)),
        )


@dataclass(frozen=True)
class _Signed:
    published_at: int
    urgent: bool


def _signed(held: Metadata[Targets] | None, release: Release) -> _Signed | None:
    """What was signed of this very release before; None where it is newer than what was signed.

    Raises:
        CentralError: It is older, or other bytes bear its serial.
    """
    if held is None:
        return None
    target = held.signed.targets[RECORDS_TARGET]
    serial, digest = target.custom["serial"], target.hashes["sha256"]
    if release.serial > serial:
        return None
    if release.serial < serial or release.digest.hex() != digest:
        raise CentralError(
            f"serial {release.serial} with digest {release.digest.hex()[:16]}… is not newer than the published "
            f"serial {serial} with digest {digest[:16]}…"
        )
    return _Signed(target.custom["published_at"], target.custom["urgent"])


def publish(
    folder: ReleaseFolder,
    repository: Path,
    keys: Keys,
    *,
    now: int,
    lifetimes: Lifetimes | None = None,
    urgent: bool = False,
    hold: float = 0.0,
) -> Outcome:
    """Publishes the candidate, or renews the signatures of a release that is published already.

    Args:
        folder: The release folder, which the caller holds locked.
        repository: The folder of static files.
        keys: Every role's keys.
        now: Seconds since 1970-01-01 UTC.
        lifetimes: For how long signatures hold.
        urgent: Whether edges should hurry.
        hold: Seconds for which canary edges have a new release before others.

    Raises:
        CentralError: The candidate is not newer than what is published, canary edges still try that, or folder, keys
            and repository do not match.
        FileError: Something cannot be written; the release before stays published.
    """
    release = folder.release()
    candidate = folder.candidate()
    if candidate is None:
        raise CentralError(f"{folder.folder}: nothing was built here yet")
    bundle = folder.policy().encode()
    durable.make_folder(repository / "metadata", 0o755)
    with durable.lock(repository):
        repo = Repository(repository, keys, lifetimes or Lifetimes(), now)
        repo.root()
        targets = repo.delegation()
        held = repo.latest(LIST_ROLE, Targets)
        signed = _signed(held, release)
        published = Published(
            release.serial,
            release.digest.hex(),
            candidate.content_digest,
            signed.published_at if signed else now,
            release.count,
            signed.urgent if signed else urgent,
        )
        rings = canary.signed(repo.latest(Snapshot.type, Snapshot), LIST_FILE)
        if signed is None:
            if held is not None and not urgent:
                canary.check(rings, held.signed.targets[RECORDS_TARGET].custom["published_at"], now)
            rings = canary.rings(0.0 if urgent else hold)
            # From here on the serial belongs to these bytes, even if this process ends before anybody can see them.
            folder.reserve(published)
        listed = repo.renew(held) if held and signed else repo.list_release(held, release, bundle, published)
        repo.close(targets, listed, rings)
    folder.mark_published(published)
    return Outcome(published, signed is None, repository / "metadata" / "1.root.json")

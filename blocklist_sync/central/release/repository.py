"""The folder of static files that edges read: TUF metadata and targets, under names that any web server can carry.

    metadata/N.root.json  N.targets.json  N.list.json  N.snapshot.json  timestamp.json
    targets/list/SHA256.records.bin  SHA256.policy.json  SHA256.manifest  HALF-SHA256.delta
    public/SERIAL.json  SERIAL.commitments

Holds always: what is published is what `timestamp.json` leads to, whatever else an interruption left in the folder;
what `verified` returns was verified from a root that the caller trusts, role by role, by the threshold of each.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from securesystemslib.signer import Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import keys as log_keys
from blocklist_sync.central.log.verifier import Delegated
from blocklist_sync.central.release.holder import person_of
from lachan import durable

LIST_ROLE = "list"
LIST_PATHS = ("list/*",)
RECORDS_TARGET = "list/records.bin"
POLICY_TARGET = "list/policy.json"
MAX_METADATA_BYTES = 1 << 20
MAX_ROOT_ROTATIONS = 1024
RETIRED = "x-lachan-retired"
"""In the top-level targets: the keys that once were approvers', and up to which step of the log."""
PUBLISHED_AT = "x-lachan-published-at"
"""In the snapshot, beside the list's version: when that release was published, in seconds since 1970-01-01 UTC."""

PUBLIC = "x-lachan-public"
"""There too: SHA-256 of what the public is told of the release."""

Payload = TypeVar("Payload", Root, Targets, Snapshot, Timestamp)
_KINDS: Mapping[str, type[Any]] = {"root": Root, "targets": Targets, "snapshot": Snapshot, "timestamp": Timestamp}


def parse(data: bytes, kind: type[Payload], source: object) -> Metadata[Payload]:
    """The metadata in `data`, of the kind that is expected; its signatures are not looked at.

    Raises:
        CentralError: It is malformed, or of another kind.
    """
    try:
        loaded: Metadata[Any] = Metadata.from_bytes(data)
    except RepositoryError as error:
        raise CentralError(f"{source}: {error}") from error
    if not isinstance(loaded.signed, kind):
        raise CentralError(f"{source}: metadata of {loaded.signed.type}, not of {kind.type}")
    return loaded


def read(path: Path, kind: type[Payload]) -> Metadata[Payload]:
    """The metadata in a file.

    Raises:
        CentralError: It is malformed, or of another kind.
        FileError: It cannot be read.
    """
    return parse(durable.read(path, MAX_METADATA_BYTES), kind, path)


def missing(delegator: Root | Targets, role: str, metadata: Metadata[Any]) -> str:
    """What a signed document still lacks to count as a role's; empty where it lacks nothing."""
    result = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    if result.verified:
        return ""
    people = ", ".join(sorted(person_of(key) for key in result.unsigned.values())) or "nobody"
    return f"{role}: {len(result.signed)} of {result.threshold} signatures; {result.missing} more from: {people}"


def role_keys(delegator: Root | Targets, role: str) -> tuple[list[Key], int]:
    """The keys of a role and its threshold.

    Raises:
        CentralError: Nothing is delegated to such a role.
    """
    if isinstance(delegator, Root):
        held: Any = delegator.roles.get(role)
        keys = delegator.keys
    else:
        delegations = delegator.delegations
        held = (delegations.roles or {}).get(role) if delegations else None
        keys = delegations.keys if delegations else {}
    if held is None:
        raise CentralError(f"nothing is delegated to a role {role}")
    return [keys[keyid] for keyid in held.keyids], held.threshold


@dataclass(frozen=True)
class Contents:
    """What a repository publishes; nothing is said of what has expired."""

    root: Metadata[Root]
    targets: Metadata[Targets] | None = None
    listed: Metadata[Targets] | None = None
    snapshot: Metadata[Snapshot] | None = None
    timestamp: Metadata[Timestamp] | None = None

    @property
    def published_at(self) -> int:
        """When the release was published, by the snapshot's word; 0 before the first."""
        if self.snapshot is None:
            return 0
        return int(self.snapshot.signed.meta[f"{LIST_ROLE}.json"].unrecognized_fields.get(PUBLISHED_AT, 0))


class Repository:
    """A repository folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata = folder / "metadata"
        self.targets = folder / "targets"
        self.public = folder / "public"

    def path(self, role: str, version: int) -> Path:
        """Where a version of a role's metadata stands."""
        return self.metadata / ("timestamp.json" if role == Timestamp.type else f"{version}.{role}.json")

    def held(self, role: str, version: int) -> Metadata[Any]:
        """A version of a role's metadata, its signatures not looked at.

        Raises:
            CentralError: It is malformed, or of another version.
            FileError: It is not there.
        """
        path = self.path(role, version)
        found = read(path, _KINDS.get(role, Targets))
        if role != Timestamp.type and found.signed.version != version:
            raise CentralError(f"{path}: holds version {found.signed.version}")
        return found

    def exists(self) -> bool:
        """Whether anything was ever published here."""
        return self.path(Timestamp.type, 0).exists()

    def verified(self, first: bytes) -> Contents:
        """Everything that is published, verified from a trusted root.

        Args:
            first: The root that is trusted.

        Raises:
            CentralError: A signature is missing, or metadata does not fit together.
        """
        found = self._opened(parse(first, Root, "the trusted root"), "the trusted root")
        for role, metadata, delegator in (
            (Timestamp.type, found.timestamp, found.root),
            (Snapshot.type, found.snapshot, found.root),
            (Targets.type, found.targets, found.root),
            (LIST_ROLE, found.listed, found.targets),
        ):
            if metadata and delegator and (lacks := missing(delegator.signed, role, metadata)):
                raise CentralError(f"{self.path(role, metadata.signed.version)}: {lacks}")
        return found

    def opened(self) -> Contents | None:
        """What the folder says of itself; None before its first root. Only the chain of roots is verified.

        Raises:
            CentralError: Metadata is malformed or does not fit together.
        """
        path = self.path(Root.type, 1)
        return self._opened(read(path, Root), path) if path.exists() else None

    def _opened(self, first: Metadata[Root], source: object) -> Contents:
        root = self._chain(first, source)
        if not self.exists():
            # Founded: who the approvers are is known before their first list is.
            founded = self.path(Targets.type, 1).exists()
            return Contents(root, self.held(Targets.type, 1) if founded else None)
        stamp = self.held(Timestamp.type, 0)
        snapshot = self.held(Snapshot.type, stamp.signed.snapshot_meta.version)
        try:
            versions = [snapshot.signed.meta[f"{role}.json"].version for role in (Targets.type, LIST_ROLE)]
        except KeyError as error:
            raise CentralError(f"{self.path(Snapshot.type, snapshot.signed.version)}: {error} is missing") from error
        targets, listed = self.held(Targets.type, versions[0]), self.held(LIST_ROLE, versions[1])
        return Contents(root, targets, listed, snapshot, stamp)

    def _chain(self, root: Metadata[Root], source: object) -> Metadata[Root]:
        """The newest root that a root leads to, each signed by the one before and by itself."""
        if lacks := missing(root.signed, Root.type, root):
            raise CentralError(f"{source}: {lacks}")
        for version in range(root.signed.version + 1, root.signed.version + 1 + MAX_ROOT_ROTATIONS):
            if not self.path(Root.type, version).exists():
                return root
            after = self.held(Root.type, version)
            for delegator in (root.signed, after.signed):
                if lacks := missing(delegator, Root.type, after):
                    raise CentralError(f"{self.path(Root.type, version)}: {lacks}")
            root = after
        raise CentralError(f"{self.metadata}: more than {MAX_ROOT_ROTATIONS} roots")

    def write(self, role: str, metadata: Metadata[Any]) -> None:
        """Writes a version of a role's metadata durably.

        Raises:
            FileError: It cannot be written.
        """
        durable.write(self.path(role, metadata.signed.version), [metadata.to_bytes()], durable.PUBLIC)

    def target_path(self, path: str, digest: str) -> Path:
        """Where a target of a digest stands."""
        folder, _, name = path.rpartition("/")
        return self.targets / folder / f"{digest}.{name}"

    def target(self, path: str, data: bytes, digest: str) -> None:
        """Writes a target under the name its digest gives it (a name's bytes never change).

        Raises:
            FileError: It cannot be written.
        """
        file = self.target_path(path, digest)
        durable.make_folder(file.parent, 0o755)
        if not (file.exists() and file.stat().st_size == len(data)):
            durable.write(file, [data], durable.PUBLIC)


def describe(path: str, data: bytes, custom: Mapping[str, object]) -> TargetFile:
    """How metadata names a target."""
    return TargetFile(len(data), {"sha256": hashlib.sha256(data).hexdigest()}, path, {"custom": dict(custom)})


def raw_keys(keys: Sequence[Key]) -> set[bytes]:
    """The public keys, as the approvals log knows them; whoever has one of another kind decides nothing in it."""
    found = set()
    for key in keys:
        with contextlib.suppress(CentralError):
            found.add(log_keys.raw(key))
    return found


def approvers(targets: Targets) -> list[Key]:
    """The keys that are delegated the list role now."""
    return role_keys(targets, LIST_ROLE)[0]


def retired(targets: Targets) -> list[tuple[Key, int]]:
    """The keys that once were, each with the last step of the log that it counts for.

    Raises:
        CentralError: The field is malformed.
    """
    held = targets.unrecognized_fields.get(RETIRED, {})
    try:
        return [(Key.from_dict(keyid, dict(one["key"])), int(one["until"])) for keyid, one in held.items()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CentralError(f"targets: {RETIRED}: {error!r:.80}") from error


def delegated(targets: Targets) -> Delegated:
    """Whose approvals count, by the word of the top-level targets.

    Raises:
        CentralError: They delegate no list, or their retired keys are malformed.
    """
    until = {raw: last for key, last in retired(targets) for raw in raw_keys([key])}
    return Delegated(frozenset(raw_keys(approvers(targets))), until)


def parse_offline(data: bytes, source: object) -> tuple[str, Metadata[Any]]:
    """The role and the document in `data`, where it is one of an offline role's.

    Raises:
        CentralError: It is not.
    """
    try:
        loaded: Metadata[Any] = Metadata.from_bytes(data)
    except RepositoryError as error:
        raise CentralError(f"{source}: {error}") from error
    if isinstance(loaded.signed, Root):
        return Root.type, loaded
    if isinstance(loaded.signed, Targets):
        return (LIST_ROLE if loaded.signed.delegations is None else Targets.type), loaded
    raise CentralError(f"{source}: metadata of {loaded.signed.type}, which is signed online")

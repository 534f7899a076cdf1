"""Puts a verified release in force on this machine, durably and in one step.

    releases/SERIAL-DIGEST/   records.bin  policy.json  rules.snapshot  activation.json
    current.json              which of them is in force, and which was before

Holds always: `current.json` names a release whose every file was durable before; it changes in one rename, so that an
interruption anywhere leaves the release before or the one after; the one before is kept; a release that does not verify
any more is passed over for the newest one that does.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocklist_sync.artifact import policy, records, snapshot
from blocklist_sync.artifact.errors import ArtifactError, SnapshotError
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.edge.errors import Failure, Reason, RefusedError, RoundError
from blocklist_sync.edge.verify import InForce, Verified
from lachan import durable, log
from lachan.errors import LachanError

FOLDER = "blocklist"
"""Below an edge's state_dir."""
FOLDERS = ("tuf", "tuf/root_history", "tuf/parts")
"""Beside `releases`, all the folders that there are below `FOLDER`."""
MAX_NOTE_BYTES = 4096

_POINTER = "current.json"
_NOTE = "activation.json"
_SNAPSHOT = "rules.snapshot"
_RECORDS = "records.bin"
_POLICY = "policy.json"


@dataclass(frozen=True)
class Activation:
    """A release in force; times are seconds since 1970-01-01 UTC."""

    serial: int
    records_digest: bytes
    snapshot: Path
    policy: PolicyBundle
    activated_at: int
    published_at: int
    entries: int
    """Records that the release lists."""

    @property
    def in_force(self) -> InForce:
        """What the next release is held against, and made of."""
        folder = self.snapshot.parent
        return InForce(self.serial, self.records_digest, folder / _RECORDS, folder / _POLICY)


class ReleaseStore:
    """The releases of one edge, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._releases = folder / "releases"
        self._pointer = folder / _POINTER
        self.damaged: tuple[str, ...] = ()
        """Releases that did not verify when somebody looked last."""

    def put_in_force(
        self, verified: Verified, before: InForce, now: int, suspended: frozenset[bytes] = frozenset()
    ) -> Activation:
        """Writes a release, builds its snapshot, and points to it.

        Args:
            verified: The release.
            before: The newest until now, which is kept.
            now: Seconds since 1970-01-01 UTC.
            suspended: Digests of what is passed over: where that is the one before, the one before that is kept too.

        Raises:
            RefusedError: No snapshot can be built of it.
            RoundError: The disk is in the way; what was in force still is.
        """
        offered = verified.offer
        try:
            built = snapshot.build(verified.release)
        except ArtifactError as error:
            raise RefusedError(Reason.MALFORMED, str(error)) from error
        name = _name(offered.serial, offered.records_digest)
        folder = self._releases / name
        note = {
            "serial": offered.serial,
            "records_digest": offered.records_digest.hex(),
            "activated_at": now,
            "published_at": offered.published_at,
        }
        kept = [name] if before.serial == 0 else [name, _name(before.serial, before.records_digest)]
        if before.records_digest in suspended:
            passed = {_short(digest) for digest in suspended}
            kept += [other for other in self._named() if other not in kept and other.partition("-")[2] not in passed][
                :1
            ]
        try:
            # Of a release that is not in force, only an interruption or damage can have left something.
            shutil.rmtree(folder, ignore_errors=True)
            durable.make_folder(folder)
            durable.write(folder / _RECORDS, [verified.release.data])
            durable.write(folder / _POLICY, [verified.policy.encode()])
            durable.write(folder / _SNAPSHOT, [built])
            durable.write(folder / _NOTE, [json.dumps(note).encode()])
            durable.write(self._pointer, [json.dumps(kept).encode()])
        except durable.FileError as error:
            raise RoundError(Failure.STORAGE, str(error)) from error
        self.damaged = ()
        return Activation(
            offered.serial,
            offered.records_digest,
            folder / _SNAPSHOT,
            verified.policy,
            now,
            offered.published_at,
            verified.release.count,
        )

    def in_force(self, *, repair: bool, passing: frozenset[bytes] = frozenset()) -> Activation | None:
        """The release in force: the one pointed to, or the newest that verifies; None before the first.

        Args:
            repair: Build a snapshot anew from its records where it is damaged or of an older format.
            passing: Digests of the records of releases that are passed over.
        """
        damaged: list[str] = []
        try:
            for name in self._candidates():
                try:
                    found = self._open(self._releases / name, repair=repair)
                except LachanError as error:
                    log.get().error("release unusable", release=name, error=str(error))
                    damaged.append(name)
                    continue
                if found.records_digest not in passing:
                    return found
            return None
        finally:
            self.damaged = tuple(damaged)

    def prune(self) -> None:
        """Removes what an interruption or a newer release left behind; a failure to do so harms nothing."""
        named = self._named()
        if named and self._releases.is_dir():
            for folder in self._releases.iterdir():
                if folder.name not in named:
                    shutil.rmtree(folder, ignore_errors=True)

    def clear_obstacles(self) -> None:
        """Removes folders that stand where files belong: no damage may keep the next release from coming."""
        known = {self._releases, *(self._pointer.parent / name for name in FOLDERS)}
        for folder in (self._pointer.parent, *known - {self._releases}):
            if not folder.is_dir():
                folder.unlink(missing_ok=True)
                continue
            for found in folder.iterdir():
                if found not in known and found.is_dir() and not found.is_symlink():
                    log.get().error("a folder stands where a file belongs: removed", folder=str(found))
                    shutil.rmtree(found, ignore_errors=True)

    def _named(self) -> list[str]:
        """The releases that the pointer names, newest first; none where it is missing or damaged."""
        try:
            named: Any = json.loads(durable.read(self._pointer, MAX_NOTE_BYTES))
        except (durable.FileError, ValueError):
            return []
        return [str(name) for name in named if "/" not in str(name)] if isinstance(named, list) else []

    def _candidates(self) -> Iterator[str]:
        named = self._named()
        yield from named
        if self._releases.is_dir() and not named:
            # The pointer itself is damaged: the folders still say which serial is the highest.
            names = [folder.name for folder in self._releases.iterdir() if (folder / _NOTE).exists()]
            yield from sorted(names, key=_serial, reverse=True)

    def _open(self, folder: Path, *, repair: bool) -> Activation:
        note = _note(folder / _NOTE)
        try:
            bundle = policy.parse(durable.read(folder / _POLICY, policy.MAX_BYTES))
            try:
                entries = self._verify(folder / _SNAPSHOT, note["records_digest"])
            except (ArtifactError, durable.FileError, OSError, ValueError):
                if not repair:
                    raise
                entries = self._rebuild(folder, note["records_digest"])
        except (ArtifactError, OSError, ValueError) as error:
            raise RoundError(Failure.STORAGE, f"{folder}: {error}") from error
        return Activation(
            note["serial"],
            bytes.fromhex(note["records_digest"]),
            folder / _SNAPSHOT,
            bundle,
            note["activated_at"],
            note["published_at"],
            entries,
        )

    @staticmethod
    def _verify(path: Path, digest: str) -> int:
        opened = snapshot.verify(durable.read(path, snapshot.MAX_BYTES))
        if opened.records_digest.hex() != digest:
            raise SnapshotError(f"{path}: the snapshot of other records")
        return opened.count

    def _rebuild(self, folder: Path, digest: str) -> int:
        release = records.parse(durable.read(folder / _RECORDS, records.MAX_BYTES))
        if release.digest.hex() != digest:
            raise ValueError("the records are damaged")
        durable.write(folder / _SNAPSHOT, [snapshot.build(release)])
        log.get().warning("snapshot built anew", release=folder.name)
        return release.count


def _short(digest: bytes) -> str:
    return digest.hex()[:16]


def _name(serial: int, digest: bytes) -> str:
    return f"{serial}-{_short(digest)}"


def _serial(name: str) -> int:
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _note(path: Path) -> dict[str, Any]:
    """What stands beside a release.

    Raises:
        RoundError: It cannot be read, or is malformed.
    """
    try:
        note: Any = json.loads(durable.read(path, MAX_NOTE_BYTES))
        kinds = {"serial": int, "records_digest": str, "activated_at": int, "published_at": int}
        if not isinstance(note, dict) or {key: type(value) for key, value in note.items()} != kinds:
            raise ValueError("not an activation")  # noqa: TRY301  one road for whatever is wrong with it
    except (durable.FileError, ValueError) as error:
        raise RoundError(Failure.STORAGE, f"{path}: {error}") from error
    return note

"""Which release the repository offers now, noticed by every process that serves it, whoever published.

Holds always: what is told was complete in the folder when it was read; a folder that cannot be read changes nothing
that was told before. Files are looked at, since no notice of the kernel's crosses from one machine to another.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.repository import LIST_ROLE, MAX_METADATA_BYTES, RECORDS_TARGET
from lachan import durable, log

LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Announcement:
    """The release offered; serial 0 where nothing is published yet."""

    serial: int = 0
    records_digest: bytes = b""
    urgent: bool = False


def _metadata(path: Path, kind: type[Any]) -> Any:
    loaded: Metadata[Any] = Metadata.from_bytes(durable.read(path, MAX_METADATA_BYTES))
    if not isinstance(loaded.signed, kind):
        raise CentralError(f"{path}: not metadata of {kind.type}")
    return loaded.signed


def read(repository: Path) -> Announcement:
    """What the repository offers, by its own word: edges verify it, this does not.

    Raises:
        CentralError: It cannot be read.
    """
    folder = repository / "metadata"
    if not (folder / "timestamp.json").exists():
        return Announcement()
    try:
        stamp: Timestamp = _metadata(folder / "timestamp.json", Timestamp)
        tied: Snapshot = _metadata(folder / f"{stamp.snapshot_meta.version}.snapshot.json", Snapshot)
        listed: Targets = _metadata(folder / f"{tied.meta[f'{LIST_ROLE}.json'].version}.{LIST_ROLE}.json", Targets)
        target = listed.targets[RECORDS_TARGET]
        digest = bytes.fromhex(target.hashes["sha256"])
        serial = target.custom["serial"]
        if len(digest) != hashlib.sha256().digest_size or type(serial) is not int or serial < 1:
            raise CentralError(f"{repository}: the list is signed without serial and digest")
        return Announcement(serial, digest, target.custom.get("urgent") is True)
    except (RepositoryError, durable.FileError, KeyError, TypeError, ValueError) as error:
        raise CentralError(f"{repository}: {error}") from error


class Bulletin:
    """Looks at a repository and tells its listeners of what is new."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._seen: tuple[int, ...] | None = None
        self._listeners: set[Callable[[], None]] = set()
        self.current = Announcement()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Has `listener` called after every change, in the loop; what is returned ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def _state(self) -> tuple[int, ...] | None:
        try:
            found = (self._repository / "metadata" / "timestamp.json").stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def look(self) -> Announcement | None:
        """What is offered now where the repository may have changed since the last look; blocks."""
        state = self._state()
        if state is None or state == self._seen:
            return None
        try:
            announcement = read(self._repository)
        except CentralError as error:
            # A repository that is copied file by file is looked at again when its next file is there.
            log.get().warning("the repository cannot be read", error=str(error))
            return None
        self._seen = state
        return announcement

    async def run(self) -> None:
        """Looks for ever."""
        while True:
            found = await asyncio.to_thread(self.look)
            if found is not None and found != self.current:
                self.current = found
                log.get().info("announcing", serial=found.serial, urgent=found.urgent, streams=len(self._listeners))
                for listener in tuple(self._listeners):
                    listener()
            await asyncio.sleep(LOOK_SECONDS)

"""The rules in force, as they go from the supervisor to the workers: a sealed copy of the snapshot and the bundle.

Holds always: what workers map can never change or shrink beneath them (a sealed memfd: no SIGBUS, no disk to wait for),
and was verified once, here, byte by byte.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from blocklist_sync.artifact import policy as bundles
from blocklist_sync.artifact import snapshot as snapshots
from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.policy import PolicyBundle
from resolver.errors import ResolverError
from resolver.overrides import Override

SNAPSHOT_MAX_BYTES = 4 << 30
_COPY_BYTES = 8 << 20
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class RulesError(ResolverError):
    """A snapshot cannot be put in force."""


@dataclass(frozen=True)
class Rules:
    """What is in force. Serial 0 with no snapshot: there has never been a list.

    `epoch` differs from that of every other set of rules on this machine since its cache was made. Times are seconds
    since 1970.
    """

    epoch: int
    serial: int = 0
    records_digest: bytes = b""
    entries: int = 0
    activated_at: int = 0
    published_at: int = 0
    bundle: PolicyBundle = field(default_factory=bundles.default)
    fd: int | None = None
    overrides: tuple[Override, ...] = ()
    """Each holds until its own end."""

    def describe(self) -> dict[str, Any]:
        """As workers are told, the descriptor apart."""
        return {
            "epoch": self.epoch,
            "serial": self.serial,
            "digest": self.records_digest.hex(),
            "entries": self.entries,
            "activated_at": self.activated_at,
            "bundle": self.bundle.encode().decode(),
            "overrides": [one.document() for one in self.overrides],
        }

    def fingerprints(self) -> Sequence[int]:
        """Of the names that the list has rules for, in no order; none where there is no list.

        Raises:
            RulesError: Others have taken the place of these rules meanwhile.
        """
        if self.fd is None:
            return ()
        try:
            with mmap.mmap(self.fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
                return array("Q", _fingerprints(mapped))
        except (OSError, ValueError, ArtifactError) as error:
            raise RulesError(f"the rules' names cannot be read now: {error}") from error

    def overridden(self, overrides: tuple[Override, ...], epoch: int) -> Rules:
        """The same with other overrides, under another epoch."""
        return replace(self, overrides=overrides, epoch=epoch)


def facts(description: Mapping[str, Any]) -> dict[str, Any]:
    """Of a description, what stays small whatever is in force."""
    return {key: value for key, value in description.items() if key not in {"bundle", "overrides"}}


def seal(path: Path) -> int:
    """A sealed copy of the file in memory; the descriptor, which the caller owns.

    Raises:
        RulesError: The file cannot be read or is beyond `SNAPSHOT_MAX_BYTES`.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > SNAPSHOT_MAX_BYTES:
                raise RulesError(f"{path}: larger than {SNAPSHOT_MAX_BYTES} bytes")
            fd = os.memfd_create("rules.snapshot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            try:
                while os.sendfile(fd, file.fileno(), None, _COPY_BYTES):
                    pass
            except OSError:
                os.close(fd)
                raise
    except OSError as error:
        raise RulesError(f"{path}: {error.strerror}") from error
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd


def _fingerprints(mapped: mmap.mmap) -> bytes:
    # In a scope of its own: the snapshot has to let go of the mapping before that is closed.
    return Snapshot(mapped).fingerprints()


def view(fd: int) -> Snapshot:
    """A sealed snapshot to be read here; the descriptor stays the caller's."""
    return Snapshot(mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ))


def load(
    path: Path,
    *,
    epoch: int,
    bundle: PolicyBundle | None = None,
    activated_at: int,
    published_at: int = 0,
) -> Rules:
    """Seals and verifies a snapshot. Takes tens of milliseconds a million names: not for an event loop.

    Raises:
        RulesError: It cannot be read or is not intact.
    """
    fd = seal(path)
    wrong = ""
    try:
        # All of it is read at once: to meet its pages one by one takes longer than to hash them.
        with mmap.mmap(fd, 0, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ) as view:
            try:
                snapshot = snapshots.verify(view)
                rules = Rules(
                    epoch=epoch,
                    serial=snapshot.serial,
                    records_digest=snapshot.records_digest,
                    entries=snapshot.count,
                    activated_at=activated_at,
                    published_at=published_at,
                    bundle=bundle or bundles.default(),
                    fd=fd,
                )
                # The view is released before the mapping is closed; so is the one that an error's traceback holds.
                del snapshot
            except (ArtifactError, ValueError) as error:
                wrong = str(error)
    except (ValueError, OSError) as error:
        wrong = str(error)
    if wrong:
        os.close(fd)
        raise RulesError(f"{path}: {wrong}")
    return rules

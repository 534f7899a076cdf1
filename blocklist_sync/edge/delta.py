"""The records of an offered release, made of those in force and what changed since.

Holds always: what is returned is byte for byte what was signed; whatever else comes of it is no verdict on the release,
only the reason why its records have to be downloaded whole.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from blocklist_sync.artifact import delta, manifest, records
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.manifest import Step
from blocklist_sync.artifact.records import Release
from blocklist_sync.edge.errors import SyncError
from blocklist_sync.edge.verify import InForce, Offer
from lachan import durable, log

MANIFEST_TARGET = "list/manifest"


class Fallback(enum.StrEnum):
    """Why the records are downloaded whole. Each is counted."""

    NOTHING_HELD = "nothing_held"
    NO_MANIFEST = "no_manifest"
    BEYOND_MANIFEST = "beyond_manifest"
    NO_SAVING = "no_saving"
    MISSING = "missing"
    TAMPERED = "tampered"
    MALFORMED = "malformed"
    OTHER_RECORDS = "other_records"


class NoWayError(Exception):
    """No deltas lead to the release; caught where it is counted."""

    def __init__(self, fallback: Fallback, detail: str = "") -> None:
        self.fallback = fallback
        self.detail = detail
        super().__init__(f"{fallback}: {detail}")


@dataclass
class Deltas:
    """How releases came since the start."""

    applied: int = 0
    """By deltas."""
    fallbacks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Fallback, 0))
    """Whole, by reason."""

    def records(
        self, offered: Offer, in_force: InForce, read: Callable[[], bytes | None], fetch: Callable[[str, int], bytes]
    ) -> bytes | None:
        """The records of the offered release; None where they have to be downloaded.

        Args:
            offered: What is signed.
            in_force: What is held.
            read: The signed manifest, None where none is signed.
            fetch: A file below `targets/list/`, of so many bytes at most.
        """
        try:
            data = _through(offered, in_force, read, fetch)
        except NoWayError as error:
            self.fallbacks[error.fallback] += 1
            log.get().info("records downloaded whole", reason=str(error.fallback), detail=error.detail)
            return None
        self.applied += 1
        return data


def _held(path: Path | None, in_force: InForce) -> Release:
    if path is None:
        raise NoWayError(Fallback.NOTHING_HELD)
    try:
        release = records.parse(durable.read(path, records.MAX_BYTES))
    except (ArtifactError, durable.FileError) as error:
        raise NoWayError(Fallback.NOTHING_HELD, str(error)) from error
    if release.digest != in_force.records_digest:
        raise NoWayError(Fallback.NOTHING_HELD, "the records held are damaged")
    return release


def _steps(offered: Offer, in_force: InForce, signed: bytes | None) -> tuple[Step, ...]:
    if signed is None:
        raise NoWayError(Fallback.NO_MANIFEST)
    try:
        chain = manifest.parse(signed)
    except ArtifactError as error:
        raise NoWayError(Fallback.MALFORMED, str(error)) from error
    if chain.serial != offered.serial:
        raise NoWayError(Fallback.MALFORMED, f"a manifest of serial {chain.serial}")
    steps = chain.since(in_force.serial)
    if steps is None:
        raise NoWayError(Fallback.BEYOND_MANIFEST, f"from serial {in_force.serial}, and it begins at {chain.base}")
    if sum(step.length for step in steps) >= offered.records_bytes:
        raise NoWayError(Fallback.NO_SAVING, f"{len(steps)} deltas")
    return steps


def _through(
    offered: Offer, in_force: InForce, read: Callable[[], bytes | None], fetch: Callable[[str, int], bytes]
) -> bytes:
    if in_force.records is None:
        raise NoWayError(Fallback.NOTHING_HELD)
    try:
        steps = _steps(offered, in_force, read())
        release = _held(in_force.records, in_force)
        for step in steps:
            data = fetch(step.name, step.length)
            if not step.fits(data):
                raise NoWayError(Fallback.TAMPERED, step.name)
            release = delta.apply(release, delta.parse(data))
    except SyncError as error:
        raise NoWayError(Fallback.MISSING, str(error)) from error
    except ArtifactError as error:
        raise NoWayError(Fallback.MALFORMED, str(error)) from error
    if hashlib.sha256(release.data).digest() != offered.records_digest:
        raise NoWayError(Fallback.OTHER_RECORDS)
    return release.data

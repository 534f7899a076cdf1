"""Deltas beside the records: one step for each release, and the signed manifest that they hang from.

Holds always: manifest and delta are a function of the release before, its manifest and the release, so that whoever has
the published repository makes the same bytes; where no delta is worth having, the chain begins anew, and edges take the
records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tuf.api.metadata import TargetFile

from blocklist_sync.artifact import delta, manifest, records
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.manifest import Manifest, Step
from blocklist_sync.artifact.records import Release
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.repository import RECORDS_TARGET
from lachan import durable

MANIFEST_TARGET = "list/manifest"


@dataclass(frozen=True)
class Chain:
    """The manifest of a release, and the step that leads to it; None where the chain begins with it."""

    manifest: Manifest
    delta: bytes | None = None
    held: Manifest | None = None
    """The manifest before: edges may be on their way by it."""


def link(before: Release | None, held: Manifest | None, after: Release) -> Chain:
    """The chain that leads to a release.

    Args:
        before: The release that was published before it.
        held: The manifest of that one.
        after: The release.
    """
    if before is None or before.key != after.key or before.serial >= after.serial:
        return Chain(Manifest(after.serial))
    if held is None or held.serial != before.serial:
        held = Manifest(before.serial)
    try:
        step = delta.encode(before, after)
        # Nobody is sent a delta that was not seen to work.
        delta.apply(before, delta.parse(step))
    except ArtifactError:
        return Chain(Manifest(after.serial))
    # Half of the records is no saving any more, for whoever is further behind than one release.
    if len(step) > len(after.data) // 2 and len(step) > manifest.MAX_BYTES:
        return Chain(Manifest(after.serial))
    extended = held.extended(after.serial, step)
    return Chain(extended, step if extended.steps else None)


def after(targets: Path, listed: Mapping[str, TargetFile], release: Release) -> Chain:
    """The chain that leads from what a repository publishes to a release.

    Args:
        targets: The repository's folder of targets.
        listed: What its list role signs; empty before the first release.
        release: What comes next.
    """
    before, held = _records(targets, listed), _manifest(targets, listed)
    return replace(link(before, held, release), held=held)


def path(targets: Path, step: Step) -> Path:
    """Where a step's delta stands."""
    return targets / MANIFEST_TARGET.rpartition("/")[0] / step.name


def signed_steps(targets: Path, listed: Mapping[str, TargetFile]) -> tuple[Step, ...]:
    """The steps of the published manifest, the newest last.

    Raises:
        CentralError: It is not there, or none.
    """
    held = _manifest(targets, listed)
    if held is None:
        raise CentralError(f"{MANIFEST_TARGET}: not what was signed, or no manifest")
    return held.steps


def _read(targets: Path, listed: Mapping[str, TargetFile], path: str, limit: int) -> bytes | None:
    """A published target, if it is there and what was signed."""
    target = listed.get(path)
    if target is None:
        return None
    signed = target.hashes.get("sha256", "")
    folder, _, name = path.rpartition("/")
    try:
        data = durable.read(targets / folder / f"{signed}.{name}", limit)
    except durable.FileError:
        return None
    return data if hashlib.sha256(data).hexdigest() == signed else None


def _records(targets: Path, listed: Mapping[str, TargetFile]) -> Release | None:
    data = _read(targets, listed, RECORDS_TARGET, records.MAX_BYTES)
    with suppress(ArtifactError):
        return records.parse(data) if data is not None else None
    return None


def _manifest(targets: Path, listed: Mapping[str, TargetFile]) -> Manifest | None:
    data = _read(targets, listed, MANIFEST_TARGET, manifest.MAX_BYTES)
    with suppress(ArtifactError):
        return manifest.parse(data) if data is not None else None
    return None


def store(targets: Path, chain: Chain) -> None:
    """Writes the step's delta durably, before anything signed names it, and removes those that nothing names any more.

    Raises:
        FileError: It cannot be written.
    """
    folder = targets / MANIFEST_TARGET.rpartition("/")[0]
    if chain.delta is not None:
        durable.make_folder(folder, 0o755)
        durable.write(path(targets, chain.manifest.steps[-1]), [chain.delta], durable.PUBLIC)
    named = {path(targets, step) for one in (chain.manifest, chain.held) if one for step in one.steps}
    for file in folder.glob("*.delta"):
        if file not in named:
            file.unlink(missing_ok=True)

"""Holds everything that is published against the log: signatures, digests, chain, fold. For anybody who has both.

Holds always: what is said to hold was computed here from the trusted root and the log, and from nothing else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, Targets

from blocklist_sync.artifact import policy, records
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.fold import State
from blocklist_sync.central.log.folder import Checkpoint, LogFolder
from blocklist_sync.central.release import accountability, deltas, offer, statement
from blocklist_sync.central.release.offer import Offer
from blocklist_sync.central.release.rebuild import Rebuilt, Rules, rebuild
from blocklist_sync.central.release.repository import LIST_ROLE, Contents, Repository, delegated, missing
from lachan import durable


@dataclass(frozen=True)
class Checked:
    """What was found to hold."""

    offer: Offer
    rebuilt: Rebuilt
    log_length: int
    """Steps of the whole log; the list was signed at `offer.log_length`."""
    releases: int
    """Earlier documents of the list that still verify, this one included."""
    targets: int
    targets_bytes: int
    """Of the targets that the list names; the deltas that hang from its manifest are beside them."""
    deltas: int
    expired: tuple[str, ...]
    """Roles whose signatures have ended."""
    told: bool
    """Whether what the public is told was looked at, and holds."""


def _targets(repository: Repository, listed: Metadata[Targets]) -> tuple[int, int]:
    """Hashes every target that the list names; how many there are, and their bytes."""
    size = 0
    for path, target in listed.signed.targets.items():
        file = repository.target_path(path, target.hashes["sha256"])
        data = durable.read(file, records.MAX_BYTES)
        if len(data) != target.length or hashlib.sha256(data).hexdigest() != target.hashes["sha256"]:
            raise CentralError(f"{file}: not what was signed as {path}")
        size += len(data)
    return len(listed.signed.targets), size


def _deltas(repository: Repository, listed: Metadata[Targets]) -> int:
    """Holds every delta against the signed manifest; how many there are.

    Raises:
        CentralError: One is missing or another, or the manifest does not lead to the list.
    """
    for number, step in enumerate(steps := deltas.signed_steps(repository.targets, listed.signed.targets), 1):
        file = deltas.path(repository.targets, step)
        try:
            fits = step.fits(durable.read(file, step.length))
        except durable.FileError as error:
            raise CentralError(f"delta {number} of {len(steps)}: {error}") from error
        if not fits:
            raise CentralError(f"{file}: not the delta that the signed manifest names")
    return len(steps)


def _history(repository: Repository, targets: Targets, listed: Metadata[Targets], log: LogFolder) -> int:
    """Whether every document of the list before this one, as far as it is there, continues into the log.

    Raises:
        CentralError: One was signed over another log, or a serial stands for two releases.
    """
    digests: dict[int, str] = {}
    heads = log.heads()
    found, length, serial = 0, 0, 0
    for version in range(1, listed.signed.version + 1):
        path = repository.path(LIST_ROLE, version)
        if not path.exists():
            continue
        held = repository.held(LIST_ROLE, version)
        if missing(targets, LIST_ROLE, held):
            # Signed by approvers who have left since, or never completed: the chain below is not theirs to prove.
            continue
        said = offer.read(held)
        if said.serial < serial or digests.setdefault(said.serial, said.records_digest) != said.records_digest:
            raise CentralError(f"{path}: serial {said.serial} after serial {serial}, or over other records")
        if not length <= said.log_length < len(heads) or heads[said.log_length].hex() != said.log_head:
            raise CentralError(f"{path}: was signed over another log")
        found, length, serial = found + 1, said.log_length, said.serial
    return found


def _told(public: Path | None, contents: Contents, said: Offer, state: State) -> bool:
    """Holds what the public is told against what was signed and against the log, where it was signed and is at hand."""
    signed = statement.signed(contents.snapshot)
    if public is None or not signed:
        return False
    accountability.hold(public, said.serial, signed, state.kinds, dict(enumerate(state.counts)))
    return True


def check(
    repository: Repository, root: bytes, log: LogFolder, work: Path, now: int, public: Path | None = None
) -> Checked:
    """Verifies a repository and the log behind it.

    Args:
        repository: The repository that edges read.
        root: The trusted root.
        log: The log.
        work: A folder for the state that is folded.
        now: Seconds since 1970-01-01 UTC.
        public: Where the statements for the public are; they are not looked at if None.

    Raises:
        CentralError: Something does not hold; the message says what and where.
    """
    contents = repository.verified(root)
    if contents.listed is None or contents.targets is None:
        raise CentralError(f"{repository.folder}: nothing is published here yet")
    said = offer.read(contents.listed)
    count, size = _targets(repository, contents.listed)
    keys = delegated(contents.targets.signed)
    whole = log.verified(keys, Checkpoint(said.log_length, bytes.fromhex(said.log_head)))
    folded = log.cut(whole, said.folded_length)
    durable.make_folder(work)
    rules = Rules(said.serial, log.seed(), said.key_epoch)
    rebuilt = rebuild(folded, said.folded_as_of, log.text_of, work / "verified.tsv", rules)
    if rebuilt.release.digest.hex() != said.records_digest:
        raise CentralError(f"serial {said.serial}: the published records are not what the log says")
    bundle_path = repository.target_path("list/policy.json", said.policy_digest)
    try:
        policy.parse(durable.read(bundle_path, policy.MAX_BYTES))
    except ArtifactError as error:
        raise CentralError(f"{bundle_path}: {error}") from error
    moment = datetime.fromtimestamp(now, UTC)
    roles: dict[str, Metadata[Any] | None] = {
        "root": contents.root,
        "targets": contents.targets,
        LIST_ROLE: contents.listed,
        "snapshot": contents.snapshot,
        "timestamp": contents.timestamp,
    }
    expired = tuple(role for role, metadata in roles.items() if metadata and metadata.signed.is_expired(moment))
    return Checked(
        said,
        rebuilt,
        whole.length,
        _history(repository, contents.targets.signed, contents.listed, log),
        count,
        size,
        _deltas(repository, contents.listed),
        expired,
        _told(public, contents, said, rebuilt.state),
    )

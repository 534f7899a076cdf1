"""What the public is told of a release, on its way from the release folder into the repository.

Holds always: it is read and checked before anything is written, and written only once everything else was found to
hold; of a serial that was taken, the public is told one thing for ever; once a snapshot has signed its digest, that
digest is carried on, whatever became of the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tuf.api.metadata import Metadata, Snapshot, Targets

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.release.repository import (
    LIST_ROLE,
    MAX_METADATA_BYTES,
    PUBLIC,
    RECORDS_TARGET,
    Repository,
)
from lachan import durable

COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Statement:
    """What is said of a serial; `document` and `commitments` are what has to be brought, if anything has."""

    serial: int
    digest: str
    document: bytes = b""
    commitments: Path | None = None


def signed(snapshot: Metadata[Snapshot] | None) -> str:
    """The digest of the statement that a snapshot names; empty where it names none."""
    held = snapshot.signed.meta.get(f"{LIST_ROLE}.json") if snapshot is not None else None
    return str(held.unrecognized_fields.get(PUBLIC, "")) if held is not None else ""


def read(repository: Repository, folder: ReleaseFolder, listed: Metadata[Targets]) -> Statement:
    """The release folder's statement on a list that is about to be published; nothing is written.

    Raises:
        CentralError: It is of another release, or something else was said of a serial that was taken.
        FileError: It cannot be read.
    """
    target = listed.signed.targets[RECORDS_TARGET]
    serial = int(target.custom["serial"])
    source = folder.public / f"{serial}.json"
    document = durable.read(source, MAX_METADATA_BYTES)
    try:
        told = json.loads(document)
        commitments, entries = told["commitments_sha256"], told["entries"]
    except (ValueError, KeyError, TypeError) as error:
        raise CentralError(f"{source}: malformed: {error!r:.80}") from error
    if entries != target.custom["records"]:
        raise CentralError(f"{folder.public}: the statement is of another list; build again")
    path = source.with_suffix(".commitments")
    if _digest(path) != commitments:
        raise CentralError(f"{folder.public}: the commitments are not those of the statement; build again")
    there = repository.public / source.name
    # One that stands there without its serial being taken was never anybody's word.
    taken = any(row.serial == serial for row in folder.history())
    if taken and there.exists() and durable.read(there, MAX_METADATA_BYTES) != document:
        raise CentralError(f"{there}: something else was said of serial {serial}; build again")
    return Statement(serial, hashlib.sha256(document).hexdigest(), document, path)


def bring(repository: Repository, statement: Statement) -> None:
    """Puts a statement into the repository.

    Raises:
        FileError: It cannot be read or written.
    """
    if statement.commitments is None:
        return
    durable.make_folder(repository.public, 0o755)
    durable.write(repository.public / f"{statement.serial}.commitments", _blocks(statement.commitments), durable.PUBLIC)
    # The statement comes last: where it is, its commitments are.
    durable.write(repository.public / f"{statement.serial}.json", [statement.document], durable.PUBLIC)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(COPY_BYTES):
                yield block
    except OSError as error:
        raise durable.FileError(f"{path}: {error.strerror}") from error

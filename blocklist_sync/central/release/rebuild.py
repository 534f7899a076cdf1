"""From a verified log to a release's records: what the list authority builds, and every signer builds again.

Holds always: the same log, moment, serial, seed and key epoch give the same bytes on every machine; the key is the
first of its epoch under which no two listed names, and no listed and no protected one, have one fingerprint. Names that
one authority alone protects may have `build` choose the next epoch, which the document says and signers see.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blocklist_sync.artifact import records
from blocklist_sync.artifact._snapshot import fingerprint
from blocklist_sync.artifact.errors import ArtifactError, FingerprintCollisionError
from blocklist_sync.artifact.records import Encoder, FingerprintKey, Release
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import fold
from blocklist_sync.central.log.approvals import Decision, Log
from blocklist_sync.central.log.fold import Coordinates, State
from blocklist_sync.central.log.folder import fingerprint_key
from blocklist_sync.central.rails.rails import shipped_names

MAX_KEY_DRAWS = 16
READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Rules:
    """What a release's bytes depend on beside the list itself."""

    serial: int
    seed: bytes
    epoch: int
    protected: Collection[str] = field(default_factory=shipped_names)
    """Names that must not share a fingerprint with a listed one: the same on every machine."""


@dataclass(frozen=True)
class Rebuilt:
    """A state and the records of it."""

    state: State
    release: Release
    draw: int


def _encoded(state: State, serial: int, key: FingerprintKey) -> bytes:
    encoder = Encoder(key)
    kinds = [encoder.kind(*kind) for kind in state.kinds]
    try:
        with state.path.open("rb") as file:
            for _ in range(1 + len(state.kinds)):
                file.readline()
            while block := file.readlines(READ_BYTES):
                encoder.add_lines(b"".join(block), kinds)
    except OSError as error:
        raise CentralError(f"{state.path}: {error.strerror}") from error
    return encoder.release(serial)


class _Column(Sequence[int]):
    """The first eight bytes of every record, without a list of them."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    def __len__(self) -> int:
        return len(self._view) // records.RECORD_BYTES

    def __getitem__(self, index: Any) -> Any:
        at = index * records.RECORD_BYTES
        return int.from_bytes(self._view[at : at + 8], "little")


def shared(state: State, release: Release, protected: Collection[str]) -> set[str]:
    """Protected names that a release would block though they are not listed: their fingerprint is a listed name's."""
    column = _Column(memoryview(release.data)[release.offset :])
    found = set()
    for name in protected:
        wanted = fingerprint(name, release.key.key)
        at = bisect_left(column, wanted)
        if at < len(column) and column[at] == wanted:
            found.add(name)
    if found:
        with state.path.open(encoding="utf-8", newline="\n") as file:
            found -= {name for line in file if (name := line.partition("\t")[0]) in found}
    return found


def encode(state: State, rules: Rules) -> tuple[Release, int]:
    """The records of a state, and which draw of the epoch's keys they are made under.

    Raises:
        CentralError: Every draw collides, or the list is too long.
    """
    for draw in range(MAX_KEY_DRAWS):
        try:
            data = _encoded(state, rules.serial, fingerprint_key(rules.seed, rules.epoch, draw))
            release = records.parse(data)
        except FingerprintCollisionError:
            continue
        except ArtifactError as error:
            raise CentralError(str(error)) from error
        if not shared(state, release, rules.protected):
            return release, draw
    # One draw collides once in millions of lists; this is no accident of hashing.
    raise CentralError(f"names collide under each of {MAX_KEY_DRAWS} keys")


def rebuild(
    log: Log, as_of: int, text_of: Callable[[Decision], Path], path: Path, rules: Rules, base: State | None = None
) -> Rebuilt:
    """Folds a verified log and makes the records.

    Args:
        log: The log.
        as_of: The moment that counts.
        text_of: Where a decision's changes are.
        path: Where the state is written, unless `base` is the state.
        rules: What else the bytes depend on.
        base: A state of the same log to go on from (`statecache.continued`), if there is one.

    Raises:
        CentralError: The changes are not the ones that were approved, or no records can be made.
        FileError: The state cannot be written.
    """
    if base is not None and base.at == Coordinates(log.length, log.head, as_of):
        state = base
    else:
        state = fold.fold(log, as_of, text_of, path, base)
    if not state.entries:
        raise CentralError("the log leaves nothing in force: an empty list is never released")
    release, draw = encode(state, rules)
    return Rebuilt(state, release, draw)

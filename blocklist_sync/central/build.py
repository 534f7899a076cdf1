"""From source files to a candidate release.

Holds always: building the same sources twice gives the same bytes and the same serial; a refused line is reported,
never dropped in silence; what is mandated by its category cannot be offered to profiles only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from blocklist_sync.artifact import records
from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.artifact.errors import ArtifactError, FingerprintCollisionError
from blocklist_sync.artifact.names import NameRefusedError, canonical
from blocklist_sync.artifact.orders import Order, check_text
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central import formats
from blocklist_sync.central.entries import Entries, Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.formats import Format, Refusal
from blocklist_sync.central.formats.line import Reach
from blocklist_sync.central.release import Candidate, ReleaseFolder, content_digest

MAX_KEY_DRAWS = 16
OWN_TERMS = "says its own scope, category or order, which only an import takes over"


@dataclass(frozen=True)
class Source:
    """What to build from, and under which order."""

    files: Sequence[Path]
    category: Category
    order: str
    mandated: bool
    scope: Scope = Scope.SUBTREE
    format: Format | None = None


@dataclass(frozen=True)
class Built:
    """What a build did."""

    candidate: Candidate
    unchanged: bool
    accepted: int
    refused: int
    added: int
    entries: int


def _names(source: Source, refuse: Callable[[Refusal], None]) -> Iterator[tuple[bool, str]]:
    """Every canonical name of the source files, and whether it is an exception."""
    for path in source.files:
        for line, listed in formats.read(path, source.format, refuse):
            if not listed.plain and listed[2:] != (Reach.BOTH, None, None, None):
                refuse(Refusal(str(path), line, listed.name[: formats.SHOWN_CHARACTERS], OWN_TERMS))
                continue
            try:
                yield listed.exception, canonical(listed.name)
            except NameRefusedError as error:
                refuse(Refusal(str(path), line, listed.name[: formats.SHOWN_CHARACTERS], str(error.reason)))


def _order(source: Source) -> Order:
    if source.category in ALWAYS_MANDATED and not source.mandated:
        raise CentralError(f"{source.category.label} is mandated for everybody, whatever the order says")
    try:
        return Order(check_text(source.order), source.mandated)
    except ArtifactError as error:
        raise CentralError(str(error)) from error


def collect(source: Source, entries: Entries, serial: int, refuse: Callable[[Refusal], None]) -> int:
    """Adds the names of the source files to a list.

    Args:
        source: What to read.
        entries: The list.
        serial: What new entries are dated.
        refuse: Told of every line that is not taken over.

    Returns:
        How many names were accepted.

    Raises:
        CentralError: A file cannot be read, the order is unfit, or no name is left.
    """
    order = _order(source)
    names: dict[bool, list[str]] = {False: [], True: []}
    for exception, name in _names(source, refuse):
        names[exception].append(name)
    accepted = sum(map(len, names.values()))
    if not accepted:
        raise CentralError("no name was accepted: an empty source is never taken for an empty list")
    for exception, found in names.items():
        if found:
            entries.add(Kind(source.scope, exception, source.category, order), found, serial)
    return accepted


def encode(entries: Entries, serial: int, folder: ReleaseFolder, epoch: int) -> tuple[bytes, int]:
    """The records of a list under the epoch's first key without a collision, and which draw that was.

    Raises:
        CentralError: Every draw collides, or the list is too long.
    """
    flat = entries.flat()
    for draw in range(MAX_KEY_DRAWS):
        try:
            return records.encode(flat, serial, folder.key(epoch, draw)), draw
        except FingerprintCollisionError:
            continue
        except ArtifactError as error:
            raise CentralError(str(error)) from error
    # One draw collides once in millions of lists; this is no accident of hashing.
    raise CentralError(f"two names collide under each of {MAX_KEY_DRAWS} keys")


def build(
    folder: ReleaseFolder,
    source: Source,
    *,
    refuse: Callable[[Refusal], None],
    extend: bool = False,
    bundle: PolicyBundle | None = None,
    new_key_epoch: bool = False,
) -> Built:
    """Builds the next candidate of a release folder, which the caller holds locked.

    Args:
        folder: The release folder.
        source: What to build from.
        refuse: Told of every line that is not taken over.
        extend: Keep what the folder holds; otherwise the sources replace it.
        bundle: A policy bundle in place of the folder's.
        new_key_epoch: Draw a key of a new epoch: yearly, or after a leak.

    Raises:
        CentralError: A source or the folder cannot be used; nothing is changed.
    """
    history = folder.history()
    last = history[-1] if history else None
    before = folder.candidate()
    serial = last.serial + 1 if last else 1
    entries = folder.entries() if extend else Entries()
    refused = 0

    def count(refusal: Refusal) -> None:
        nonlocal refused
        refused += 1
        refuse(refusal)

    accepted = collect(source, entries, serial, count)
    if last:
        # Only what the last release did not have is new in this one.
        entries.date_from(folder.published_entries())
    added = sum(dated == serial for names in entries.kinds.values() for dated in names.values())
    epoch = (before.key_epoch if before else 1) + new_key_epoch
    data, draw = encode(entries, serial, folder, epoch)
    bundle = bundle or folder.policy()
    content = content_digest(data, bundle.encode())
    unchanged = last is not None and last.content_digest == content
    if last is not None and unchanged:
        # The same content is the same release: its serial, its bytes.
        serial = last.serial
        data, draw = encode(entries, serial, folder, epoch)
    parsed = records.parse(data)
    candidate = Candidate(serial, parsed.digest.hex(), content, epoch, draw, parsed.names, parsed.count)
    folder.store(entries, data, bundle, candidate)
    return Built(candidate, unchanged, accepted, refused, added, len(entries))

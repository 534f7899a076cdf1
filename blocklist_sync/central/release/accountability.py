"""What the public is told of a release: counts, and a hiding commitment to each entry.

    public/SERIAL.json          counts by order and category, and the digest of the commitments
    public/SERIAL.commitments   a commitment of 32 bytes for each entry, sorted

A commitment is SHA-256 over a salt of its own and the entry's line. An entry's salt stays the same from release to
release, so that anybody sees how many entries come and go; without it, nobody learns which.

Holds always: whoever is given an entry's salt can check that it stands in a release, and learns nothing of another; the
authority cannot take an entry out of a release, or put one in, once it was published.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from blocklist_sync.central.entries import Kind, kind_line
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.rows import StateReader
from lachan import durable

FORMAT = "lachan-public 1"
CONTEXT = b"lachan/commitment/v1\0"
SECRET_BYTES = 32
SALT_BYTES = 16
COMMITMENT_BYTES = 32
MAX_STATEMENT_BYTES = 16 << 20
BUCKET_BITS = 6
PERSON = b"lachan-salt"


def secret(folder: Path) -> bytes:
    """What salts are drawn from; drawn itself where there is none yet.

    Raises:
        CentralError: The file is not one.
    """
    path = folder / "commitments.secret"
    if not path.exists():
        durable.write(path, [secrets.token_bytes(SECRET_BYTES)])
    data = durable.read(path, SECRET_BYTES)
    if len(data) != SECRET_BYTES:
        raise CentralError(f"{path}: not {SECRET_BYTES} bytes")
    return data


def held_secret(folder: Path) -> bytes | None:
    """What salts are drawn from, if it was drawn.

    Raises:
        CentralError: The file is not one.
    """
    return secret(folder) if (folder / "commitments.secret").exists() else None


def line_of(name: str, kind: Kind) -> bytes:
    """An entry as it is committed to."""
    return f"{name}{kind_line(kind)}".encode()


def salt(key: bytes, line: bytes) -> bytes:
    """The salt of an entry's line."""
    return hashlib.blake2b(line, key=key, digest_size=SALT_BYTES, person=PERSON).digest()


def commitment(own: bytes, line: bytes) -> bytes:
    """The commitment to a line under its salt."""
    return hashlib.sha256(CONTEXT + own + line).digest()


@dataclass(frozen=True)
class Statement:
    """What was written for the public."""

    document: bytes
    commitments: Path


def commit(key: bytes, lines: Iterable[bytes]) -> list[bytes]:
    """The commitments to many lines, each under its salt."""
    # Both as `salt` and `commitment` have them; what is the same for all is hashed once.
    salted = hashlib.blake2b(key=key, digest_size=SALT_BYTES, person=PERSON).copy
    hashed = hashlib.sha256(CONTEXT).copy
    found = []
    for line in lines:
        own = salted()
        own.update(line)
        whole = hashed()
        whole.update(own.digest() + line)
        found.append(whole.digest())
    return found


def _sorted(commitments: Iterator[list[bytes]]) -> Iterator[bytes]:
    """Sorted blocks, with a part of them in memory at a time."""
    starts = [bytes([first << 8 - BUCKET_BITS]) for first in range(1, 1 << BUCKET_BITS)]
    with ExitStack() as stack:
        buckets = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1 << BUCKET_BITS)]
        for found in commitments:
            # Written in few pieces, and sorted for the greater part when all of it is.
            found.sort()
            ends = [*(bisect_left(found, start) for start in starts), len(found)]
            for bucket, (at, end) in zip(buckets, pairwise([0, *ends]), strict=True):
                bucket.write(b"".join(found[at:end]))
        for bucket in buckets:
            bucket.seek(0)
            data = bucket.read()
            found = [data[at : at + COMMITMENT_BYTES] for at in range(0, len(data), COMMITMENT_BYTES)]
            yield b"".join(sorted(found))


def state(entries: Path, folder: Path, serial: int, key: bytes) -> Statement:
    """Writes what the public is told of a list.

    Args:
        entries: The list's file.
        folder: Where it is written.
        serial: The release.
        key: What salts are drawn from.

    Raises:
        CentralError: The list cannot be read.
        FileError: Something cannot be written.
    """
    counts: Counter[int] = Counter()
    digest = hashlib.sha256()
    try:
        with entries.open(encoding="utf-8", newline="\n") as file:
            reader = StateReader(file, entries)
            tails = [kind_line(kind).encode() for kind in reader.kinds]

            def made() -> Iterator[list[bytes]]:
                for rows in reader.blocks():
                    counts.update(rows.kinds)
                    lines = [name.encode() + tails[kind] for name, kind in zip(rows.names, rows.kinds, strict=True)]
                    yield commit(key, lines)

            def hashed() -> Iterator[bytes]:
                for block in _sorted(made()):
                    digest.update(block)
                    yield block

            path = folder / f"{serial}.commitments"
            durable.make_folder(folder)
            durable.write(path, hashed())
    except OSError as error:
        raise CentralError(f"{entries}: {error.strerror}") from error
    document = {
        "format": FORMAT,
        "serial": serial,
        "entries": counts.total(),
        "commitments_sha256": digest.hexdigest(),
        "counts": by_order(reader.kinds, counts),
    }
    told = json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"
    durable.write(folder / f"{serial}.json", [told])
    return Statement(told, path)


def by_order(kinds: Sequence[Kind], counts: Mapping[int, int]) -> list[dict[str, object]]:
    """How many entries of each order and category there are, as a statement says it.

    Args:
        kinds: What the numbers of kinds stand for.
        counts: Entries by kind.
    """
    found: Counter[tuple[str, bool, str, bool]] = Counter()
    for number, count in counts.items():
        if count:
            kind = kinds[number]
            found[kind.order.text, kind.order.mandated, kind.category.label, kind.exception] += count
    return [
        {"order": text, "mandated": mandated, "category": category, "exceptions": exception, "entries": count}
        for (text, mandated, category, exception), count in sorted(found.items())
    ]


def hold(folder: Path, serial: int, signed: str, kinds: Sequence[Kind], counts: Mapping[int, int]) -> None:
    """Holds what the public is told of a release against what was signed of it, and against a list.

    That each commitment is to an entry of the list is for whoever has the salts; that there is one for each, and none
    beside them, anybody sees.

    Args:
        folder: Where the statement is.
        serial: The release.
        signed: The digest of its statement that the snapshot names.
        kinds: What the numbers of kinds stand for.
        counts: The list's entries by kind.

    Raises:
        CentralError: It is not what was signed, or says otherwise than the list.
        FileError: It cannot be read.
    """
    path = folder / f"{serial}.json"
    data = durable.read(path, MAX_STATEMENT_BYTES)
    if hashlib.sha256(data).hexdigest() != signed:
        raise CentralError(f"{path}: not what was signed of serial {serial}")
    try:
        said: dict[str, object] = json.loads(data)
        commitments = str(said["commitments_sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise CentralError(f"{path}: malformed: {error!r:.80}") from error
    entries = sum(counts.values())
    rest = {"format": FORMAT, "serial": serial, "entries": entries, "counts": by_order(kinds, counts)}
    wrong = [field for field, value in rest.items() if said.get(field) != value]
    if wrong:
        raise CentralError(f"{path}: says otherwise than the list: {', '.join(wrong)}")
    _hold_commitments(path.with_suffix(".commitments"), commitments, entries)


def _hold_commitments(path: Path, signed: str, entries: int) -> None:
    digest = hashlib.sha256()
    count, last = 0, b""
    try:
        with path.open("rb") as file:
            while data := file.read(COMMITMENT_BYTES << 15):
                digest.update(data)
                found = [last, *(data[at : at + COMMITMENT_BYTES] for at in range(0, len(data), COMMITMENT_BYTES))]
                if any(one >= two for one, two in pairwise(found)):
                    raise CentralError(f"{path}: commitments are not sorted, each once")
                count, last = count + len(found) - 1, found[-1]
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error
    if digest.hexdigest() != signed:
        raise CentralError(f"{path}: not the commitments that the statement names")
    if count != entries:
        raise CentralError(f"{path}: {count} commitments, where the list has {entries} entries")

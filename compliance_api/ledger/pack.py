"""A pack of evidence on the disk: what its ledger part is made of, and the index over all of its files.

    index.sha256                    every other file, as sha256sum writes and checks it
    ledger/pack.json                the log's origin, and which leaves the pack is about
    ledger/checkpoints/SIZE         a signed, cosigned checkpoint; the largest is the pack's head
    ledger/consistency/OLD-NEW      the proof from each checkpoint to the next, a hash a line
    ledger/leaves/INDEX.json        commitment, inclusion proof under the head, and salt, kind and time unless erased
    ledger/leaves/INDEX.content     the batch itself, unless erased

Holds always: the same evidence gives the same bytes; a path from outside leads nowhere but into the pack.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lachan import durable
from lachan.ledger import checkpoint, note, tree
from lachan.ledger.errors import LedgerError
from lachan.ledger.leaf import MAX_TIME, Kind, Opening
from lachan.ledger.note import Note

INDEX = "index.sha256"
LEDGER = "ledger/"
CONTENTS = "ledger/pack.json"
CHECKPOINTS = "ledger/checkpoints/"
CONSISTENCY = "ledger/consistency/"
LEAVES = "ledger/leaves/"

UNPROVEN = ("vantages.json", "custodians.json", "read-me.txt")
"""Files of a pack of evidence that no leaf says: sums over rows, and how to go on."""
BESIDE = frozenset({"evidence.json", "finding.json", "challenges.json", "removals.json", *UNPROVEN})
"""All that a pack of evidence may hold beside its ledger part."""

MAX_FILES = 250_000
MAX_INDEX_BYTES = 1 << 26
MAX_DOCUMENT_BYTES = 1 << 16
MAX_LEAVES = 100_000
MAX_CHECKPOINTS = 64
MAX_RANGES = 1024

_PATH = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(/[a-z0-9][a-z0-9._-]{0,99}){0,7}", re.ASCII)
_INDEX_LINE = re.compile(r"([0-9a-f]{64})  (.+)", re.ASCII)

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
LeafIndex = Annotated[int, Field(ge=0, lt=tree.MAX_SIZE)]


class PackError(LedgerError):
    """A file of a pack is not what it must be; the message begins with its path."""


class Document(BaseModel):
    """JSON of one form."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def encode(self) -> bytes:
        """The document's one form."""
        return self.model_dump_json(exclude_none=True).encode() + b"\n"


class Range(Document):
    """Leaves from `first` up to `end`, which is not one of them."""

    first: LeafIndex
    end: Annotated[int, Field(gt=0, le=tree.MAX_SIZE)]


class Contents(Document):
    """What the pack is about: every leaf of these ranges has to be in it, at least by its commitment."""

    format: Literal["lachan-ledger-pack 1"] = "lachan-ledger-pack 1"
    origin: str
    ranges: Annotated[list[Range], Field(min_length=1, max_length=MAX_RANGES)]

    @field_validator("origin")
    @classmethod
    def _is_named(cls, origin: str) -> str:
        if not note.is_key_name(origin):
            raise ValueError("not a name without blanks and plus signs")
        return origin

    def indexes(self) -> Iterator[int]:
        """Every leaf that must be there, ascending.

        Raises:
            PackError: The ranges are empty, out of order or too many leaves.
        """
        last = 0
        if sum(one.end - one.first for one in self.ranges) > MAX_LEAVES:
            raise PackError(f"{CONTENTS}: more than {MAX_LEAVES} leaves")
        for one in self.ranges:
            if not last <= one.first < one.end:
                raise PackError(f"{CONTENTS}: the range from {one.first} to {one.end} is empty or out of order")
            last = one.end
            yield from range(one.first, one.end)


class Opened(Document):
    """What opens a commitment, but for the content."""

    salt: Digest
    kind: Kind
    entered_at: Annotated[int, Field(ge=0, le=MAX_TIME)]


class Leaf(Document):
    """One leaf and the path from it to the head's root."""

    commitment: Digest
    proof: Annotated[list[Digest], Field(max_length=tree.MAX_PROOF_HASHES)]
    opened: Opened | None = None

    @classmethod
    def of(cls, commitment: bytes, proof: Sequence[bytes], opening: Opening | None) -> Leaf:
        """As a document has it."""
        opened = None
        if opening is not None:
            opened = Opened(salt=opening.salt.hex(), kind=opening.kind, entered_at=opening.entered_at)
        return cls(commitment=commitment.hex(), proof=[one.hex() for one in proof], opened=opened)


def reasons(error: ValidationError) -> str:
    """What is wrong with a document, in a line that is fit to show."""
    # A field's name may be the sender's own; it shall not speak to a terminal.
    places = (".".join(ascii(part)[:60].strip("'") for part in one["loc"]) for one in error.errors()[:5])
    return "; ".join(f"{place or 'document'}: {one['msg']}" for place, one in zip(places, error.errors(), strict=False))


def parse_contents(data: bytes) -> Contents:
    """`ledger/pack.json`.

    Raises:
        PackError: It is not that, or not in its one form.
    """
    try:
        made = Contents.model_validate_json(data)
    except ValidationError as error:
        raise PackError(f"{CONTENTS}: {reasons(error)}") from error
    if made.encode() != data:
        raise PackError(f"{CONTENTS}: not in its canonical form")
    return made


def parse_leaf(name: str, data: bytes) -> Leaf:
    """`ledger/leaves/INDEX.json`.

    Raises:
        PackError: It is not that, or not in its one form.
    """
    try:
        made = Leaf.model_validate_json(data)
    except ValidationError as error:
        raise PackError(f"{name}: {reasons(error)}") from error
    if made.encode() != data:
        raise PackError(f"{name}: not in its canonical form")
    return made


def checkpoint_name(size: int) -> str:
    """Where the checkpoint of a size stands."""
    return f"{CHECKPOINTS}{size}"


def consistency_name(old: int, new: int) -> str:
    """Where the proof from one checkpoint to the next stands."""
    return f"{CONSISTENCY}{old}-{new}"


def leaf_name(index: int) -> str:
    """Where a leaf stands."""
    return f"{LEAVES}{index}.json"


def content_name(index: int) -> str:
    """Where what a leaf commits to stands."""
    return f"{LEAVES}{index}.content"


def encode_hashes(proof: Sequence[bytes]) -> bytes:
    """A proof, a hash a line."""
    return "".join(f"{base64.b64encode(one).decode()}\n" for one in proof).encode()


def parse_hashes(name: str, data: bytes) -> list[bytes]:
    """A proof.

    Raises:
        PackError: It is none; the line is named.
    """
    try:
        lines = data.decode("ascii").split("\n")
        if lines.pop() or len(lines) > tree.MAX_PROOF_HASHES:
            raise PackError(f"{name}: not at most {tree.MAX_PROOF_HASHES} whole lines")
        return [note.unbase64(one, line, "the hash", tree.HASH_BYTES) for line, one in enumerate(lines, 1)]
    except (UnicodeDecodeError, note.NoteError) as error:
        raise PackError(f"{name}: {error}") from error


def ledger_files(
    origin: str,
    heads: Sequence[Note],
    steps: Mapping[tuple[int, int], Sequence[bytes]],
    leaves: Mapping[int, tuple[Leaf, bytes | None]],
    about: Iterable[int] | None = None,
) -> Iterator[tuple[str, bytes]]:
    """The files of a pack's ledger part.

    Args:
        origin: The log's.
        heads: Checkpoints of different sizes, signed and cosigned; the leaves' proofs lead to the largest.
        steps: The consistency proof between each checkpoint and the next, by their sizes.
        leaves: Each leaf by its index, with its content unless that is erased or withheld.
        about: The indexes that the pack is about, if some of them are lost; a verifier names those.
    """
    ranges: list[Range] = []
    for index in sorted(leaves if about is None else about):
        if ranges and ranges[-1].end == index:
            ranges[-1] = Range(first=ranges[-1].first, end=index + 1)
        else:
            ranges.append(Range(first=index, end=index + 1))
    yield CONTENTS, Contents(origin=origin, ranges=ranges).encode()
    for head in heads:
        yield checkpoint_name(checkpoint.parse(head.text).size), head.encode()
    for (old, new), proof in steps.items():
        yield consistency_name(old, new), encode_hashes(proof)
    for index, (leaf, content) in leaves.items():
        yield leaf_name(index), leaf.encode()
        if content is not None:
            yield content_name(index), content


def write(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Writes a pack into a folder, its index last: without one it is none.

    Raises:
        PackError: A path is not one of a pack, or stands twice.
        FileError: It cannot be written.
    """
    digests: dict[str, str] = {}

    def placed() -> Iterator[tuple[Path, bytes]]:
        for name, data in files:
            if not _PATH.fullmatch(name) or name == INDEX or name in digests:
                raise PackError(f"{name}: not a path of a pack, or there twice")
            digests[name] = hashlib.sha256(data).hexdigest()
            durable.make_folder((folder / name).parent, 0o755)
            yield folder / name, data

    durable.write_many(placed(), durable.PUBLIC)
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    durable.write(folder / INDEX, [lines.encode()], durable.PUBLIC)


class Folder:
    """A pack as it came from outside."""

    def __init__(self, folder: Path) -> None:
        """Lists the files.

        Raises:
            PackError: There are too many, or one is neither a file nor a folder, or has a name that no pack has.
        """
        self._folder = folder
        self.names = frozenset(self._list())

    def _list(self) -> Iterator[str]:
        for count, path in enumerate(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            if count > MAX_FILES:
                raise PackError(f"{self._folder}: more than {MAX_FILES} files")
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise PackError(f"{name!r}: neither a file nor a folder")
            if path.is_file():
                if not _PATH.fullmatch(name):
                    raise PackError(f"{name!r}: not a path of a pack")
                yield name

    def read(self, name: str, limit: int) -> bytes:
        """A file's bytes.

        Raises:
            PackError: There is none.
            FileError: It is larger, or cannot be read.
        """
        if name not in self.names:
            raise PackError(f"{name}: is missing")
        return durable.read(self._folder / name, limit)

    def index(self) -> dict[str, str]:
        """The digest that the index names for each file.

        Raises:
            PackError: It is missing or no index; the line is named.
            FileError: It cannot be read.
        """
        data = self.read(INDEX, MAX_INDEX_BYTES)
        digests: dict[str, str] = {}
        *lines, rest = data.decode(errors="replace").split("\n")
        for number, line in enumerate([*lines, rest] if rest else lines, 1):
            match = _INDEX_LINE.fullmatch(line)
            if not match or not _PATH.fullmatch(match[2]) or match[2] in digests:
                raise PackError(f"{INDEX}: line {number}: not a digest and the path of one more file")
            digests[match[2]] = match[1]
        return digests

    def digest(self, name: str) -> str:
        """The SHA-256 of a file, whatever its size.

        Raises:
            PackError: It cannot be read.
        """
        try:
            with (self._folder / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise PackError(f"{name}: {error.strerror}") from error

"""A proposal's changes on their way into the database: checked, cut, compressed, aside in a file without a name.

Holds always: memory holds one piece, whatever the length; nothing reaches the database before the whole text was
checked; the pieces, inflated one after another, are the text byte for byte.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from blocklist_sync.artifact.names import NameRefusedError, canonical
from blocklist_sync.central.diff import Change
from blocklist_sync.central.entries import Kind, kind_line, parse_kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import changes
from blocklist_sync.central.log.changes import FORMAT, ChangesError, Parser, Summary

LINES = 8192
"""In a piece: at most 2 MiB of the longest names, 200 kB as a rule."""
LEVEL = 3
MAX_INFLATED_BYTES = 16 << 20
MAX_SCAN_BYTES = 16 << 20
"""Of an order's scanned document."""


@dataclass(frozen=True)
class Piece:
    """A part of the text; the first one holds the table of kinds, and no name."""

    position: int
    first_name: str | None
    last_name: str | None
    deflated: bytes


class Spool:
    """Takes a text as it arrives, gives it back in pieces."""

    def __init__(self) -> None:
        self._parser = Parser()
        self._pending: list[changes.Change] = []
        self._index: list[tuple[str, str, int]] = []
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115  closed by `close`

    def feed(self, data: bytes) -> None:
        """Takes the next bytes.

        Raises:
            ChangesError: They cannot be part of such a text, or a name that is added cannot be listed.
        """
        found = self._parser.feed(data).changes()
        for number, change in enumerate(found, self._parser.lines - len(found) + 1):
            if change.added and (flaw := _flaw(change.name)):
                raise ChangesError("changes", number, flaw)
        self._pending += found
        while len(self._pending) >= LINES:
            self._cut(LINES)

    def finish(self) -> Summary:
        """Ends the text.

        Raises:
            ChangesError: It is not whole.
        """
        summary = self._parser.close()
        if self._pending:
            self._cut(LINES)
        return summary

    def pieces(self) -> Iterator[Piece]:
        """The pieces of a text that has ended."""
        head = "\n".join([FORMAT, *map(kind_line, self._parser.kinds)]) + "\n"
        yield Piece(0, None, None, zlib.compress(head.encode(), LEVEL))
        self._file.seek(0)
        for position, (first, last, size) in enumerate(self._index, 1):
            yield Piece(position, first, last, self._file.read(size))

    def __iter__(self) -> Iterator[Change]:
        """The changes of a text that has ended, as often as asked."""
        for piece in self.pieces():
            if piece.position:
                yield from _changes(piece.deflated, self._parser.kinds)

    def close(self) -> None:
        """Forgets everything."""
        self._file.close()

    def _cut(self, count: int) -> None:
        lines, self._pending = self._pending[:count], self._pending[count:]
        text = "".join([f"{name}\t{kind}\t{'+' if added else '-'}\n" for name, kind, added in lines])
        deflated = zlib.compress(text.encode("ascii"), LEVEL)
        self._file.write(deflated)
        self._index.append((lines[0].name, lines[-1].name, len(deflated)))


class Stored:
    """The pieces of a text out of the database again, aside in a file without a name."""

    def __init__(self) -> None:
        self._kinds: list[Kind] = []
        self._sizes: list[int] = []
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115  closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, deflated: bytes) -> None:
        """Takes the next piece; the first one is the table of kinds.

        Raises:
            CentralError: It is none.
        """
        if not self._sizes:
            _, *lines = inflate(deflated).decode().splitlines()
            self._kinds = [parse_kind(line) for line in lines]
        self._file.write(deflated)
        self._sizes.append(len(deflated))

    def __iter__(self) -> Iterator[Change]:
        """The changes, as often as asked.

        Raises:
            CentralError: A piece cannot be read.
        """
        self._file.seek(sum(self._sizes[:1]))
        for size in self._sizes[1:]:
            yield from _changes(self._file.read(size), self._kinds)


def _changes(deflated: bytes, kinds: Sequence[Kind]) -> Iterator[Change]:
    for line in inflate(deflated).decode("ascii").splitlines():
        name, number, sign = line.split("\t")
        yield Change(name, kinds[int(number)], sign == "+")


def _flaw(name: str) -> str:
    """Why a name cannot be listed; empty if it can."""
    try:
        return "" if canonical(name) == name else f"{name!r} is not in canonical form"
    except NameRefusedError as error:
        return f"a name that cannot be listed: {error}"


def inflate(deflated: bytes) -> bytes:
    """A piece's text.

    Raises:
        CentralError: It is none, or longer than any piece.
    """
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(deflated, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise CentralError(f"a piece of the changes cannot be read: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise CentralError("a piece of the changes is longer than any, or not whole")
    return text

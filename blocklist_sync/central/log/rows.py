"""A state or a clear list in an open file: row by row, or many rows at a time.

Holds always: every row is checked as it is read; names come sorted, bytewise, and a name's rows are never in two
blocks; memory holds one block, however long the list is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from blocklist_sync.central.entries import FORMAT, Kind, kind_line, parse_kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import changes
from lachan import durable

BLOCK_CHARACTERS = 1 << 19
LINES_AT_ONCE = 20_000


class Rows(NamedTuple):
    """Rows that stand together, as columns: a million are handled as columns in a fraction of the time."""

    names: list[str]
    kinds: list[int]
    thirds: list[str]
    """The third column as it is written: a step of the log, or a serial."""

    def until(self, name: str) -> tuple[Rows, Rows]:
        """The rows up to a name, its own included, and those behind it."""
        return self.cut(bisect_right(self.names, name))

    def cut(self, at: int) -> tuple[Rows, Rows]:
        """The first rows, and those behind them."""
        if at == len(self.names):
            return self, NO_ROWS
        return (
            Rows(self.names[:at], self.kinds[:at], self.thirds[:at]),
            Rows(self.names[at:], self.kinds[at:], self.thirds[at:]),
        )


NO_ROWS = Rows([], [], [])


class StateReader:
    """A state or a clear list in an open file."""

    def __init__(self, file: IO[str], source: Path) -> None:
        """Reads the head.

        Raises:
            CentralError: The file begins otherwise.
        """
        self._file = file
        self._source = source
        self.kinds: list[Kind] = []
        try:
            if file.readline(changes.MAX_LINE_BYTES) != FORMAT + "\n":
                raise CentralError(f"{source}:1: not {FORMAT!r}")
            while (line := file.readline(2 * changes.MAX_LINE_BYTES)).startswith("\t"):
                self.kinds.append(parse_kind(line[:-1]))
        except ValueError as error:
            raise CentralError(f"{source}:{len(self.kinds) + 2}: malformed: {error}") from error
        self._first = line

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        """Name, kind's number, and the third column of every entry.

        Raises:
            CentralError: A line is malformed.
        """
        try:
            if self._first:
                name, kind, third = self._first.split("\t")
                yield name, int(kind), int(third)
            for line in self._file:
                name, kind, third = line.split("\t")
                yield name, int(kind), int(third)
        except (ValueError, OSError) as error:
            raise CentralError(f"{self._source}: malformed: {error}") from error

    def blocks(self, numbers: Sequence[int] | None = None) -> Iterator[Rows]:
        """Every entry, in blocks.

        Args:
            numbers: What each kind is called instead of its number in the file.

        Raises:
            CentralError: A line is malformed, or names are not sorted.
        """
        called = {str(number): number for number in range(len(self.kinds))}
        if numbers is not None:
            called = {text: numbers[number] for text, number in called.items()}
        last = ""
        number = len(self.kinds) + 2
        for text in self._texts():
            rows = _rows(text, called)
            if rows is None or rows.names[0] <= last or rows.names != sorted(rows.names):
                raise CentralError(f"{self._source}:{number}: malformed, or not sorted, there or in the lines behind")
            last = rows.names[-1]
            number += len(rows.names)
            yield rows

    def _texts(self) -> Iterator[str]:
        """Whole lines, all of a name's together."""
        rest = self._first
        try:
            while text := self._file.read(BLOCK_CHARACTERS):
                text, rest = _cut(rest + text)
                if text:
                    yield text
        except (ValueError, OSError) as error:
            raise CentralError(f"{self._source}: malformed: {error}") from error
        if rest:
            yield rest


def _cut(text: str) -> tuple[str, str]:
    """The lines of `text` whose names can have no more, and the rest."""
    end = text.rfind("\n") + 1
    if not end:
        return "", text
    at = text.rfind("\n", 0, end - 1) + 1
    name = text[at : text.find("\t", at) + 1]
    while at:
        before = text.rfind("\n", 0, at - 1) + 1
        if not text.startswith(name, before):
            break
        at = before
    return text[:at], text[at:]


def _rows(text: str, called: dict[str, int]) -> Rows | None:
    """The rows of whole lines; None where one of them is no row."""
    if text[-1] != "\n":
        return None
    fields = text[:-1].replace("\n", "\t").split("\t")
    names, thirds = fields[::3], fields[2::3]
    try:
        kinds = [called[kind] for kind in fields[1::3]]
    except KeyError:
        return None
    # A line with a field too many or too few leaves names where numbers are expected, or the reverse.
    digits = "".join(thirds)
    whole = len(fields) == 3 * text.count("\n") and all(thirds) and digits.isdecimal() and digits.isascii()
    return Rows(names, kinds, thirds) if whole and all(names) else None


def whole(blocks: Iterable[Rows]) -> Iterator[Rows]:
    """The same rows, all of a name's in one block."""
    held = NO_ROWS
    for block in blocks:
        joined = Rows(held.names + block.names, held.kinds + block.kinds, held.thirds + block.thirds)
        done, held = joined.cut(bisect_left(joined.names, joined.names[-1]))
        if done.names:
            yield done
    if held.names:
        yield held


def in_blocks(rows: Iterable[tuple[str, int, int]]) -> Iterator[Rows]:
    """Rows in order as blocks, all of a name's in one."""
    names: list[str] = []
    kinds: list[int] = []
    thirds: list[str] = []
    for name, kind, third in rows:
        if len(names) >= LINES_AT_ONCE and name != names[-1]:
            yield Rows(names, kinds, thirds)
            names, kinds, thirds = [], [], []
        names.append(name)
        kinds.append(kind)
        thirds.append(str(third))
    if names:
        yield Rows(names, kinds, thirds)


def write(path: Path, kinds: Sequence[Kind], blocks: Iterable[Rows]) -> list[int]:
    """Writes a state or a clear list durably, mode 0600; how many entries each kind has.

    Raises:
        FileError: It cannot be written.
    """
    counts: Counter[int] = Counter()

    def texts() -> Iterator[bytes]:
        yield ("\n".join([FORMAT, *map(kind_line, kinds)]) + "\n").encode()
        for rows in blocks:
            counts.update(rows.kinds)
            yield "".join([f"{name}\t{kind}\t{third}\n" for name, kind, third in zip(*rows, strict=True)]).encode()

    durable.write(path, texts())
    return [counts[number] for number in range(len(kinds))]

"""Looks names up in a state or a clear list, where it lies.

Holds always: no more of the file is held in memory than the kernel chooses to; a look-up reads as many lines as halving
the file takes. The file is the one that was opened, whatever takes its place meanwhile.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.rows import Rows, StateReader

if TYPE_CHECKING:
    # In collections.abc from Python 3.12 on.
    from typing_extensions import Buffer


class _Mapped(io.RawIOBase):
    """A mapped file, to be read from its start."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        piece = self._data[self._at : self._at + len(view)]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class Lookup:
    """A list, sorted by name, in a file."""

    def __init__(self, path: Path) -> None:
        """Opens it.

        Raises:
            CentralError: It cannot be read, or begins otherwise.
        """
        self.path = path
        try:
            with path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise CentralError(f"{path}: {error}") from error
        self.kinds = self._reader().kinds
        self.size = len(self._data)
        at = 0
        for _ in range(1 + len(self.kinds)):
            at = self._data.find(b"\n", at) + 1
        self.first = at
        """Where the first entry's line begins."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets the file go."""
        self._data.close()

    def _reader(self) -> StateReader:
        text = io.TextIOWrapper(io.BufferedReader(_Mapped(self._data)), encoding="utf-8", newline="\n")
        return StateReader(text, self.path)

    def blocks(self) -> Iterator[Rows]:
        """Every entry, in order.

        Raises:
            CentralError: A line is malformed, or names are not sorted.
        """
        yield from self._reader().blocks()

    def at(self, start: int) -> tuple[str, Kind, int]:
        """The entry whose line begins at a byte: name, kind and third column.

        Raises:
            CentralError: No entry's does.
        """
        try:
            name, kind, third = self._data[start : self._end(start) - 1].split(b"\t")
            return name.decode("ascii"), self.kinds[int(kind)], int(third)
        except (ValueError, IndexError) as error:
            raise CentralError(f"{self.path}: malformed at byte {start}: {error}") from error

    def of(self, name: str) -> list[tuple[Kind, int]]:
        """The entries on a name, each with its third column.

        Raises:
            CentralError: A line is malformed.
        """
        wanted = name.encode()
        low = self._from(wanted)
        found = []
        while self._data[low : low + len(wanted) + 1] == wanted + b"\t":
            _, kind, third = self.at(low)
            found.append((kind, third))
            low = self._end(low)
        return found

    def between(self, first: str, last: str) -> tuple[int, int]:
        """Which bytes have the entries on a name, on another and on all between them.

        Raises:
            CentralError: A line is malformed.
        """
        # No name stands between another and the same with a zero byte behind it.
        return self._from(first.encode()), self._from(last.encode() + b"\0")

    def lines(self, start: int, end: int) -> list[bytes]:
        """The lines in some bytes of `between`, as they stand there."""
        return self._data[start:end].splitlines()

    def _from(self, wanted: bytes) -> int:
        """Where the first line begins whose name does not stand before this one."""
        low, high = self.first, self.size
        while low < high:
            middle = self._line((low + high) // 2)
            if self._data[middle : self._name_end(middle)] < wanted:
                low = self._end(middle)
            else:
                high = middle
        return low

    def _line(self, at: int) -> int:
        """Where the line begins that a byte is of."""
        return max(self._data.rfind(b"\n", self.first, at) + 1, self.first)

    def _name_end(self, at: int) -> int:
        return self._found(b"\t", at)

    def _end(self, at: int) -> int:
        return self._found(b"\n", at) + 1

    def _found(self, what: bytes, at: int) -> int:
        found = self._data.find(what, at)
        if found < 0:
            raise CentralError(f"{self.path}: malformed at byte {at}")
        return found

"""Looks names up in a state or a clear list, where it lies.

Holds always: no more of the file is held in memory than the kernel chooses to; a look-up reads as many lines as halving
the file takes. The file is the one that was opened, whatever takes its place meanwhile.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Self

from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.rows import StateReader


class Lookup:
    """A list, sorted by name, in a file."""

    def __init__(self, path: Path) -> None:
        """Opens it.

        Raises:
            CentralError: It cannot be read, or begins otherwise.
        """
        self._path = path
        try:
            with path.open(encoding="utf-8", newline="\n") as file:
                self.kinds = StateReader(file, path).kinds
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise CentralError(f"{path}: {error}") from error
        at = 0
        for _ in range(1 + len(self.kinds)):
            at = self._data.find(b"\n", at) + 1
        self._first = at

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    def of(self, name: str) -> list[tuple[Kind, int]]:
        """The entries on a name, each with its third column.

        Raises:
            CentralError: A line is malformed.
        """
        wanted = name.encode()
        low, high = self._first, len(self._data)
        # The first line whose name does not stand before the one wanted begins in [low, high].
        while low < high:
            middle = self._line((low + high) // 2)
            if self._data[middle : self._name_end(middle)] < wanted:
                low = self._end(middle)
            else:
                high = middle
        found = []
        while self._data[low : low + len(wanted) + 1] == wanted + b"\t":
            end = self._end(low)
            try:
                _, kind, third = self._data[low : end - 1].split(b"\t")
                found.append((self.kinds[int(kind)], int(third)))
            except (ValueError, IndexError) as error:
                raise CentralError(f"{self._path}: malformed at byte {low}: {error}") from error
            low = end
        return found

    def _line(self, at: int) -> int:
        """Where the line begins that a byte is of."""
        return max(self._data.rfind(b"\n", self._first, at) + 1, self._first)

    def _name_end(self, at: int) -> int:
        return self._found(b"\t", at)

    def _end(self, at: int) -> int:
        return self._found(b"\n", at) + 1

    def _found(self, what: bytes, at: int) -> int:
        found = self._data.find(what, at)
        if found < 0:
            raise CentralError(f"{self._path}: malformed at byte {at}")
        return found

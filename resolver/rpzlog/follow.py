"""Follows a log through rotations: every line once, whatever of it is still there.

Holds always: a place says what was read, and reading on from it gives what comes after and nothing twice; a file that
was renamed is read to its end before the next one; where a file was cut, or is gone unread, that is counted as a gap.

What no reader can know is what was written and cut between two looks (`copytruncate`): each such rotation is a gap.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

TURN_BYTES = 4 << 20
"""Read at once, at most."""
MAX_LINE_BYTES = 16 << 10
MAX_FILES = 64
"""Of a log's rotated files looked at."""
TAIL_BYTES = 64
_COMPRESSED = {".gz", ".xz", ".zst", ".bz2"}


@dataclass(frozen=True)
class Place:
    """Where reading goes on: the file, by what names it whatever it is called, how far, and what stood right before."""

    device: int
    inode: int
    offset: int
    tail: bytes = b""


@dataclass(frozen=True)
class Turn:
    """What one look brought."""

    lines: list[bytes]
    place: Place | None
    """None while there has never been a file."""
    caught_up: bool
    """There was no more to read."""
    gaps: int = 0
    overlong: int = 0
    """Lines longer than a line may be; passed over."""


@dataclass(frozen=True)
class _File:
    path: Path
    device: int
    inode: int
    size: int
    changed: int


def _look(path: Path) -> _File | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _File(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _files(path: Path) -> list[_File]:
    """The log and what it was before, oldest first."""
    rotated = [_look(one) for one in path.parent.glob(f"{path.name}*") if one != path]
    old = sorted((one for one in rotated if one is not None), key=lambda one: (one.changed, one.path.name))
    current = _look(path)
    return [*old[-MAX_FILES:], *([current] if current is not None else [])]


def _tail(file: BinaryIO, offset: int) -> bytes:
    size = min(offset, TAIL_BYTES)
    return os.pread(file.fileno(), size, offset - size)


def _is(file: _File, place: Place) -> bool:
    return (file.device, file.inode) == (place.device, place.inode)


class Follower:
    """One log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._absent = False

    def read(self, place: Place | None) -> Turn:
        """Reads on.

        Args:
            place: Where the turn before ended; None begins at the log's end, since what was before is not ours to tell.

        Raises:
            OSError: The log is there and cannot be read.
        """
        files = _files(self._path)
        if place is None:
            return self._begin()
        index = next((number for number, file in enumerate(files) if _is(file, place)), None)
        if index is None:
            if not files or files[-1].path != self._path:
                # Between a rename and the next file: nothing is lost yet.
                return Turn([], place, caught_up=True)
            # What was being read is gone, and what came after it may be as well.
            turn = self._of(files[-1], Place(files[-1].device, files[-1].inode, 0))
            return replace(turn, gaps=turn.gaps + 1)
        turn = self._of(files[index], place)
        later = files[index + 1 :]
        # What was rotated away empty has nothing to say.
        readable = [
            file for file in later if file.path.suffix not in _COMPRESSED and (file.size or file.path == self._path)
        ]
        # The next file begins to count once something stands in it: until then its predecessor may still be written.
        if not turn.caught_up or not readable or not readable[0].size:
            return turn
        if turn.lines:
            return replace(turn, caught_up=False)
        skipped = later[: later.index(readable[0])]
        gaps = turn.gaps + any(file.path.suffix in _COMPRESSED for file in skipped)
        turn = self._of(readable[0], Place(readable[0].device, readable[0].inode, 0))
        return replace(turn, gaps=turn.gaps + gaps, caught_up=turn.caught_up and len(readable) == 1)

    def _begin(self) -> Turn:
        found = _look(self._path)
        if found is None:
            self._absent = True
            return Turn([], None, caught_up=True)
        if self._absent:
            # It came to be while we looked: all of it is ours to tell.
            return self._of(found, Place(found.device, found.inode, 0))
        with self._path.open("rb") as file:
            return Turn([], Place(found.device, found.inode, found.size, _tail(file, found.size)), caught_up=True)

    @staticmethod
    def _of(file: _File, place: Place) -> Turn:
        gaps = 0
        with file.path.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            if size < place.offset or _tail(opened, place.offset) != place.tail:
                # Cut to be written anew: what stands in it now was never read, what stood in it may not have been.
                place, gaps = replace(place, offset=0, tail=b""), 1
            data = os.pread(opened.fileno(), TURN_BYTES, place.offset)
            end = data.rfind(b"\n") + 1
            overlong = 0
            if not end and len(data) > MAX_LINE_BYTES:
                # No line is so long: what is written there is passed over.
                end, overlong = len(data), 1
            lines = data[:end].split(b"\n")[:-1] if not overlong else []
            fitting = [line for line in lines if len(line) <= MAX_LINE_BYTES]
            offset = place.offset + end
            caught_up = place.offset + len(data) >= size
            after = Place(place.device, place.inode, offset, _tail(opened, offset))
        return Turn(fitting, after, caught_up, gaps, overlong + len(lines) - len(fitting))

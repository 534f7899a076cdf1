"""Hits per listed name and hour: committed to when the hour is over, kept to be opened, never told otherwise.

A commitment is the root over the hour's counts of all rules of the list (`lachan.rulecounts`): opening some says
nothing about the others, not even whether they were hit; hits beyond what workers tell apart stand under fingerprint 0.

Holds always: a root is told only after its counts and key are on the disk; an hour's root never changes.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import secrets
import sys
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lachan import durable
from lachan.rulecounts import BEYOND, KEY_BYTES, Counted
from resolver._hot.tally import TALLY_LAYOUT
from resolver.errors import ResolverError

HOUR = 3600
KEEP_HOURS = 192
MAX_FILE_BYTES = 256 << 20
WORD = 8
# A list that differs by more than this part from one that is kept is kept whole.
DIFFERENCE_PART = 16

_HALF_WORDS = TALLY_LAYOUT["half_words"]
_HEADER = TALLY_LAYOUT["header"]
PART_BYTES = TALLY_LAYOUT["halves"] * _HALF_WORDS * 8


class OpeningsError(ResolverError):
    """The tally or a commitment cannot be made, read or kept."""


class TallyFile:
    """The memory that workers count in, a file that outlives them."""

    def __init__(self, path: Path, workers: int) -> None:
        """Opens the file, made anew where it is not one for as many workers.

        Raises:
            OpeningsError: It cannot be made.
        """
        size = workers * PART_BYTES
        self._workers = workers
        try:
            if not path.exists() or path.stat().st_size != size:
                fresh = path.with_suffix(".new")
                with fresh.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)
                fresh.rename(path)
            with path.open("r+b") as file:
                self._map = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise OpeningsError(f"{path}: {error.strerror}") from error
        self._words = memoryview(self._map).cast("Q")

    def part(self, worker: int) -> memoryview:
        """The cells of one worker, for resolver._hot.tally.Tally."""
        return memoryview(self._map)[worker * PART_BYTES : (worker + 1) * PART_BYTES]

    def fold(self, hour: int) -> dict[int, int] | None:
        """The hits of an hour by fingerprint over all workers; None where one of them has begun to write over it."""
        total: dict[int, int] = {}
        for worker in range(self._workers):
            at = worker * TALLY_LAYOUT["halves"] * _HALF_WORDS + hour // HOUR % TALLY_LAYOUT["halves"] * _HALF_WORDS
            begun = self._words[at]
            if begun > hour + 1:
                return None
            if begun != hour + 1:
                continue
            half = self._words[at : at + _HALF_WORDS].tolist()
            if self._words[at] != begun:
                return None
            if half[1]:
                total[BEYOND] = total.get(BEYOND, 0) + half[1]
            for place in range(_HEADER, _HALF_WORDS, 2):
                if half[place + 1]:
                    total[half[place]] = total.get(half[place], 0) + half[place + 1]
        return total


@dataclass(frozen=True)
class Commitment:
    """An hour's counts, the key that salts them, and the list's rules as they differ from a list that is kept."""

    hour: int
    key: bytes
    counts: Mapping[int, int]
    # What the list of the hour has more and less than the one that is kept.
    added: Sequence[int] = ()
    removed: Sequence[int] = ()

    def counted(self, kept: Sequence[int]) -> Counted:
        """The tree, made with the list that is kept."""
        known = kept
        if self.added or self.removed:
            known = sorted(set(kept).difference(self.removed).union(self.added))
        return Counted(self.key, self.counts, known)

    def encode(self) -> bytes:
        """As it is kept."""
        counts = {f"{fingerprint:016x}": count for fingerprint, count in sorted(self.counts.items())}
        return json.dumps(
            {
                "hour": self.hour,
                "key": self.key.hex(),
                "counts": counts,
                "added": [f"{one:016x}" for one in self.added],
                "removed": [f"{one:016x}" for one in self.removed],
            }
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Commitment:
        """From what was kept.

        Raises:
            OpeningsError: It is something else.
        """
        try:
            raw = json.loads(data)
            counts = {int(name, 16): int(count) for name, count in raw["counts"].items()}
            added, removed = ([int(one, 16) for one in raw[name]] for name in ("added", "removed"))
            return cls(int(raw["hour"]), bytes.fromhex(raw["key"]), counts, added, removed)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OpeningsError(f"not a commitment: {error!r}") from error


class Hours(Protocol):
    """Where hits are counted by name and hour."""

    def fold(self, hour: int) -> dict[int, int] | None:
        """The hits of an hour by fingerprint; None where nobody knows all of them."""


class RuleLists:
    """Lists of fingerprints, each in a file named by its digest: hours that share a list share its file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: tuple[str, Sequence[int]] | None = None

    def _path(self, name: str) -> Path:
        return self._folder / f"rules-{name}.bin"

    def read(self, name: str) -> Sequence[int]:
        """The list of that name, sorted.

        Raises:
            OpeningsError: It is not what it was.
            durable.FileError: It cannot be read.
        """
        if self._last is not None and self._last[0] == name:
            return self._last[1]
        data = durable.read(self._path(name), MAX_FILE_BYTES)
        if _digest(data) != name:
            raise OpeningsError(f"{self._path(name)}: another list than was kept")
        self._last = name, _words(data)
        return self._last[1]

    def keep(self, rules: Iterable[int], newest: str | None) -> tuple[str, list[int], list[int]]:
        """Keeps a list; the name of a kept one, and what this one has more and less.

        Args:
            rules: The list.
            newest: The name of the one that was used last.

        Raises:
            durable.FileError: The disk takes no more.
        """
        words = array("Q", sorted(rules))
        if newest is not None:
            try:
                known: Sequence[int] = self.read(newest)
            except (OpeningsError, durable.FileError):
                known = ()
            # Mostly nothing has changed: sets of a million are not made for that.
            if known == words:
                return newest, [], []
            now, before = set(words), set(known)
            added, removed = now - before, before - now
            if (len(added) + len(removed)) * DIFFERENCE_PART <= len(before):
                return newest, sorted(added), sorted(removed)
        data = _bytes(words)
        name = _digest(data)
        durable.write(self._path(name), [data])
        self._last = name, words
        return name, [], []

    def forget(self, used: set[str]) -> None:
        """Removes the lists that no hour names any more."""
        for path in self._folder.glob("rules-*.bin"):
            if path.stem.removeprefix("rules-") not in used:
                path.unlink(missing_ok=True)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _bytes(words: array[int]) -> bytes:
    # Big-endian on every machine.
    if sys.byteorder == "little":
        words = words[:]
        words.byteswap()
    return words.tobytes()


def _words(data: bytes) -> array[int]:
    words = array("Q", data[: len(data) // WORD * WORD])
    if sys.byteorder == "little":
        words.byteswap()
    return words


class Openings:
    """The commitments of a node, in a folder of their own."""

    def __init__(
        self,
        folder: Path,
        tally: Hours,
        since: int,
        rules: Callable[[], Sequence[int]],
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Keeps them in `folder`.

        Args:
            folder: Of the state.
            tally: Where hits are counted.
            since: When counting began, seconds since 1970: of earlier hours nothing is known, not even zero.
            rules: The fingerprints of the list in force.
            entropy: Where keys come from.
        """
        self._folder = folder
        self._since = since
        self._tally = tally
        self._rules = rules
        self._entropy = entropy
        self._lists = RuleLists(folder)
        self._last: tuple[int, bytes] | None = None

    def path(self, hour: int) -> Path | None:
        """Where an hour's counts are kept, HOUR.RULES.json; None where they are not."""
        return next(iter(self._folder.glob(f"{hour}.*.json")), None)

    def commitment(self, hour: int) -> Counted | None:
        """The counts of an hour that was committed to; None where it was not, or is forgotten.

        Raises:
            OpeningsError: What was kept cannot be read.
            durable.FileError: Likewise.
        """
        path = self.path(hour)
        if path is None:
            return None
        return Commitment.decode(durable.read(path, MAX_FILE_BYTES)).counted(self._lists.read(_list_of(path)))

    def root_before(self, moment: int) -> tuple[int, bytes] | None:
        """The last hour that was over at `moment` (seconds since 1970) and its root; None where nobody counted it.

        Raises:
            OpeningsError: What was kept cannot be read.
            durable.FileError: The disk takes no more: nothing was committed to.
        """
        hour = moment - moment % HOUR - HOUR
        if self._last is not None and self._last[0] == hour:
            return self._last
        if hour + HOUR <= self._since:
            return None
        counted = self.commitment(hour)
        if counted is None:
            counts = self._tally.fold(hour)
            if counts is None:
                return None
            counted = self._commit(hour, counts)
        self._last = (hour, counted.root())
        return self._last

    def _commit(self, hour: int, counts: Mapping[int, int]) -> Counted:
        durable.make_folder(self._folder)
        kept = {int(path.name.partition(".")[0]): path for path in self._folder.glob("[0-9]*.*.json")}
        name, added, removed = self._lists.keep(self._rules(), _list_of(kept[max(kept)]) if kept else None)
        made = Commitment(hour, self._entropy(KEY_BYTES), counts, added, removed)
        durable.write(self._folder / f"{hour}.{name}.json", [made.encode()])
        used = {name}
        for one, path in kept.items():
            if one < hour - KEEP_HOURS * HOUR:
                path.unlink(missing_ok=True)
            else:
                used.add(_list_of(path))
        self._lists.forget(used)
        return made.counted(self._lists.read(name))


def _list_of(path: Path) -> str:
    return path.name.split(".")[1]

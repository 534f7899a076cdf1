"""Hits per listed name and hour: committed to when the hour is over, kept to be opened, never told otherwise.

A commitment is the root of a Merkle tree (RFC 9162 2.1.1) over the hour's counts in the order of their fingerprints.
Each leaf is salted by a key of the hour, so that opening some leaves says nothing about the others; hits beyond what
workers tell apart stand under fingerprint 0.

Holds always: a root is told only after its counts and key are on the disk; an hour's root never changes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import mmap
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lachan import durable
from resolver._hot.tally import TALLY_LAYOUT
from resolver.errors import ResolverError

HOUR = 3600
SALT_BYTES = 16
KEEP_HOURS = 192
MAX_FILE_BYTES = 256 << 20
BEYOND = 0

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
    """An hour's counts and the key that salts them."""

    hour: int
    key: bytes
    counts: Mapping[int, int]

    def leaf(self, fingerprint: int) -> bytes:
        """What a leaf's hash is taken of: salt, fingerprint and count."""
        name = fingerprint.to_bytes(8, "big")
        salt = hmac.digest(self.key, name, "sha256")[:SALT_BYTES]
        return salt + name + self.counts[fingerprint].to_bytes(8, "big")

    def root(self) -> bytes:
        """The root of the tree, 32 bytes."""
        return tree_root([self.leaf(fingerprint) for fingerprint in sorted(self.counts)])

    def encode(self) -> bytes:
        """As it is kept."""
        counts = {f"{fingerprint:016x}": count for fingerprint, count in sorted(self.counts.items())}
        return json.dumps({"hour": self.hour, "key": self.key.hex(), "counts": counts}).encode()

    @classmethod
    def decode(cls, data: bytes) -> Commitment:
        """From what was kept.

        Raises:
            OpeningsError: It is something else.
        """
        try:
            raw = json.loads(data)
            counts = {int(name, 16): int(count) for name, count in raw["counts"].items()}
            return cls(int(raw["hour"]), bytes.fromhex(raw["key"]), counts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OpeningsError(f"not a commitment: {error!r}") from error


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of RFC 9162 2.1.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        # Pairing from the left and lifting the odd one is the same tree as splitting at powers of two.
        pairs = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


class Openings:
    """The commitments of a node, in a folder of their own."""

    def __init__(
        self, folder: Path, tally: TallyFile, since: int, entropy: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        """`since` is when counting began, seconds since 1970: of earlier hours nothing is known, not even zero."""
        self._folder = folder
        self._since = since
        self._tally = tally
        self._entropy = entropy
        self._last: tuple[int, bytes] | None = None

    def path(self, hour: int) -> Path:
        """Where an hour's counts are kept."""
        return self._folder / f"{hour}.json"

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
        path = self.path(hour)
        if path.exists():
            commitment = Commitment.decode(durable.read(path, MAX_FILE_BYTES))
        else:
            counts = self._tally.fold(hour)
            if counts is None:
                return None
            commitment = Commitment(hour, self._entropy(32), counts)
            durable.make_folder(self._folder)
            durable.write(path, [commitment.encode()])
            self._forget(hour)
        self._last = (hour, commitment.root())
        return self._last

    def _forget(self, hour: int) -> None:
        for path in self._folder.glob("*.json"):
            if path.stem.isdigit() and int(path.stem) < hour - KEEP_HOURS * HOUR:
                path.unlink(missing_ok=True)

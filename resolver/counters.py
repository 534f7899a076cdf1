"""The ring of windows: counts that workers write and the supervisor folds, in a file that outlives both.

Holds always: only workers write cells, each its own; a window that is still in the ring can be folded however late, and
folds to the same counts; a ring made anew has a new boot epoch.
"""

from __future__ import annotations

import json
import mmap
import operator
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from resolver._hot.counters import LAYOUT
from resolver.errors import ResolverError

MAGIC = b"LACHRING"
FORMAT = 1
HEADER_BYTES = 4096
EPOCH_BYTES = 16
DEPTH = LAYOUT["windows"]
ROW_BYTES = LAYOUT["row_cells"] * 8
PART_BYTES = DEPTH * ROW_BYTES

_HEADER = struct.Struct("<8sIIII16s16sqI")
_RCODES = {LAYOUT["rcode_badvers"]: 16, LAYOUT["rcode_badcookie"]: 23}


@dataclass(frozen=True)
class WindowCounts:
    """What all workers counted within one window.

    Transports, categories, actions and drop reasons are numbered as in lachan.compliance.v1; only counts above zero
    are there.
    """

    window_start: int
    window_seconds: int
    queries: Mapping[tuple[int, str, int], int]
    blocked: Mapping[tuple[int, int], int]
    drops: Mapping[int, int]
    overridden: int
    upstream_failures: int
    cache_hits: int = 0
    cache_misses: int = 0
    forwarded: int = 0
    allowed: int = 0
    rebound: int = 0


class RingError(ResolverError):
    """The ring's file cannot be made or is not one."""


class Ring:
    """The supervisor's view of the file.

    Attributes:
        boot_epoch: 16 random bytes, made with the file.
        previous_boot_epoch: That of the ring before it where that is known, else empty.
        created_at: Seconds since 1970.
        window_seconds, workers, profiles: What the cells are laid out for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("r+b") as file:
                self._map = mmap.mmap(file.fileno(), 0)
        except (OSError, ValueError) as error:
            raise RingError(f"{path}: {error}") from error
        if len(self._map) < HEADER_BYTES:
            raise RingError(f"{path}: shorter than a header")
        magic, form, self.window_seconds, self.workers, _, self.boot_epoch, previous, self.created_at, length = (
            _HEADER.unpack_from(self._map)
        )
        if magic != MAGIC or form != FORMAT or length > HEADER_BYTES - _HEADER.size:
            raise RingError(f"{path}: not a ring of this format")
        if len(self._map) != HEADER_BYTES + self.workers * PART_BYTES or not self.window_seconds:
            raise RingError(f"{path}: its size does not fit its header")
        self.previous_boot_epoch = previous if any(previous) else b""
        try:
            names = json.loads(self._map[_HEADER.size : _HEADER.size + length])
        except (ValueError, RecursionError) as error:
            raise RingError(f"{path}: the names of its profiles cannot be read") from error
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RingError(f"{path}: the names of its profiles are not a list of names")
        self.profiles: tuple[str, ...] = tuple(names)
        self._cells = memoryview(self._map)[HEADER_BYTES:].cast("Q")

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        window_seconds: int,
        workers: int,
        profiles: Sequence[str],
        epoch: bytes,
        previous: bytes,
        now: int,
    ) -> Ring:
        """Makes a fresh ring in the place of whatever is at `path`.

        Raises:
            RingError: It cannot be written.
        """
        names = json.dumps(list(profiles)).encode()
        header = _HEADER.pack(
            MAGIC, FORMAT, window_seconds, workers, 0, epoch, previous.ljust(EPOCH_BYTES, b"\0"), now, len(names)
        )
        fresh = path.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                file.write(header + names)
                file.truncate(HEADER_BYTES + workers * PART_BYTES)
            # Reserved now: a full tmpfs must not kill a worker in the middle of a count.
            with fresh.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, HEADER_BYTES + workers * PART_BYTES)
            fresh.rename(path)
        except OSError as error:
            raise RingError(f"{path}: {error.strerror}") from error
        return cls(path)

    @classmethod
    def adopt_or_create(
        cls, path: Path, *, window_seconds: int, workers: int, profiles: Sequence[str], epoch: bytes, now: int
    ) -> Ring:
        """The ring at `path` if it is laid out as asked, else a fresh one that names it as its predecessor."""
        previous = b""
        try:
            ring = cls(path)
            if (ring.window_seconds, ring.workers, ring.profiles) == (window_seconds, workers, tuple(profiles)):
                return ring
            previous = ring.boot_epoch
        except RingError:
            pass
        return cls.create(
            path,
            window_seconds=window_seconds,
            workers=workers,
            profiles=profiles,
            epoch=epoch,
            previous=previous,
            now=now,
        )

    def add_profiles(self, profiles: Sequence[str]) -> None:
        """Names profiles that are new, behind those that have a number already.

        Raises:
            RingError: One that has a number is missing or stands elsewhere.
        """
        if tuple(profiles[: len(self.profiles)]) != self.profiles:
            raise RingError(f"{self.path}: profiles have their numbers for as long as it counts")
        if len(profiles) == len(self.profiles):
            return
        names = json.dumps(list(profiles)).encode()
        self._map[_HEADER.size : _HEADER.size + len(names)] = names
        self._map[_HEADER.size - 4 : _HEADER.size] = struct.pack("<I", len(names))
        self.profiles = tuple(profiles)

    def part(self, worker: int) -> memoryview:
        """The writable cells of one worker, for resolver._hot.counters.Counters."""
        start = HEADER_BYTES + worker * PART_BYTES
        return memoryview(self._map)[start : start + PART_BYTES]

    def fold(self, window_start: int) -> WindowCounts | None:
        """The counts of a window over all workers; None where one of them has begun to write over it."""
        row_cells = LAYOUT["row_cells"]
        slot = window_start // self.window_seconds % DEPTH
        total = [0] * row_cells
        for worker in range(self.workers):
            at = (worker * DEPTH + slot) * row_cells
            number = self._cells[at]
            if number > window_start + 1:
                return None
            if number != window_start + 1:
                continue
            row = self._cells[at : at + row_cells].tolist()
            if self._cells[at] != number:
                return None
            total = [a + b for a, b in zip(total, row, strict=True)]
        return self._counts(window_start, total)

    def _counts(self, window_start: int, cells: list[int]) -> WindowCounts:
        transports, profiles, rcodes = LAYOUT["transports"], LAYOUT["profiles"], LAYOUT["rcodes"]
        queries = {}
        for transport in range(transports):
            for number, profile in enumerate(self.profiles):
                for slot in range(rcodes):
                    count = cells[LAYOUT["queries"] + (transport * profiles + number) * rcodes + slot]
                    if count:
                        queries[transport, profile, _RCODES.get(slot, slot)] = count
        actions = LAYOUT["actions"]
        return WindowCounts(
            window_start=window_start,
            window_seconds=self.window_seconds,
            queries=queries,
            blocked={
                (category, action): count
                for category in range(LAYOUT["categories"])
                for action in range(actions)
                if (count := cells[LAYOUT["blocked"] + category * actions + action])
            },
            drops={reason: count for reason in range(LAYOUT["drops"]) if (count := cells[LAYOUT["drop"] + reason])},
            overridden=cells[LAYOUT["overridden"]],
            upstream_failures=cells[LAYOUT["upstream_failures"]],
            cache_hits=cells[LAYOUT["cache_hits"]],
            cache_misses=cells[LAYOUT["cache_misses"]],
            forwarded=cells[LAYOUT["forwarded"]],
            allowed=cells[LAYOUT["allowed"]],
            rebound=cells[LAYOUT["rebound"]],
        )

    def close(self) -> None:
        """Lets go of the file; parts handed out must be gone."""
        self._cells.release()
        self._map.close()


Key = TypeVar("Key")


def _joined(a: Mapping[Key, int], b: Mapping[Key, int], how: Callable[[int, int], int]) -> dict[Key, int]:
    return {key: how(a.get(key, 0), b.get(key, 0)) for key in {**a, **b}}


def _combined(a: WindowCounts, b: WindowCounts, how: Callable[[int, int], int]) -> WindowCounts:
    return WindowCounts(
        window_start=a.window_start,
        window_seconds=a.window_seconds,
        queries=_joined(a.queries, b.queries, how),
        blocked=_joined(a.blocked, b.blocked, how),
        drops=_joined(a.drops, b.drops, how),
        overridden=how(a.overridden, b.overridden),
        upstream_failures=how(a.upstream_failures, b.upstream_failures),
        cache_hits=how(a.cache_hits, b.cache_hits),
        cache_misses=how(a.cache_misses, b.cache_misses),
        forwarded=how(a.forwarded, b.forwarded),
        allowed=how(a.allowed, b.allowed),
        rebound=how(a.rebound, b.rebound),
    )


def plus(a: WindowCounts, b: WindowCounts) -> WindowCounts:
    """Two windows' counts together, as a window that starts with `a`."""
    return _combined(a, b, operator.add)


class Totals:
    """Counts since the supervisor started: closed windows summed, the open one read anew each time."""

    def __init__(self, ring: Ring, now: int) -> None:
        self._ring = ring
        self._next = now - now % ring.window_seconds
        self._sum = self._seen = self._nothing()

    def _nothing(self) -> WindowCounts:
        return WindowCounts(self._next, self._ring.window_seconds, {}, {}, {}, 0, 0)

    def read(self, now: int) -> WindowCounts:
        """The counts up to `now`, seconds since 1970; they never go down."""
        step = self._ring.window_seconds
        current = now - now % step
        self._look()
        while self._next < current:
            self._sum = plus(self._sum, self._seen)
            # After a jump of the clock, what the ring cannot hold any more is not looked for.
            self._next = max(self._next + step, current - (DEPTH - 1) * step)
            self._seen = self._nothing()
            self._look()
        return plus(self._sum, self._seen)

    def _look(self) -> None:
        # What was seen of a window stays, though its row was written over or the clock was set back since.
        self._seen = _combined(self._seen, self._ring.fold(self._next) or self._nothing(), max)

"""Who of an edge's workers lives: a line for each process in memory that all share, and what follows from it.

A process has a *seat*, which no other living process has: its cells in shared memory and its line here. It serves a
*number*: the sockets opened for that worker. While a worker is replaced, two processes serve one number.

Holds always: only who sits there writes a line, and the supervisor once that process has certainly ended; of what
siblings decide from the lines, everybody decides the same, so that one of them drains for a worker that stands still.
Times are milliseconds on the monotonic clock.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

BEAT_SECONDS = 0.05
LATE_MS = 200
LINE_BYTES = 64
_WORDS = LINE_BYTES // 8


def now_ms() -> int:
    """The clock of all beats."""
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True)
class Beat:
    """What a line says: when who sits there was last known to go on, and whose sockets it serves."""

    seat: int
    at: int
    number: int


class Beats:
    """The lines, in `seats * LINE_BYTES` bytes of shared memory aligned to 8, zeroed when it was made."""

    def __init__(self, memory: memoryview, seats: int) -> None:
        self._words = memory[: seats * LINE_BYTES].cast("Q")
        self._seats = seats

    def beat(self, seat: int, number: int, now: int) -> None:
        """Says that who sits there serves, now."""
        self._words[seat * _WORDS + 1] = number
        self._words[seat * _WORDS] = now

    def leave(self, seat: int) -> None:
        """Says that nobody serves from there."""
        self._words[seat * _WORDS] = 0

    def read(self) -> list[Beat]:
        """The lines of those who serve, or did when they were last heard of."""
        words = self._words
        return [Beat(seat, at, words[seat * _WORDS + 1]) for seat in range(self._seats) if (at := words[seat * _WORDS])]


def duty(beats: Sequence[Beat], number: int, workers: int, now: int) -> frozenset[int]:
    """Whose sockets a worker drains besides its own: of those that stand still, the ones it comes next after.

    Args:
        beats: Of everybody.
        number: Of the worker that asks.
        workers: How many there are.
        now: When.
    """
    going = {beat.number for beat in beats if now - beat.at <= LATE_MS} | {number}
    taken = set()
    for distance in range(1, workers):
        before = (number - distance) % workers
        if before in going:
            break
        taken.add(before)
    return frozenset(taken)


class Stalls:
    """Which processes stand still for too long.

    What is counted is time that the watcher itself was awake for: after a pause of the whole machine everybody is late,
    and nobody is to blame.
    """

    def __init__(self, step_ms: int) -> None:
        """`step_ms` is how often `look` is called."""
        self._step = step_ms
        self._looked_at = 0
        self._still: dict[int, tuple[int, int]] = {}

    def look(self, beats: Sequence[Beat], now: int, limit: int) -> list[int]:
        """The seats of those who have not gone on for `limit` or longer."""
        passed = min(now - self._looked_at, 2 * self._step)
        self._looked_at = now
        still = {}
        for beat in beats:
            seen, before = self._still.get(beat.seat, (0, 0))
            still[beat.seat] = (beat.at, before + passed if seen == beat.at else 0)
        self._still = still
        return [seat for seat, (_, since) in still.items() if since >= limit]

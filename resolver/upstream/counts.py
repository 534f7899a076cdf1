"""What became of connections to upstreams, over all workers and since the supervisor started.

Holds always: counts never go down, whatever ends and starts anew; what is told twice counts once; what was given out
never changes, so that it may be read in another thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COUNTED = ("asked", "opened", "resumed", "moved", "overdue")
SEEN_MAX = 4096


@dataclass(frozen=True)
class StreamCounts:
    """One upstream's."""

    connections: int = 0
    """That there are now."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """By the words in `COUNTED`."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """By kind."""


class StreamTotals:
    """Folds what workers say of themselves again and again."""

    def __init__(self) -> None:
        self._seen: dict[tuple[float, int, str], Mapping[str, Any]] = {}
        self.upstreams: Mapping[str, StreamCounts] = {}
        """By label."""

    def take(self, workers: Sequence[Mapping[str, Any]]) -> None:
        """Adds what has come since the last time; each worker tells `started_at`, `pid` and `streams`."""
        connections: Counter[str] = Counter()
        counts = {label: Counter(one.counts) for label, one in self.upstreams.items()}
        failures = {label: Counter(one.failures) for label, one in self.upstreams.items()}
        seen: dict[tuple[float, int, str], Mapping[str, Any]] = {}
        for worker in workers:
            for one in worker.get("streams", ()):
                label: str = one["upstream"]
                key = worker["started_at"], worker["pid"], label
                before = self._seen.get(key, {"failures": {}})
                counts.setdefault(label, Counter()).update({word: one[word] - before.get(word, 0) for word in COUNTED})
                failures.setdefault(label, Counter()).update(
                    {kind: count - before["failures"].get(kind, 0) for kind, count in one["failures"].items()}
                )
                connections[label] += one["connections"]
                seen[key] = one
        # A worker that could not be asked this time may answer the next.
        known = {**self._seen, **seen}
        self._seen = known if len(known) <= SEEN_MAX else seen
        self.upstreams = {label: StreamCounts(connections[label], counts[label], failures[label]) for label in counts}

"""How upstreams fare, as each worker sees it, put together for operators.

Holds always: an upstream is told by what the configuration says of it, never by what it sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict


class Health(TypedDict):
    """One upstream as one worker's core tells of it."""

    down: bool
    """Silent again and again: passed over while another is not."""
    looped: bool
    """What is sent to it comes back to us: never asked."""
    failures: int
    """In a row."""
    outstanding: int
    rtt: float
    """Smoothed time to an answer, seconds; 0 where none is known."""
    mixed_case: bool
    """Questions go in random case."""
    asked: int
    answered: int
    failed: int


@dataclass(frozen=True)
class UpstreamHealth:
    """One upstream, over all workers."""

    name: str
    group: str
    up: int
    """Workers that use it."""
    looped: bool
    """A worker found that what is sent to it comes back."""
    mixed_case: bool
    outstanding: int
    rtt: float
    """Mean of the workers that know it, seconds; 0 where none does."""
    asked: int
    answered: int
    failed: int

    def as_json(self) -> dict[str, Any]:
        """As commands tell it."""
        return asdict(self)


def fold(names: Sequence[tuple[str, str]], workers: Sequence[Sequence[Mapping[str, Any]]]) -> list[UpstreamHealth]:
    """Puts what the workers say together.

    Args:
        names: Label and group of each upstream, in the order of the configuration.
        workers: From each worker a `Health` for each upstream; a worker with others is one about to be replaced.
    """
    told = [seen for seen in workers if len(seen) == len(names)]
    found = []
    for place, (name, group) in enumerate(names):
        seen = [worker[place] for worker in told]
        times = [one["rtt"] for one in seen if one["rtt"]]
        found.append(
            UpstreamHealth(
                name,
                group,
                sum(not one["down"] and not one["looped"] for one in seen),
                any(one["looped"] for one in seen),
                all(one["mixed_case"] for one in seen),
                sum(one["outstanding"] for one in seen),
                sum(times) / len(times) if times else 0.0,
                sum(one["asked"] for one in seen),
                sum(one["answered"] for one in seen),
                sum(one["failed"] for one in seen),
            )
        )
    return found

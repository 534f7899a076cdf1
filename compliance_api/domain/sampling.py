"""Which names are asked: half of them recently added, so that an old list shows; some again, so that a miss is settled.

Holds always: the draw is a pure function of the pool, what is to be asked again, and the seed; a name is drawn once;
only names that bind everybody are drawn, for only those must every resolver block.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from compliance_api.domain.law import Law

# lachan.compliance.v1.Category: csam and sexual_exploitation.
SENSITIVE_CATEGORIES = frozenset({1, 2})


@dataclass(frozen=True)
class ListedName:
    """A name in force, with the release that brought it."""

    qname: str
    category: int
    order: str
    added_serial: int
    added_at: datetime
    # As edges know it; 0 where it is not known.
    fingerprint: int = 0
    # Its nearest ancestor that nothing on the list blocks; empty where there is none.
    parent: str = ""


@dataclass(frozen=True)
class Release:
    """A published release of the list."""

    serial: int
    records_digest: bytes
    published_at: datetime
    entries: int
    urgent: bool


@dataclass(frozen=True)
class Pool:
    """Names held ready for drawing, as of one release."""

    serial: int
    # Drawn from all names in force.
    names: tuple[ListedName, ...]
    # Drawn from those added lately and due by now.
    recent: tuple[ListedName, ...]


def due(releases: Iterable[Release], law: Law, now: datetime) -> list[Release]:
    """The releases whose names must be blocked by now, newest first."""
    ordered = sorted(releases, key=lambda release: release.serial, reverse=True)
    return [
        release
        for release in ordered
        if release.published_at + timedelta(seconds=law.block_deadline(urgent=release.urgent)) <= now
    ]


def recent_serials(releases: Sequence[Release]) -> list[int]:
    """Serials after which to ask for recently added names: the last due release alone, then ever further back.

    A release may bring no names at all, or none that are alive, so one is not enough.

    Args:
        releases: Due ones, newest first.
    """
    if not releases:
        return []
    before = [release.serial for release in releases[1:]] or [releases[0].serial - 1]
    return [before[index] for index in (0, 2, 9, 49) if index < len(before)]


def draw(pool: Pool, again: Sequence[ListedName], count: int, seed: bytes) -> list[ListedName]:
    """Draws `count` distinct names, or as many as there are.

    A quarter at most goes to names asked `again`, half of the rest to recent ones, what remains to all.
    """
    # Drawing must be repeatable from the recorded seed; the seed is what must not be guessed.
    rng = random.Random(seed)  # noqa: S311
    chosen: dict[str, ListedName] = {}

    def take(names: Sequence[ListedName], wanted: int) -> None:
        fresh = [name for name in names if name.qname not in chosen]
        for name in rng.sample(fresh, min(wanted, len(fresh), count - len(chosen))):
            chosen[name.qname] = name

    take(again, max(1, count // 4))
    take(pool.recent, (count - len(chosen) + 1) // 2)
    take(pool.names, count)
    take(pool.recent, count)
    return list(chosen.values())

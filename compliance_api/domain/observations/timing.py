"""How long releases took to be seen in effect: names brought until they are blocked, names taken out until they answer.

Holds always: every release counts whose names were asked within a week of its publication, whether anything was too
late or not; a moment is an interval, between the service's own stamps before and after a question, and is rounded
outward; these are times that were seen, by one line or more: what accuses is confirmed elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from compliance_api.domain.observations.observation import Arm, Result, Sighting

WITHIN = timedelta(days=7)
"""After publication; what is seen later says nothing of how fast a release was."""


@dataclass(frozen=True, order=True)
class Moment:
    """When a question was asked: not before the first, not after the second."""

    earliest: datetime
    latest: datetime

    @classmethod
    def of(cls, sighting: Sighting) -> Moment:
        """When a sighting was."""
        return cls(sighting.earliest or sighting.asked_at, sighting.latest or sighting.asked_at)

    def since(self, published_at: datetime) -> dict[str, int]:
        """In whole seconds from a publication."""
        return seconds_between(published_at, self.earliest, self.latest)


def seconds_between(published_at: datetime, earliest: datetime, latest: datetime) -> dict[str, int]:
    """From a publication, which is itself known to the second in which it was, to a moment: rounded outward."""
    least, most = ((one - published_at).total_seconds() for one in (earliest, latest))
    return {"at_least": max(0, math.floor(least) - 1), "at_most": max(0, math.ceil(most))}


@dataclass(frozen=True)
class ReleaseTiming:
    """What was seen, on a day or over several, of the names that one release brought, or took out."""

    serial: int
    published_at: datetime
    # Whether these are names that it took out.
    removed: bool
    # Answers that were as the release wants them, and those that were as they had been before it.
    new: int
    old: int
    # When the first of the ones was seen, and the last of the others.
    first_new: Moment | None
    last_old: Moment | None

    @property
    def key(self) -> tuple[int, datetime, bool]:
        """What it is about."""
        return self.serial, self.published_at, self.removed

    def document(self) -> dict[str, Any]:
        """For machines."""
        as_wanted, as_before = ("answered", "blocked") if self.removed else ("blocked", "answered")
        return {
            "serial": self.serial,
            "published_at": self.published_at.isoformat(),
            as_wanted: self.new,
            as_before: self.old,
            f"first_{as_wanted}": self.first_new.since(self.published_at) if self.first_new else None,
            f"last_{as_before}": self.last_old.since(self.published_at) if self.last_old else None,
        }


def _release(one: Sighting) -> tuple[int, datetime, bool] | None:
    """Whose effect a sighting shows; None where it is of no release, or long after it."""
    removed = one.arm is Arm.RELEASED
    serial, at = (one.removed_serial, one.removed_at) if removed else (one.added_serial, one.added_at)
    if at is None or one.arm not in {Arm.LISTED, Arm.RELEASED}:
        return None
    return (serial, at, removed) if at <= Moment.of(one).earliest < at + WITHIN else None


def timings(sightings: Iterable[Sighting]) -> tuple[ReleaseTiming, ...]:
    """What settled sightings say of each release, oldest release first.

    Args:
        sightings: Of one day and operator, due or not.
    """
    seen: dict[tuple[int, datetime, bool], list[Sighting]] = {}
    for one in sightings:
        key = _release(one)
        if key is not None and one.result is not Result.INCONCLUSIVE:
            seen.setdefault(key, []).append(one)
    found = []
    for (serial, at, removed), those in sorted(seen.items()):
        wanted = Result.NOT_BLOCKED if removed else Result.BLOCKED
        new = [Moment.of(one) for one in those if one.result is wanted]
        old = [Moment.of(one) for one in those if one.result is not wanted]
        found.append(
            ReleaseTiming(
                serial, at, removed, len(new), len(old), min(new, default=None), max(old, key=_latest, default=None)
            )
        )
    return tuple(found)


def _latest(moment: Moment) -> tuple[datetime, datetime]:
    return moment.latest, moment.earliest


def summed(parts: Iterable[ReleaseTiming]) -> tuple[ReleaseTiming, ...]:
    """The same over several days."""
    groups: dict[tuple[int, datetime, bool], list[ReleaseTiming]] = {}
    for one in parts:
        groups.setdefault(one.key, []).append(one)
    return tuple(
        ReleaseTiming(
            *key,
            sum(one.new for one in group),
            sum(one.old for one in group),
            _of(group, lambda one: one.first_new, min),
            _of(group, lambda one: one.last_old, lambda moments: max(moments, key=_latest)),
        )
        for key, group in sorted(groups.items())
    )


def _of(
    group: Sequence[ReleaseTiming],
    which: Callable[[ReleaseTiming], Moment | None],
    choose: Callable[[Sequence[Moment]], Moment],
) -> Moment | None:
    moments = [moment for one in group if (moment := which(one)) is not None]
    return choose(moments) if moments else None

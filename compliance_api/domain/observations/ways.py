"""By which way each line reaches a resolver, from those of its sessions that showed it.

Holds always: no sighting is left out for the way that it went; a line that was once seen to reach a node reaches it in
its other sessions too, for who intercepts a line does so at any time, and a node that spoils a few of its answers takes
nothing back; what a line shows of one address family or transport says nothing of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from compliance_api.domain.observations.observation import Path, Sighting

_STRENGTH = (Path.UNKNOWN, Path.ELSEWHERE, Path.VERIFIED)


def _key(one: Sighting) -> tuple[str, str, str, int]:
    return one.vantage_point, one.node, one.transport, one.family


def spread(sightings: Iterable[Sighting]) -> list[Sighting]:
    """The sightings with the way of their line, in the order in which they came."""
    ordered = list(sightings)
    ways: dict[tuple[str, str, str, int], Path] = {}
    for one in ordered:
        ways[_key(one)] = max(ways.get(_key(one), Path.UNKNOWN), one.path, key=_STRENGTH.index)
    return [one if one.path is ways[_key(one)] else replace(one, path=ways[_key(one)]) for one in ordered]


@dataclass(frozen=True)
class Lines:
    """Vantage points whose way is known, and those among them that seem to meet somebody else."""

    asked: int
    elsewhere: int


def lines(sightings: Sequence[Sighting]) -> Lines:
    """Counts lines by the way that they go; a line that goes elsewhere on any transport goes elsewhere."""
    shown = {one.vantage_point for one in sightings if one.path is not Path.UNKNOWN}
    away = {one.vantage_point for one in sightings if one.path is Path.ELSEWHERE}
    return Lines(len(shown), len(away))

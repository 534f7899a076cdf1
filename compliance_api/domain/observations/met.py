"""Whom lines met: resolvers that their operator enrolled, or others.

Holds always: a line counts once, and counts as having met somebody else as soon as one of its sessions did; who was met
need not be one and the same, for a farm of resolvers and a public one ask from many addresses; no single line, network
or custodian makes it so, and neither do as many lines as interception explains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from compliance_api.domain.statistics.day import Line, faulty_lines, parts
from compliance_api.domain.statistics.parameters import DayRules


@dataclass(frozen=True)
class Met:
    """A session that showed whom its line met."""

    asked_at: datetime
    # What the observation is stored under.
    reference: str
    vantage_point: str
    access_network: str
    custodian: str
    # Who really asked the authority's servers for it, as they saw it; empty where nobody did.
    resolver: str
    # Whether that is an enrolled resolver; None where it cannot be told.
    enrolled: bool | None
    # Whether the resolver was the one that the line was handed out; else an enrolled address was asked.
    handed: bool = True


@dataclass(frozen=True)
class Meetings:
    """Lines that asked one way, counted."""

    # Those of which it can be told whom they met.
    told: int
    # Those of which it cannot.
    untold: int
    # Sessions with somebody whom nobody enrolled, oldest first; empty where that is no more than may be by chance.
    foreign: tuple[Met, ...]

    @property
    def lines(self) -> int:
        """How many lines met somebody whom nobody enrolled."""
        return len({one.vantage_point for one in self.foreign})


def meetings(met: Iterable[Met], rules: DayRules, *, handed: bool) -> Meetings:
    """Counts the lines that asked the resolvers handed to them, or those that asked enrolled addresses."""
    ours = sorted((one for one in met if one.handed is handed), key=lambda one: (one.asked_at, one.reference))
    told = [one for one in ours if one.enrolled is not None]
    away = [one for one in told if not one.enrolled]
    lines = {one.vantage_point: Line(one.access_network, one.custodian) for one in told}
    points = sorted(lines)
    untold = {one.vantage_point for one in ours} - set(points)
    strange = {one.vantage_point for one in away}
    confirmed = _confirmed([lines[one] for one in points], [one in strange for one in points], rules)
    return Meetings(len(points), len(untold), tuple(away) if confirmed else ())


def _confirmed(lines: Sequence[Line], strange: Sequence[bool], rules: DayRules) -> bool:
    """Whether more lines than interception explains met somebody else, whoever is left out."""
    if sum(strange) < rules.vantage_points:
        return False
    return all(sum(strange[place] for place in part) > faulty_lines(len(part), rules) for part in parts(lines, rules))

"""What each line of a day saw, by transport, type and quarter of the day.

Holds always: names are counted, not questions; a name that one line asked in two ways counts once in a stratum that
holds both, as missed where one of them was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.observations.observation import Result, Sighting
from compliance_api.domain.parties.organisation import Transport
from compliance_api.domain.statistics.day import ALL, STRATA, Line

_TRANSPORTS = {Transport.UDP: "udp", Transport.TCP: "tcp", Transport.DOT: "dot", Transport.DOH: "doh"}
_TYPES = {1: "a", 28: "aaaa", 65: "https"}
_FAMILIES = {4: "v4", 6: "v6"}
_FLAGS = {True: "do", False: "plain"}


def strata_of(one: Sighting, quarter: str) -> tuple[str, ...]:
    """Everything that a sighting is counted under; the empty text is no stratum."""
    how = _TRANSPORTS.get(one.transport, ""), _TYPES.get(one.qtype, ""), _FAMILIES.get(one.family, "")
    return ALL, *how, _FLAGS[one.dnssec_ok], quarter


@dataclass(frozen=True)
class Seen:
    """What the lines saw, by stratum; all in the order of the lines."""

    lines: tuple[Line, ...]
    # Names asked and missed.
    counts: Mapping[str, list[tuple[int, int]]]
    # The names missed.
    missed_by: Mapping[str, list[frozenset[str]]]


def strata(day: LegalDay, sightings: Iterable[Sighting]) -> Seen:
    """Counts by line and stratum.

    Args:
        day: The day.
        sightings: Those of listed names that were drawn for it and asked on it, with a settled answer.
    """
    asked: dict[tuple[str, str], set[str]] = {}
    missed: dict[tuple[str, str], set[str]] = {}
    lines: dict[str, Line] = {}
    for one in sightings:
        lines.setdefault(one.vantage_point, Line(one.access_network, one.custodian))
        quarter = day.quarter(one.asked_at)
        for name in strata_of(one, quarter):
            asked.setdefault((one.vantage_point, name), set()).add(one.qname)
            if one.result is Result.NOT_BLOCKED:
                missed.setdefault((one.vantage_point, name), set()).add(one.qname)
    points = sorted(lines)
    names = [name for name in STRATA if any((point, name) in asked for point in points)]
    nothing: frozenset[str] = frozenset()
    missed_by = {name: [frozenset(missed.get((point, name), nothing)) for point in points] for name in names}
    counts = {
        name: [
            (len(asked.get((point, name), nothing)), len(those))
            for point, those in zip(points, missed_by[name], strict=True)
        ]
        for name in names
    }
    return Seen(tuple(lines[point] for point in points), counts, missed_by)

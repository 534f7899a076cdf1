"""Names that spoke against an operator, kept as `compliance_api.storage.probing.unsettled` finds them in the database.

Holds always: what is asked again here is what the service would ask again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from compliance_api.domain.drawing.sampling import ListedName, Unlisted, Unsettled
from compliance_api.domain.observations.observation import FAILING, UNLISTED, Arm, Result, Shape, Sighting
from compliance_api.usecases.probing.assignment import Wanted


@dataclass
class _Track:
    first: datetime
    sighting: Sighting
    eyes: set[str] = field(default_factory=set)
    types: set[int] = field(default_factory=set)
    # Who saw anything settled of it, long enough after the first time.
    later: set[str] = field(default_factory=set)


class Tracked:
    """All of them."""

    def __init__(self, apart: float) -> None:
        self._apart = timedelta(seconds=apart)
        self._tracks: dict[tuple[str, Arm], _Track] = {}

    def see(self, one: Sighting) -> None:
        """Takes a sighting, in the order of time."""
        key = one.qname, one.arm
        track = self._tracks.get(key)
        failed = one.reference_alive and (one.shape in FAILING or one.shape is Shape.REFUSED)
        settled = one.result is not Result.INCONCLUSIVE or failed
        if track is not None and settled and one.asked_at >= track.first + self._apart:
            track.later.add(one.vantage_point)
        if not _against(one):
            return
        if track is None:
            track = self._tracks[key] = _Track(one.asked_at, one)
        track.eyes.add(one.vantage_point)
        track.types.add(one.qtype)

    def unsettled(self, wanted: Wanted) -> Unsettled:
        """What is asked again now."""
        firm, loose, blocked = [], [], []
        for key, track in list(self._tracks.items()):
            if track.first < wanted.since:
                del self._tracks[key]
            elif track.first <= wanted.until and len(track.later) < wanted.rule.vantage_points:
                types = tuple(sorted(track.types))
                if one := track.sighting.added_at:
                    name = ListedName(key[0], 3, "OR", track.sighting.added_serial, one, types=types)
                    (firm if len(track.eyes) >= wanted.rule.vantage_points else loose).append(name)
                else:
                    blocked.append(Unlisted(*key, types))
        limit = wanted.limit
        return Unsettled(tuple(firm[:limit]), tuple(loose[:limit]), tuple(blocked[:limit]))


def _against(one: Sighting) -> bool:
    if one.arm is Arm.LISTED:
        return one.result is Result.NOT_BLOCKED or (one.shape in FAILING and one.reference_alive)
    if one.arm not in UNLISTED:
        return False
    return one.result is Result.BLOCKED or (one.shape is Shape.REFUSED and one.reference_alive)

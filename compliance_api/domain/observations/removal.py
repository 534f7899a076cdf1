"""Names that releases took out of the list, and what a sighting of one says.

Holds always: a name counts as listed only for as long as its entry bound everybody, and must be answered only where
nothing on the list reached it any more; where it cannot be told which of the two held when it was asked, the sighting
counts for nothing, and so does one of a control or neighbour that was listed by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from compliance_api.domain.observations.observation import UNLISTED, Arm, Sighting


@dataclass(frozen=True, order=True)
class Removal:
    """A name that does not bind everybody any more."""

    qname: str
    # The release from which on that is so, and when it was published.
    serial: int
    removed_at: datetime
    # The release that had brought it.
    added_serial: int
    category: int
    order: str
    # Nothing on the list reaches it: it must be answered again.
    free: bool
    # One of the authority's own names.
    control: bool = False


@dataclass(frozen=True)
class Standing:
    """What the list says of a name now."""

    listed: bool
    # Everybody must block it.
    binding: bool
    # When the oldest entry that reaches it was published; None where nothing does, or it is not known.
    since: datetime | None = None
    # No zone that operators take has room for it.
    unfit: bool = False


@dataclass(frozen=True)
class ListChanges:
    """What is known of some names: when each was taken out, and when ones not listed were found to be, oldest first."""

    removed: Mapping[str, Sequence[Removal]] = field(default_factory=dict)
    listed: Mapping[str, Sequence[datetime]] = field(default_factory=dict)

    def place(self, sighting: Sighting) -> Sighting | None:
        """A sighting in the arm that its name was in when it was asked; None where that cannot be told."""
        earliest = sighting.earliest or sighting.asked_at
        latest = sighting.latest or sighting.asked_at
        removed = self.removed.get(sighting.qname, ())
        listed = [at for at in self.listed.get(sighting.qname, ()) if at <= latest]
        if sighting.arm in UNLISTED:
            known = bool(listed) or any(one.removed_at <= latest for one in removed)
            return None if known else sighting
        if sighting.arm is Arm.LISTED:
            removed = [one for one in removed if one.serial > sighting.added_serial]
            if not removed or latest < removed[0].removed_at:
                return sighting
        free = [one for one in removed if one.free and one.removed_at <= earliest]
        if not free or any(at > free[-1].removed_at for at in listed):
            return None
        last = free[-1]
        return replace(sighting, arm=Arm.RELEASED, removed_at=last.removed_at, removed_serial=last.serial)

    def placed(self, sightings: Iterable[Sighting]) -> list[Sighting]:
        """All of them that can be told."""
        return [found for one in sightings if (found := self.place(one)) is not None]

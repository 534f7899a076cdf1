"""Canary edges first: how long an edge waits before it takes a release, as the signed metadata says.

Holds always: an urgent release waits nowhere; nobody waits longer than the signed time after seeing a release for the
first time, whatever the clock says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocklist_sync.edge.errors import Reason, RefusedError

FIELD = "x-lachan-rings"
"""In the snapshot, beside the list's version: seconds after the publication, by ring."""
ALL = "all"
HOLD_MAX = 7 * 86_400
RINGS_MAX = 16


def parse(raw: Any) -> dict[str, int]:
    """Seconds by ring; empty where nothing is said.

    Raises:
        RefusedError: It says something else, or longer than any wait may be.
    """
    if raw is None:
        return {}
    if not isinstance(raw, dict) or len(raw) > RINGS_MAX:
        raise RefusedError(Reason.MALFORMED, f"the signed rings are {raw!r:.80}")
    for ring, seconds in raw.items():
        if not isinstance(ring, str) or type(seconds) is not int or not 0 <= seconds <= HOLD_MAX:
            raise RefusedError(Reason.MALFORMED, f"the signed rings hold {ring!r:.40} for {seconds!r:.40}")
    return dict(raw)


def remaining(
    rings: Mapping[str, int], ring: str, *, published_at: int, urgent: bool, now: float, waited: float
) -> float:
    """Seconds until an edge may take a release, 0 where it may now.

    Args:
        rings: What is signed.
        ring: The edge's own; one that is not named is like all others.
        published_at: Seconds since 1970-01-01 UTC.
        urgent: Whether it is.
        now: Likewise, by this machine's clock, which may be wrong.
        waited: Seconds since this edge first saw the release, by a clock that nobody sets.
    """
    hold = 0 if urgent else rings.get(ring, rings.get(ALL, 0))
    return max(0.0, min(published_at + hold - now, hold - waited))

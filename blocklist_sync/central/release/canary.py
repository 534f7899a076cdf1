"""Canary edges first: what the snapshot signs of how long other edges wait, and that releases do not overtake it.

Holds always: a release that canary edges are trying is not replaced before its time by another that is not urgent, or
the other edges would never get any.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tuf.api.metadata import Metadata, Snapshot

from blocklist_sync.central.errors import CentralError

RINGS = "x-lachan-rings"
"""In the snapshot, beside the list's version: seconds after the publication, by ring."""
HOLD_MAX = 7 * 86_400


def rings(hold: float) -> dict[str, int]:
    """What is signed where canary edges are to have a release for `hold` seconds first; empty for none.

    Raises:
        CentralError: That is longer than edges would accept.
    """
    if not 0 <= hold <= HOLD_MAX:
        raise CentralError(f"canary edges have a release for at most {HOLD_MAX // 86_400} days first")
    return {"canary": 0, "all": int(hold)} if hold else {}


def signed(snapshot: Metadata[Snapshot] | None, listed: str) -> dict[str, int]:
    """What the published snapshot says of the list's document, `NAME.json`."""
    held = snapshot.signed.meta.get(listed) if snapshot is not None else None
    found: Any = held.unrecognized_fields.get(RINGS) if held is not None else None
    return dict(found) if isinstance(found, dict) else {}


def busy(held: dict[str, int], published_at: int, now: int) -> str:
    """Why a release that canary edges are trying must not be overtaken yet; empty where none is tried."""
    hold = max(held.values(), default=0)
    until = published_at + hold
    if not hold or now >= until:
        return ""
    return (
        f"canary edges try the published release until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S} UTC: "
        "publish then, or as urgent"
    )

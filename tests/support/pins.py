"""Top-level targets that pin a ledger policy, as an edge has them verified."""

from __future__ import annotations

from datetime import UTC, datetime

from tuf.api.metadata import Targets

from lachan.ledger.policy import PINNED


def targets(version: int, text: object) -> Targets:
    """Targets of a version; without the field where there is no text."""
    fields = {} if text is None else {PINNED: text}
    return Targets(version=version, expires=datetime(2030, 1, 1, tzinfo=UTC), unrecognized_fields=fields)

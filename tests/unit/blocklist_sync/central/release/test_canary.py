from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tuf.api.metadata import Metadata, MetaFile, Snapshot

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.canary import HOLD_MAX, RINGS, busy, rings, signed
from blocklist_sync.edge import rings as edge

NOW = 1_800_000_000


def test_what_is_signed_is_what_edges_read() -> None:
    assert rings(0) == {}
    assert rings(600.5) == {"canary": 0, "all": 600}
    assert (RINGS, HOLD_MAX) == (edge.FIELD, edge.HOLD_MAX)
    entry = MetaFile(7, unrecognized_fields={RINGS: rings(600)})
    assert edge.parse(entry.unrecognized_fields[RINGS]) == rings(600)
    snapshot = Metadata(Snapshot(expires=datetime.now(UTC), meta={"list.json": entry}))
    again = Metadata[Snapshot].from_bytes(snapshot.to_bytes())
    assert signed(again, "list.json") == rings(600)
    assert signed(again, "other.json") == signed(None, "list.json") == {}
    for hold in (-1, HOLD_MAX + 1):
        with pytest.raises(CentralError):
            rings(hold)


def test_a_release_that_is_tried_is_not_overtaken() -> None:
    assert not busy({}, NOW, NOW - 1)
    assert not busy(rings(600), NOW, NOW + 600)
    assert "UTC" in busy(rings(600), NOW, NOW + 599)

"""What the metrics show of a repository."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

from blocklist_sync.central.release.repository import Repository
from blocklist_sync.central.serving.metrics import Metrics
from blocklist_sync.central.serving.watch import Watch
from tests.support.list_authority import ListAuthority


async def test_what_is_published_is_shown_and_stays_where_it_cannot_be_read(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path)
    metrics = Metrics()
    shown = metrics.registry.get_sample_value
    watch = Watch(metrics, Repository(authority.repository), None, lambda: datetime.now(UTC))
    await watch.look()
    assert shown("lachan_list_serial") == 0
    assert math.isnan(shown("lachan_list_admitted_nodes") or 0)
    metrics.membership(5.0, {"lachan://a/node/n1"})
    assert (shown("lachan_list_revocations_timestamp_seconds"), shown("lachan_list_admitted_nodes")) == (5, 1)
    authority.publish("a.example")
    await watch.look()
    assert shown("lachan_list_serial") == 1
    assert shown("lachan_list_published_timestamp_seconds") == authority.release.published()[-1].published_at
    ends = authority.listed().expires.timestamp()
    assert shown("lachan_list_expires_timestamp_seconds", {"role": "list"}) == ends
    (authority.repository / "metadata" / "timestamp.json").write_text("{")
    await watch.look()
    assert (shown("lachan_list_looks_failed_total"), shown("lachan_list_serial")) == (1, 1)

"""What was published goes once nobody fetches it, and never before."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from blocklist_sync.artifact import delta, manifest
from blocklist_sync.artifact import records as artifact
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release import retention
from blocklist_sync.central.release.repository import Repository
from tests.support.list_authority import ListAuthority

DAY = 86_400


def older(authority: ListAuthority, days: float) -> None:
    """Makes everything that is published so much older."""
    for path in (*(authority.repository / "targets").rglob("*"), *(authority.repository / "metadata").iterdir()):
        stat = path.stat()
        os.utime(path, (stat.st_atime, stat.st_mtime - days * DAY))


def full(authority: ListAuthority) -> int:
    return len(list((authority.repository / "targets" / "list").glob("*.records.bin")))


def test_old_records_go_and_those_that_may_be_fetched_stay(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path)
    for name in ("a", "b", "c", "d"):
        assert authority.publish(f"{name}.example").pruned == 0
    assert full(authority) == 4
    older(authority, 6)
    # Superseded less than a week ago, all of them.
    authority.publish("e.example")
    assert full(authority) == 5
    older(authority, 3)
    # d was named until three days ago; a, b and c ceased to be named nine days ago.
    assert authority.publish("f.example").pruned == 3 * 2
    assert full(authority) == 3
    older(authority, 30)
    # Renewed by the timer: what is published and the one before it stay, however old they are.
    authority.publish()
    assert full(authority) == 2
    assert authority.records.exists()
    assert authority.publish().pruned == 0


def test_rolling_back_and_slow_edges_need_none_of_what_went(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path)
    authority.publish(*(f"n{number}.example" for number in range(2000)))
    slow = artifact.parse(authority.records.read_bytes())
    for name in ("b", "c", "d", "e"):
        older(authority, 30)
        authority.build(f"{name}.example", extend=True)
        authority.publish()
    assert full(authority) == 2
    # An edge that stayed at the first release comes along by deltas.
    folder = authority.repository / "targets" / "list"
    digest = authority.listed().targets["list/manifest"].hashes["sha256"]
    held = manifest.parse((folder / f"{digest}.manifest").read_bytes())
    assert len(held.steps) == 4
    for step in held.steps:
        slow = delta.apply(slow, delta.parse((folder / step.name).read_bytes()))
    assert slow.data == authority.records.read_bytes()
    # Rolled back to a release whose files are gone: it is folded from the log.
    assert authority.build(rollback=1).candidate.names == 2000
    assert authority.publish().release.serial == 6


def test_what_is_still_to_be_fetched_is_asked_for_in_hours_at_least(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path)
    authority.publish("a.example")
    with pytest.raises(CentralError, match="3600 s at least"):
        retention.prune(Repository(authority.repository), 1, time.time(), 60)

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from blocklist_sync.artifact import policy
from blocklist_sync.artifact._snapshot import Snapshot
from resolver.overrides import Override, ReasonCode
from resolver.rules import Rules, RulesError, facts, load, seal
from tests.support.blocklist import built, entry, release


def open_fds() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    path = tmp_path / "rules.snapshot"
    path.write_bytes(built(entry("bad.example"), serial=7))
    return path


def test_a_snapshot_is_verified_and_described(snapshot: Path) -> None:
    rules = load(snapshot, epoch=3, activated_at=1000, published_at=900)
    assert rules.fd is not None
    assert (rules.serial, rules.entries) == (7, 1)
    assert rules.records_digest == release(entry("bad.example"), serial=7).digest
    told = rules.describe()
    assert (told["epoch"], told["serial"], told["activated_at"]) == (3, 7, 1000)
    assert policy.parse(told["bundle"].encode()) == policy.default()
    os.close(rules.fd)


def test_what_workers_map_is_sealed(snapshot: Path) -> None:
    fd = seal(snapshot)
    try:
        for change in (lambda: os.write(fd, b"x"), lambda: os.ftruncate(fd, 0), lambda: os.ftruncate(fd, 1 << 20)):
            with pytest.raises(PermissionError):
                change()
        with pytest.raises(PermissionError):
            mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_WRITE)
    finally:
        os.close(fd)


def test_a_change_of_the_file_afterwards_reaches_nobody(snapshot: Path) -> None:
    rules = load(snapshot, epoch=1, activated_at=0)
    assert rules.fd is not None
    snapshot.write_bytes(b"")
    view = mmap.mmap(rules.fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
    assert [match.owner for match in Snapshot(view).lookup("www.bad.example")] == ["bad.example"]
    os.close(rules.fd)


@pytest.mark.parametrize("where", [0, 40, 200, 300, -1])
def test_a_changed_byte_is_refused_and_nothing_stays_open(snapshot: Path, where: int) -> None:
    data = bytearray(snapshot.read_bytes())
    data[where] ^= 1
    snapshot.write_bytes(data)
    before = open_fds()
    with pytest.raises(RulesError, match=f"^{snapshot}: "):
        load(snapshot, epoch=1, activated_at=0)
    assert open_fds() == before


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300])
def test_a_cut_snapshot_is_refused(snapshot: Path, size: int) -> None:
    snapshot.write_bytes(snapshot.read_bytes()[:size])
    before = open_fds()
    with pytest.raises(RulesError, match=f"^{snapshot}: "):
        load(snapshot, epoch=1, activated_at=0)
    assert open_fds() == before


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"none: No such file or directory$"):
        load(tmp_path / "none", epoch=1, activated_at=0)


def test_a_folder_is_no_snapshot_and_nothing_stays_open(tmp_path: Path) -> None:
    before = open_fds()
    with pytest.raises(RulesError, match=f"^{tmp_path}: Is a directory$"):
        load(tmp_path, epoch=1, activated_at=0)
    assert open_fds() == before


def test_another_epoch_is_the_same_rules() -> None:
    rules = Rules(epoch=1, serial=5)
    one = Override("a.example", "exact", ReasonCode.OTHER, "for a test", 1, 2)
    assert rules.overridden((one,), 2) == Rules(epoch=2, serial=5, overrides=(one,))
    assert facts(rules.overridden((one,), 2).describe()).keys() == rules.describe().keys() - {"bundle", "overrides"}

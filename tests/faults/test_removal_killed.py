"""kill -9 before every file that a publishing removes: readers, slow ones too, and a roll-back miss none of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocklist_sync.artifact import snapshot
from blocklist_sync.central.release.check import Checked, check
from blocklist_sync.central.release.repository import LIST_ROLE, Repository
from blocklist_sync.edge.agent import Agent
from blocklist_sync.edge.settings import SyncSettings
from tests.support import killed
from tests.support.list_authority import ListAuthority, Server

ALWAYS = "bad.example"
FIRST = [f"n{number}.example" for number in range(400)]
AGE = 400 * 86_400
"""Beyond what anything is kept for, commitments included."""


@pytest.fixture
def place() -> Iterator[Path]:
    """Where nobody waits for a disk, if there is such a place: a killing keeps what was written, synced or not."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def age(repository: Path) -> None:
    for path in repository.rglob("*"):
        stat = path.stat()
        os.utime(path, (stat.st_atime, stat.st_mtime - AGE))


def files(authority: ListAuthority) -> set[str]:
    """What a publishing may remove, and what of that kind it must leave."""
    found = [*(authority.repository / "targets").rglob("*.*"), *(authority.repository / "public").iterdir()]
    return {str(path.relative_to(authority.repository)) for path in found}


def cleared(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def copied(folder: Path, to: Path) -> Path:
    """With the times, which removing goes by."""
    shutil.copytree(folder, cleared(to), symlinks=True)
    return to


def whole(repository: Repository, version: int) -> None:
    """Everything that a document of the list names is there, for who has just read it."""
    for name, target in repository.held(LIST_ROLE, version).signed.targets.items():
        data = repository.target_path(name, target.hashes["sha256"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == target.hashes["sha256"]


def checked(authority: ListAuthority, work: Path) -> Checked:
    """Signatures, digests, chain and fold, as `lachan-blocklist verify` does it."""
    root = (authority.repository / "metadata" / "1.root.json").read_bytes()
    return check(Repository(authority.repository), root, authority.log, work, int(time.time()))


def synced(settings: SyncSettings, state: Path) -> int:
    """The serial that an edge has after a round, its snapshot whole."""
    Agent(settings, state)._check()
    held = Agent.recover(state)
    assert held is not None
    assert snapshot.verify(held.snapshot.read_bytes()).lookup(ALWAYS)
    return held.serial


def nobody_misses(authority: ListAuthority, server: Server, place: Path, still: int) -> None:
    """Readers, slow edges, a roll-back and the next publishing go on from where the removal was interrupted."""
    settings = authority.settings(server)
    # Who reads the release, who has just read the document before it, and an edge that is two releases behind.
    assert checked(authority, place / "work").offer.serial == 5
    whole(Repository(authority.repository), 4)
    assert synced(settings, cleared(place / "fresh")) == 5
    server.requests.clear()
    assert synced(settings, copied(place / "slow", place / "slow-again")) == 5
    assert not any("records.bin" in path for path in server.requests)

    # Rolled back to a release of which files are gone: it is folded from the log.
    later = ListAuthority.reopen(copied(authority.folder, place / "rolled-back"))
    assert not later.interrupted
    assert later.build(rollback=1).candidate.names == 1 + len(FIRST)
    assert later.publish().release.serial == 6
    assert checked(later, place / "work").offer.serial == 6

    # What was interrupted, the next publishing ends.
    again = ListAuthority.reopen(copied(authority.folder, place / "again"))
    assert again.publish().pruned == still


@pytest.mark.forks
def test_killed_at_every_file_that_is_removed_nobody_misses_one(place: Path) -> None:
    authority = ListAuthority(place / "authority")
    with authority.serve() as server:
        authority.publish(ALWAYS, *FIRST)
        for name in ("b.example", "c.example", "d.example"):
            authority.publish(ALWAYS, *FIRST[100:], name)
            if name == "c.example":
                # An edge that stays behind: the records that it holds are among those that go.
                assert synced(authority.settings(server), place / "slow") == 3
        age(authority.repository)
        authority.build(ALWAYS, *FIRST[100:], "e.example")
        authority.sign()

        old, before = files(authority), copied(authority.folder, place / "before")
        assert authority.publish().pruned == 3 * 3  # records, manifest and commitments of the first three releases
        left = files(authority)
        removed = old - left
        assert len(removed) == 3 * 3

        killings: list[str] = []
        copied(before, authority.folder)
        for step in killed.matrix(authority.publish, changes=("unlink",)):
            there = files(authority)
            if step.change.endswith(".part"):
                # What makes room for a file that is written: nothing goes before everything is.
                assert there >= old
                assert not killings
            else:
                # One file after the other, and never one that should be there.
                assert there >= left, f"killed before {step.change}"
                assert len(removed - there) == len(killings)
                assert step.change.removeprefix("unlink ") in {Path(name).name for name in removed & there}
                killings.append(step.change)
                nobody_misses(authority, server, place, 3 * 3 - len(removed - there))
                assert files(ListAuthority.reopen(place / "again")) == left
            copied(before, authority.folder)
        assert len(killings) == len(removed)

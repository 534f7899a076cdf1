from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import approvals
from blocklist_sync.central.log.approvals import LogError
from blocklist_sync.central.log.folder import Checkpoint, LogFolder, fingerprint_key, take
from blocklist_sync.central.log.verifier import Delegated
from tests.support.registry import DELEGATED, EDITOR, FIRST, SECOND, approval, founded, proposal

KEYS = Delegated(DELEGATED)


def decided(*by: object) -> list[bytes]:
    """A log in which these approvers, one after another, approved something."""
    book = founded()
    for number, approver in enumerate(by, 1):
        asked = proposal(number=number)
        book.decide(asked, EDITOR, approval(asked, approver))  # type: ignore[arg-type]  # a member
    return book.steps


def test_a_log_is_verified_and_cut(tmp_path: Path) -> None:
    steps = decided(FIRST, SECOND)
    folder = LogFolder(tmp_path)
    approvals.write(folder.steps_path, steps)
    log = folder.verified(KEYS, Checkpoint())
    assert (log.length, [decision.index for decision in log.decisions]) == (6, [5, 6])
    assert log.head == folder.head_at(6) == folder.heads()[6] == approvals.hash_step(steps[-1])
    assert (folder.head_at(0), folder.head_at(7)) == (approvals.GENESIS, b"")
    before = folder.cut(log, 5)
    assert (before.length, before.head, len(before.decisions)) == (5, folder.head_at(5), 1)
    assert folder.verified(KEYS, Checkpoint(), 5).head == before.head
    with pytest.raises(CentralError, match="has 6 steps, not 7"):
        folder.cut(log, 7)


def test_a_log_continues_the_one_that_was_signed() -> None:
    steps = decided(FIRST, SECOND)
    assert take(steps, KEYS, Checkpoint(5, approvals.hash_step(steps[4]))).length == 6
    with pytest.raises(CentralError, match="rewritten: its step 5"):
        take(steps, KEYS, Checkpoint(5, bytes(32)))
    with pytest.raises(CentralError, match="6 steps, where 9 are needed"):
        take(steps, KEYS, Checkpoint(9, bytes(32)))


def test_a_retired_key_counts_up_to_its_last_step() -> None:
    steps = decided(FIRST, FIRST)
    left = DELEGATED - {FIRST.key}
    assert take(steps, Delegated(left, {FIRST.key: 6}), Checkpoint()).length == 6
    with pytest.raises(LogError, match=r"step 6: .*first's key is not delegated") as refused:
        take(steps, Delegated(left, {FIRST.key: 5}), Checkpoint())
    assert refused.value.step == 6
    assert Delegated(left, {FIRST.key: 5}).at(5) == DELEGATED
    assert Delegated(left, {FIRST.key: 5}).at(6) == left


def test_somebody_whom_the_registry_invented_approves_nothing() -> None:
    with pytest.raises(LogError, match="must be delegated the list role"):
        take(decided(FIRST), Delegated(DELEGATED - {FIRST.key}), Checkpoint())


def test_a_seed_is_drawn_once(tmp_path: Path) -> None:
    folder = LogFolder(tmp_path / "log")
    seed = folder.drawn_seed()
    assert (len(seed), folder.seed()) == (32, seed)
    keys = {fingerprint_key(seed, epoch, draw).key for epoch in (1, 2) for draw in range(3)}
    assert len(keys) == 6
    (tmp_path / "log" / "fingerprint.seed").write_bytes(b"short")
    with pytest.raises(CentralError, match="not 32 bytes"):
        folder.seed()

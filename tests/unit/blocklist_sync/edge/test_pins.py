from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.edge import pins
from blocklist_sync.edge.pins import Pin
from tests.support.ledger import Parties
from tests.support.pins import targets

FIRST, SECOND = (Parties().policy_text for _ in range(2))


def test_a_policy_is_replaced_by_a_newer_one_alone(tmp_path: Path) -> None:
    path = tmp_path / pins.FILE
    assert pins.load(path) is None
    pins.keep(path, targets(3, FIRST))
    assert pins.load(path) == Pin(3, FIRST.encode())
    # As where TUF's own files were lost, and somebody with the online keys shows old targets.
    pins.keep(path, targets(2, SECOND))
    pins.keep(path, targets(3, SECOND))
    assert pins.load(path) == Pin(3, FIRST.encode())
    pins.keep(path, targets(4, SECOND))
    assert pins.load(path) == Pin(4, SECOND.encode())


@pytest.mark.parametrize("worse", [None, "", "trust me", "quorum none", 7, ["log"], "#" * 20_000, "\ud800"])
def test_once_there_is_one_it_is_never_weaker_than_a_policy_with_witnesses(tmp_path: Path, worse: object) -> None:
    path = tmp_path / pins.FILE
    pins.keep(path, targets(1, FIRST))
    pins.keep(path, targets(2, worse))
    assert pins.load(path) == Pin(1, FIRST.encode())
    pins.keep(path, targets(3, SECOND))
    assert pins.load(path) == Pin(3, SECOND.encode())


def test_targets_without_a_policy_say_that_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / pins.FILE
    pins.keep(path, targets(1, None))
    assert pins.load(path) == Pin(1, b"")
    pins.keep(path, targets(2, FIRST))
    assert pins.load(path) == Pin(2, FIRST.encode())


@pytest.mark.parametrize("data", [b"", b"# targets x\n", b"# targets 99999999999999999\n", b"log a\n"])
def test_what_is_damaged_is_as_if_it_were_not_there(tmp_path: Path, data: bytes) -> None:
    (tmp_path / pins.FILE).write_bytes(data)
    assert pins.load(tmp_path / pins.FILE) is None

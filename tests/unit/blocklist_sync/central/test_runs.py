from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from blocklist_sync.central import runs
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.runs import Runs


@pytest.mark.parametrize("at_once", [1000, 100, 7])
def test_lines_come_back_sorted_and_as_often_as_they_came(at_once: int) -> None:
    lines = [f"{random.Random(i).randrange(40)}.example\tn0\n" for i in range(100)]
    with Runs(at_once) as sorting:
        sorting.extend(lines)
        assert list(sorting) == sorted(lines)
        # What was read can be read again.
        assert list(sorting) == sorted(lines)
        assert sorting.lines == 100


def test_nothing_with_a_name_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Runs(2) as sorting:
        sorting.extend(["b\n", "a\n", "c\n"])
        assert list(tmp_path.iterdir()) == []
        assert list(sorting) == ["a\n", "b\n", "c\n"]


def test_runs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_RUNS", 2)
    with Runs(2) as sorting, pytest.raises(CentralError, match="more than 4 names"):
        sorting.extend("abcdef")


def test_a_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with Runs(1) as sorting, pytest.raises(CentralError, match="/nowhere"):
        sorting.add("a\n")

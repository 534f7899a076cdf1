"""The approvals log as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import approvals
from blocklist_sync.central.log.approvals import LogError
from tests.support.registry import founded


def test_steps_are_kept_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "log"
    book = founded()
    approvals.write(path, book.steps)
    assert list(approvals.read(path)) == book.steps
    path.write_bytes(b"{}\n{}")
    with pytest.raises(LogError, match="step 2: longer than"):
        list(approvals.read(path))
    with pytest.raises(CentralError, match="No such file"):
        list(approvals.read(tmp_path / "none"))

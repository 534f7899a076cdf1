"""Which keys approvers may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.registry import delegated
from tests.support.registry import FIRST, SECOND, THIRD
from tests.support.registry_office import delegate


def test_the_newest_targets_say_whose_keys_count(tmp_path: Path) -> None:
    read = delegated.of(tmp_path)
    assert read() == delegated.NOBODY
    delegate(tmp_path, [FIRST.signer.public_key], version=9)
    assert read().now == {FIRST.key}
    delegate(tmp_path, [SECOND.signer.public_key, THIRD.signer.public_key], version=10)
    assert read().now == {SECOND.key, THIRD.key}


def test_what_is_no_metadata_is_said(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "1.targets.json").write_text("{}")
    with pytest.raises(CentralError, match=r"1\.targets\.json"):
        delegated.of(tmp_path)()

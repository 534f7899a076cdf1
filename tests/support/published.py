"""Lists that others publish, where they are at hand; they are no part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FILES = ("gambling.hosts", "gambling.domains.txt", "gambling.adblock.txt", "gambling-vn.domains.txt", "threat-vn.hosts")


def published_lists() -> list[Path]:
    """The files; skips the test, saying where it looked, if one is missing."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("LACHAN_TEST_LISTS", root.parent / "shared" / "data"))
    if missing := [name for name in FILES if not (folder / name).exists()]:
        pytest.skip(f"no {missing[0]} in {folder}: published lists are not part of the repository")
    return [folder / name for name in FILES]

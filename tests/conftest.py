"""What all tests share: programs from Debian are needed in CI, and missed with a reason elsewhere."""

from __future__ import annotations

import os
import shutil

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("debian"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing and os.environ.get("CI"):
            pytest.fail(f"CI must have {', '.join(missing)}")
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")

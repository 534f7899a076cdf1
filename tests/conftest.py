"""What all tests share.

Programs from Debian are needed in CI, and missed with a reason elsewhere. Tests that fork run first: gRPC starts
threads in this process that never end, and a fork beside threads may wait for ever for a lock that nobody opens.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import pytest

from deploy.demo.upstream import upstream


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("debian"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing and os.environ.get("CI"):
            pytest.fail(f"CI must have {', '.join(missing)}")
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("forks") is None)


@pytest.fixture
async def clean() -> AsyncIterator[int]:
    """The port of an upstream that knows every name."""
    async with upstream() as port:
        yield port

"""What all tests share.

Programs from Debian are needed in CI, and missed with a reason elsewhere. Tests that fork run first: gRPC starts
threads in this process that never end, and a fork beside threads may wait for ever for a lock that nobody opens.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.demo.upstream import upstream
from lachan import postgres

# How long an example takes is the machine's affair, and that of what runs beside it.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


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


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    """A PostgreSQL for everybody who does not stop it."""
    with postgres.embedded(tmp_path_factory.mktemp("databases")) as running:
        yield running


@pytest.fixture
def url(databases: postgres.Server) -> URL:
    """A database of one's own, empty."""
    return databases.database(f"test_{next(_numbers)}")


@pytest.fixture
async def engine(url: URL) -> AsyncIterator[AsyncEngine]:
    """The same with the compliance service's tables."""
    # Most tests need no database, and are not to wait for what it takes.
    from compliance_api.storage.migrate import migrate

    made = postgres.engine(url, 10, "test")
    await migrate(made)
    yield made
    await made.dispose()

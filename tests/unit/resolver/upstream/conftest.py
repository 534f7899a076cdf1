"""Upstreams to ask, and who vouches for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.streams import Trusted
from tests.support.tls import Authority


@pytest.fixture
async def trusted(tmp_path: Path) -> AsyncIterator[Trusted]:
    authority = Authority(tmp_path)
    authority.issue()
    authority.ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    made = Trusted(authority)
    yield made
    for asking in made.made:
        asking.close()

"""What integration tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.evidence import Dispute
from tests.support.ledger import Parties
from tests.support.sequencing import Circle, circle


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Circle]:
    """Three witnesses."""
    with circle(tmp_path / "witnesses", Parties()) as made:
        yield made


@pytest.fixture
async def dispute(engine: AsyncEngine, three: Circle) -> Dispute:
    """A finding with all it rests on, under cosigned heads."""
    made = Dispute(engine, three)
    await made.begin()
    return made

"""What a block looks like, kept with its place in the ledger."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.observations.shapes import DEFAULT, ShapeBook, ShapesError
from compliance_api.storage.probing.shapes import Shapes
from compliance_api.storage.tables import ledger_leaves, shape_versions
from tests.support.cases import NOW


def book(**changes: object) -> ShapeBook:
    more = {"version": "v2", "effective_from": NOW, **changes}
    return ShapeBook.model_validate({"shapes": [*DEFAULT.shapes, more]})


async def test_a_text_is_stored_once_with_its_leaf_and_never_changes(engine: AsyncEngine) -> None:
    learnt = await asyncio.gather(*(Shapes(engine).learn(book(), NOW) for _ in range(4)))
    assert sorted(one for some in learnt for one in some) == ["default-1", "v2"]
    with pytest.raises(ShapesError, match="v2 is known with another text"):
        await Shapes(engine).learn(book(tries=5), NOW)
    assert await Shapes(engine).learn(DEFAULT, NOW) == []
    async with engine.connect() as connection:
        rows = list(
            await connection.execute(
                select(shape_versions.c.content, ledger_leaves.c.subject, ledger_leaves.c.content.label("leaf"))
                .join(ledger_leaves, ledger_leaves.c.log_index == shape_versions.c.log_index)
                .order_by(shape_versions.c.version)
            )
        )
    assert [(row.subject, row.leaf == row.content.encode()) for row in rows] == [
        ("shapes/default-1", True),
        ("shapes/v2", True),
    ]

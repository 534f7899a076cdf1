"""Rows written by COPY, into partitions before they are ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.storage.upkeep import partitions
from compliance_api.storage.upkeep.partitions import Divided


async def copy(engine: AsyncEngine, table: str, columns: Sequence[str], rows: Iterator[str]) -> None:
    """Writes rows, each one a line of COPY's text format, some at a time."""

    async def source() -> AsyncIterator[bytes]:
        for chunk in rows:
            yield chunk.encode()

    async with engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await raw.execute("SET statement_timeout = 0")
        await raw.copy_to_table(table, source=source(), columns=columns)
        await connection.commit()


async def fill_span(
    engine: AsyncEngine, divided: Divided, start: datetime, columns: Sequence[str], rows: Iterator[str]
) -> None:
    """Fills a partition before it is one: its indexes are built over what is there."""
    name = f"{divided.name}_from{start:%Y%m%d}"
    end = start + divided.width
    async with engine.begin() as connection:
        there = {span.name for span in await partitions.spans(connection, divided)}
        if name in there:
            await connection.execute(text(f"ALTER TABLE {divided.name} DETACH PARTITION {name}"))
            await connection.execute(text(f"DROP TABLE {name}"))
        await connection.execute(text(f"CREATE TABLE {name} (LIKE {divided.name} INCLUDING DEFAULTS)"))
    await copy(engine, name, columns, rows)
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(text("SET LOCAL maintenance_work_mem = '256MB'"))
        await connection.execute(
            text(f"ALTER TABLE {divided.name} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')")
        )

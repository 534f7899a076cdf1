"""A database at any revision of the compliance schema, and rows for whatever columns it had there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import ARRAY, JSON, Connection, func, insert, inspect, select, table
from sqlalchemy import column as named
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.type_api import TypeEngine

from compliance_api.storage.migrate import SCHEMA
from compliance_api.storage.tables import metadata

T0 = datetime(2025, 1, 1, tzinfo=UTC)


def revisions() -> list[str]:
    """All of them, oldest first."""
    scripts = ScriptDirectory.from_config(SCHEMA._config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


async def upgrade(engine: AsyncEngine, revision: str) -> None:
    """Migrates up to a revision, under the lock that the service takes."""

    def run(connection: Connection) -> None:
        connection.execute(select(func.pg_advisory_xact_lock(SCHEMA.lock)))
        config = SCHEMA._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    async with engine.begin() as connection:
        await connection.run_sync(run)


@dataclass(frozen=True)
class OldColumn:
    """A column as a release knew it."""

    name: str
    kind: TypeEngine[Any]


def columns(connection: Connection) -> dict[str, list[OldColumn]]:
    """What each table of the schema has now."""
    seen = inspect(connection)
    there = set(seen.get_table_names()) & set(metadata.tables)
    return {name: [OldColumn(one["name"], one["type"]) for one in seen.get_columns(name)] for name in sorted(there)}


def value(kind: TypeEngine[Any], number: int) -> Any:
    """Something that fits into a column."""
    if isinstance(kind, JSON):
        return {}
    if isinstance(kind, ARRAY):
        return []
    fitting: dict[type, Any] = {
        int: number,
        str: f"value-{number}",
        bytes: bytes([number % 256]) * 16,
        bool: True,
        datetime: T0,
        date: T0.date(),
        float: 0.5,
    }
    return fitting[kind.python_type]


def write(connection: Connection, name: str, known: list[OldColumn], number: int) -> None:
    """Adds a row by the columns that a release knew, and reads it back by them."""
    old = table(name, *(named(one.name, one.kind) for one in known))
    connection.execute(insert(old).values({one.name: value(one.kind, number) for one in known}))
    assert connection.execute(select(old)).first() is not None, name

"""Brings the schema up to date.

Holds always: whoever migrates holds one advisory lock until the transaction ends, so that processes starting together
migrate once; a migration happens whole or not at all (PostgreSQL's DDL is transactional).
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.errors import ComplianceError
from lachan.postgres import FAILURES

LOCK = 0x6C616368616E01
"""`lachan`, then the number of the lock."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _upgrade(connection: Connection) -> None:
    connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def migrate(engine: AsyncEngine) -> None:
    """Runs every migration that the database has not seen.

    Raises:
        ComplianceError: The database cannot be reached, or belongs to a newer release.
    """
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    except (*FAILURES, CommandError) as error:
        raise ComplianceError(f"the database cannot be migrated: {error}") from error


async def is_current(engine: AsyncEngine) -> bool:
    """Whether the database stands at the newest migration known here."""

    def revision(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    head = ScriptDirectory.from_config(_config()).get_current_head()
    async with engine.connect() as connection:
        return await connection.run_sync(revision) == head

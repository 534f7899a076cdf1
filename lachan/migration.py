"""Brings a database's schema up to date.

Holds always: whoever migrates holds one advisory lock until the transaction ends, so that processes starting together
migrate once; a migration happens whole or not at all (PostgreSQL's DDL is transactional), and each in a transaction of
its own: locks that two of them take, one after the other, would deadlock with a writer of the release before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from lachan.postgres import FAILURES, PostgresError

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""How indexes and constraints are called, so that a migration can name them (SQLAlchemy's `naming_convention`)."""


@dataclass(frozen=True)
class Schema:
    """One package's schema."""

    migrations: Path
    """The folder with Alembic's `env.py`, which reads `connection` from the configuration's attributes."""
    lock: int
    """The number of its advisory lock."""

    def _config(self) -> Config:
        config = Config()
        config.set_main_option("script_location", str(self.migrations).replace("%", "%%"))
        return config

    def _upgrade(self, connection: Connection) -> bool:
        """Runs the next migration; False where there is none."""
        connection.execute(select(func.pg_advisory_xact_lock(self.lock)))
        config = self._config()
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision == ScriptDirectory.from_config(config).get_current_head():
            return False
        config.attributes["connection"] = connection
        # Nobody writes to a database that has no schema yet.
        command.upgrade(config, "head" if revision is None else "+1")
        return True

    async def migrate(self, engine: AsyncEngine) -> None:
        """Runs every migration that the database has not seen.

        Raises:
            PostgresError: The database cannot be reached, or belongs to a newer release.
        """
        try:
            more = True
            while more:
                async with engine.begin() as connection:
                    more = await connection.run_sync(self._upgrade)
        except (*FAILURES, CommandError) as error:
            raise PostgresError(f"the database cannot be migrated: {error}") from error

    async def is_current(self, engine: AsyncEngine) -> bool:
        """Whether the database stands at the newest migration known here."""

        def revision(connection: Connection) -> str | None:
            return MigrationContext.configure(connection).get_current_revision()

        head = ScriptDirectory.from_config(self._config()).get_current_head()
        async with engine.connect() as connection:
            return await connection.run_sync(revision) == head

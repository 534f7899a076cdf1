"""The registry's tables as their owner has them: brought up to date, and lent to the service's role to read and add to.

Holds always: the service's role is given SELECT and INSERT, on these tables, and nothing else; what it had beyond that
is taken away.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.registry.schema import SCHEMA
from blocklist_sync.central.registry.tables import HISTORY
from lachan.config import Settings
from lachan.postgres import FAILURES, DatabaseSettings, PostgresError

VERSION_TABLE = "alembic_version"


class OwnerSettings(Settings):
    """Who owns the tables."""

    database: DatabaseSettings


async def ready(engine: AsyncEngine) -> None:
    """Sees to it that the service's tables are up to date, by itself where its role owns them.

    Raises:
        PostgresError: They are not, or the database cannot be used.
    """
    try:
        await SCHEMA.migrate(engine)
    except PostgresError as error:
        raise PostgresError(f"{error}\nas the owner: lachan-blocklist database --config FILE --grant ROLE") from error


async def migrate(engine: AsyncEngine, role: str) -> None:
    """Brings the tables up to date and grants what the service needs; again changes nothing.

    Args:
        engine: As the owner.
        role: The service's; none is granted anything if it is empty.

    Raises:
        PostgresError: The database cannot be migrated.
        CentralError: There is no such role, or it is the owner.
    """
    await SCHEMA.migrate(engine)
    if not role:
        return
    try:
        async with engine.begin() as connection:
            await _grant(connection, role)
    except FAILURES as error:
        raise CentralError(f"{role}: nothing was granted: {error}") from error


async def _grant(connection: AsyncConnection, role: str) -> None:
    owner = await connection.scalar(text("SELECT current_user"))
    if role == owner:
        raise CentralError(f"{role}: owns the tables; the service needs a role of its own")
    quoted = await connection.scalar(text("SELECT quote_ident(:role)"), {"role": role})
    for statement in (
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {quoted}",
        f"REVOKE ALL ON SCHEMA public FROM {quoted}",
        f"GRANT USAGE ON SCHEMA public TO {quoted}",
        f"GRANT SELECT ON {VERSION_TABLE} TO {quoted}",
        f"GRANT SELECT, INSERT ON {', '.join(HISTORY)} TO {quoted}",
    ):
        await connection.execute(text(statement))

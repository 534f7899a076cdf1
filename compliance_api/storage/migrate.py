"""Which schema the compliance service's database has."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.errors import ComplianceError
from lachan.migration import Schema
from lachan.postgres import PostgresError

SCHEMA = Schema(Path(__file__).parent / "migrations", 0x6C616368616E01)
"""Its lock: `lachan`, then a number."""


async def migrate(engine: AsyncEngine) -> None:
    """Runs every migration that the database has not seen.

    Raises:
        ComplianceError: The database cannot be reached, or belongs to a newer release.
    """
    try:
        await SCHEMA.migrate(engine)
    except PostgresError as error:
        raise ComplianceError(str(error)) from error


async def is_current(engine: AsyncEngine) -> bool:
    """Whether the database stands at the newest migration known here."""
    return await SCHEMA.is_current(engine)

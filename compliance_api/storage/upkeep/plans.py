"""How PostgreSQL plans what the console asks.

After five times it would take one plan for whatever is asked: one that cannot know which spans of time and how many
nodes are meant, and reads several times as much. Planning anew costs less than a millisecond.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def plan_each(connection: AsyncConnection) -> None:
    """Has each question of this transaction planned for what it asks."""
    await connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))

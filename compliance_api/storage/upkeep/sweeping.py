"""Deletes rows that are due from tables that lie in no spans of time, some at a time.

Holds always: with a row goes what belongs to nothing else, and the salts and contents of their leaves, in one
statement; what must be kept is kept whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.storage.upkeep.keeping import Keep

BATCH = 5_000


@dataclass(frozen=True)
class Along:
    """Rows of another table that go with those that are due."""

    table: str
    # In SQL, of a row `part` of it and one that goes, called `due`.
    on: str
    # Whose rows they go with: `due`, or a table that goes along itself.
    of: str = "due"
    leaves: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """What is due of a table, and what goes along."""

    table: str
    # In SQL, of a row `old`; `:before` and `:now` are moments.
    due: str
    # None where nothing of it is ever kept longer.
    keep: Keep | None
    # Columns with the index of a leaf.
    leaves: tuple[str, ...] = ()
    along: tuple[Along, ...] = ()
    # Rows that one transaction deletes, without those that go along.
    batch: int = BATCH

    def statement(self) -> str:
        """In SQL."""
        kept = f" AND NOT {self.keep.condition}" if self.keep is not None else ""
        next_rows = f"SELECT ctid FROM {self.table} old WHERE ({self.due}){kept} LIMIT {self.batch}"  # noqa: S608 - names of ours
        parts = [f"due AS (DELETE FROM {self.table} WHERE ctid IN ({next_rows}) RETURNING *)"]  # noqa: S608
        parts += [
            f"{one.table}_gone AS (DELETE FROM {one.table} part"  # noqa: S608 - names of ours
            f" USING {one.of if one.of == 'due' else f'{one.of}_gone'} AS due WHERE {one.on} RETURNING part.*)"
            for one in self.along
        ]
        erased = [("due", column) for column in self.leaves]
        erased += [(f"{one.table}_gone", column) for one in self.along for column in one.leaves]
        indexes = " UNION ALL ".join(f"SELECT {column} FROM {place}" for place, column in erased)  # noqa: S608
        if indexes:
            parts.append(
                "erased AS (UPDATE ledger_leaves SET salt = NULL, content = NULL"  # noqa: S608 - names of ours
                f" WHERE log_index IN ({indexes}))"
            )
        return f"WITH {', '.join(parts)} SELECT count(*) FROM due"  # noqa: S608

    async def step(self, connection: AsyncConnection, before: datetime, now: datetime) -> int:
        """Deletes the next rows that are due, in a transaction of the caller; 0 where there are none."""
        values: dict[str, object] = {"before": before}
        if ":now" in self.due:
            values["now"] = now
        if self.keep is not None:
            values |= await self.keep.values(connection)
        count: int = (await connection.execute(text(self.statement()), values)).scalar_one()
        return count

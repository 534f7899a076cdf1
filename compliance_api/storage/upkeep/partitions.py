"""Big tables in spans of time: made ahead, and taken out whole when their time is over.

Holds always: every row has a place, for the default partition takes what no span holds (a clock that is wrong by years,
or a late row); a row never lies in two; spans are made and taken out in short transactions that give up rather than let
everybody else wait.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.storage.tables import hourly_rollups, observations, reports

# A Monday.
EPOCH = datetime(1970, 1, 5, tzinfo=UTC)
BEGINNING = datetime.min.replace(tzinfo=UTC)
LOCK_SECONDS = 5
"""How long a span's coming or going waits for a table, while others wait behind it."""
MAX_SPANS = 200
"""That one table is divided into, at most: a mistake in the settings must not make thousands."""


@dataclass(frozen=True)
class Divided:
    """A table that lies in spans of time."""

    table: Table
    column: str
    width: timedelta
    # Of spans that are made before their time comes.
    ahead: int

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    def start(self, moment: datetime) -> datetime:
        """When the span begins that a moment lies in."""
        return moment.astimezone(UTC) - (moment.astimezone(UTC) - EPOCH) % self.width


REPORTS = Divided(reports, "window_start", timedelta(days=7), 3)
OBSERVATIONS = Divided(observations, "asked_at", timedelta(days=7), 3)
HOURLY = Divided(hourly_rollups, "hour", timedelta(days=28), 2)
DIVIDED = (REPORTS, OBSERVATIONS, HOURLY)


@dataclass(frozen=True, order=True)
class Span:
    """A partition: all of a table's rows from one moment to another."""

    # The beginning of time for what was there before the table was divided.
    start: datetime
    end: datetime
    name: str


def _name(divided: Divided, start: datetime) -> str:
    return f"{divided.name}_from{start:%Y%m%d}"


def _span(divided: Divided, name: str) -> Span | None:
    found = re.fullmatch(rf"{divided.name}_(from|until)(\d{{8}})", name)
    if not found:
        return None
    at = datetime.strptime(found[2], "%Y%m%d").replace(tzinfo=UTC)
    if found[1] == "until":
        return Span(BEGINNING, at, name)
    return Span(at, at + divided.width, name)


_ATTACHED = text(
    "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
    " JOIN pg_class parent ON parent.oid = inhparent"
    " WHERE parent.relname = :name AND parent.relnamespace = current_schema()::regnamespace"
)
_DETACHED = text(
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND NOT relispartition"
    " AND relnamespace = current_schema()::regnamespace AND relname ~ :pattern"
)


async def spans(connection: AsyncConnection, divided: Divided) -> list[Span]:
    """The spans that a table lies in, oldest first; the default partition is none."""
    names = (await connection.execute(_ATTACHED, {"name": divided.name})).scalars()
    return sorted(span for name in names if (span := _span(divided, name)))


async def detached(connection: AsyncConnection, divided: Divided) -> list[Span]:
    """Spans that were taken out and are not gone yet, oldest first."""
    pattern = f"^{divided.name}_(from|until)[0-9]{{8}}$"
    names = (await connection.execute(_DETACHED, {"pattern": pattern})).scalars()
    return sorted(span for name in names if (span := _span(divided, name)))


async def impatient(connection: AsyncConnection) -> None:
    """Lets this transaction fail rather than wait long for a table that is in use."""
    await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))


async def missing(connection: AsyncConnection, divided: Divided, since: datetime, now: datetime) -> list[datetime]:
    """When the spans begin that are to be made: those to come, and those since then that have rows without a place."""
    known = await spans(connection, divided)
    there = {span.start for span in known}
    # A first span that holds whatever was there before reaches back to the beginning.
    before = next((span.end for span in known if span.start == BEGINNING), None)
    last = divided.start(now) + divided.ahead * divided.width
    wanted = {divided.start(now) + number * divided.width for number in range(divided.ahead + 1)}
    beside = text(
        f"SELECT DISTINCT date_bin(:width, {divided.column}, :epoch) FROM {divided.name}_default"  # noqa: S608 - names from above
        f" WHERE {divided.column} >= :since AND {divided.column} < :until LIMIT {MAX_SPANS}"
    )
    span = {
        "width": divided.width,
        "epoch": EPOCH,
        "since": divided.start(since) + divided.width,
        "until": last + divided.width,
    }
    wanted |= {at.astimezone(UTC) for at in (await connection.execute(beside, span)).scalars()}
    return sorted(at for at in wanted - there if before is None or at >= before)[:MAX_SPANS]


async def make(connection: AsyncConnection, divided: Divided, start: datetime) -> str:
    """Makes the span that begins then, with the rows that had no place but this. In a transaction of the caller."""
    await impatient(connection)
    name, end = _name(divided, start), start + divided.width
    # Whoever adds to the default partition waits, so that no row of this span comes in meanwhile.
    await connection.execute(text(f"LOCK TABLE {divided.name}_default IN ACCESS EXCLUSIVE MODE"))
    await connection.execute(text(f"CREATE TABLE {name} (LIKE {divided.name} INCLUDING DEFAULTS)"))
    inside = f"{divided.column} >= '{start.isoformat()}' AND {divided.column} < '{end.isoformat()}'"
    await connection.execute(
        text(
            f"WITH moved AS (DELETE FROM {divided.name}_default WHERE {inside} RETURNING *)"  # noqa: S608 - names from above
            f" INSERT INTO {name} SELECT * FROM moved"
        )
    )
    await connection.execute(
        text(
            f"ALTER TABLE {divided.name} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
        )
    )
    return name


async def take_out(connection: AsyncConnection, divided: Divided, span: Span) -> None:
    """Takes a span out of its table; its rows stay where they are, in a table of their own."""
    await impatient(connection)
    await connection.execute(text(f"ALTER TABLE {divided.name} DETACH PARTITION {span.name}"))


async def drop(connection: AsyncConnection, span: Span) -> None:
    """Ends a span that was taken out."""
    await connection.execute(text(f"DROP TABLE {span.name}"))

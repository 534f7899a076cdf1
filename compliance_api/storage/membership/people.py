"""The people of organisations in PostgreSQL; who may call is decided by the membership, of which they are a part.

Holds always: a person has one key at a time, which only an enrolment changes.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.parties.organisation import Person
from compliance_api.storage.tables import people
from lachan.tls import Identity, Role


async def read(connection: AsyncConnection) -> dict[str, tuple[Person, ...]]:
    """Those of each organisation, by name."""
    found: dict[str, list[Person]] = defaultdict(list)
    for row in await connection.execute(select(people).order_by(people.c.name)):
        found[row.organisation].append(Person(row.name, row.key, frozenset(row.units)))
    return {organisation: tuple(those) for organisation, those in found.items()}


def identities(those: dict[str, tuple[Person, ...]]) -> set[Identity]:
    """The same by the names in their certificates."""
    return {Identity(owner, Role.PERSON, one.name) for owner, some in those.items() for one in some}


async def admit(connection: AsyncConnection, organisation: str, person: Person, now: datetime) -> None:
    """Keeps somebody, with the key and the units of their latest enrolment."""
    values = {"key": person.key, "units": sorted(person.units), "enrolled_at": now}
    new = postgresql.insert(people).values(values | {"organisation": organisation, "name": person.name})
    await connection.execute(new.on_conflict_do_update(index_elements=["organisation", "name"], set_=values))

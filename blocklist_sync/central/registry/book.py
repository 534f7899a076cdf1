"""The approvals log in the database: who may decide, and what was decided.

Holds always: a step is added under one advisory lock, in the transaction that brings what it says, after the very
verifier that signers use has taken it behind all the steps before; so whatever the log says was checked as they will
check it, and it never says half of something.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from blocklist_sync.central.log import approvals as chain
from blocklist_sync.central.log.approvals import Admission, Person, Witness
from blocklist_sync.central.log.verifier import Delegated, Verifier
from blocklist_sync.central.registry.errors import NotPermittedError
from blocklist_sync.central.registry.schema import DECISIONS
from blocklist_sync.central.registry.tables import admissions, log_steps
from lachan.tls import Identity, Role

BATCH = 500

Delegations = Callable[[], Delegated]
"""Whose keys count, as the repository has it now."""


@dataclass(frozen=True)
class Step:
    """One step of the log."""

    index: int
    step: bytes


class Book:
    """The log, and the state of things that it leads to."""

    def __init__(self, engine: AsyncEngine, delegated: Delegations, organisation: str) -> None:
        """Begins with nothing read.

        Args:
            engine: The database.
            delegated: Which keys approvers may have.
            organisation: Whose people these are.
        """
        self._engine = engine
        self._delegated = delegated
        self._organisation = organisation
        self._keys = Delegated(frozenset())
        self._verifier = Verifier(())
        self._reading = asyncio.Lock()

    @property
    def keys(self) -> frozenset[bytes]:
        """The keys that approvers may have, as last read."""
        return self._keys.now

    async def people(self) -> Mapping[str, Person]:
        """Everybody enrolled now, by id."""
        async with self._engine.connect() as connection:
            return dict((await self._current(connection)).people)

    async def person(self, caller: Identity) -> Person:
        """Who is calling.

        Raises:
            NotPermittedError: The certificate names nobody who is enrolled here.
        """
        identifier = self.identifier(caller)
        person = (await self.people()).get(identifier)
        if person is None:
            raise NotPermittedError(f"{identifier} is not enrolled")
        return person

    def identifier(self, caller: Identity) -> str:
        """Whom a certificate names.

        Raises:
            NotPermittedError: No person of this organisation.
        """
        if caller.role is not Role.PERSON or caller.organisation != self._organisation:
            raise NotPermittedError(f"for people of {self._organisation} alone")
        return caller.name

    async def founding(self) -> bool:
        """Whether nobody is enrolled yet, or somebody who has signed for others still has to be."""
        async with self._engine.connect() as connection:
            verifier = await self._current(connection)
            return not verifier.people or bool(verifier.awaited)

    async def length(self) -> int:
        """How many steps the log has."""
        async with self._engine.connect() as connection:
            return await connection.scalar(select(func.coalesce(func.max(log_steps.c.index), 0))) or 0

    async def steps(self, after: int) -> AsyncIterator[Step]:
        """The steps behind one, in their order."""
        while True:
            async with self._engine.connect() as connection:
                rows = (await connection.execute(_behind(after))).all()
            for row in rows:
                yield Step(row.index, row.step)
                after = row.index
            if len(rows) < BATCH:
                return

    @asynccontextmanager
    async def deciding(self) -> AsyncIterator[tuple[AsyncConnection, Mapping[str, Person]]]:
        """A transaction in which nobody else decides, and everybody who is enrolled meanwhile."""
        async with self._engine.begin() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(DECISIONS)))
            yield connection, dict((await self._current(connection)).people)

    async def append(
        self, connection: AsyncConnection, make: Callable[[int, bytes], bytes], now: datetime
    ) -> tuple[int, chain.Decision | None]:
        """Adds a step, in the transaction of `deciding`.

        Args:
            connection: That transaction.
            make: The step for an index and the hash of the step before.
            now: When.

        Returns:
            The step's index, and what it decides where it brings a proposal.

        Raises:
            LogError: The step is not one that the log can take.
        """
        async with self._reading:
            verifier = await self._read(connection)
            previous = verifier.head
            step = make(verifier.length + 1, previous)
            # Whoever comes next sees whether this was committed, and reads the log anew where it was not.
            decision = await asyncio.to_thread(verifier.add, step)
        index, head = verifier.length, verifier.head
        await connection.execute(
            insert(log_steps).values(index=index, previous=previous, hash=head, step=step, added_at=now)
        )
        return index, decision

    async def admit(self, admission: Admission, witness: Witness, now: datetime) -> int:
        """Enrols or retires a person; the step's index.

        Raises:
            LogError: It is not signed as it must be, or was said before.
        """
        async with self.deciding() as (connection, _):
            index, _ = await self.append(
                connection,
                lambda index, previous: chain.person_step(index, previous, admission, witness),
                now,
            )
            person = admission.person
            await connection.execute(
                insert(admissions).values(
                    index=index,
                    change=admission.change,
                    person=person.id,
                    name=person.name,
                    unit=person.unit,
                    roles=list(person.roles),
                    public_key=person.key,
                    witness=witness.person,
                    decided_at=datetime.fromtimestamp(admission.decided_at, UTC),
                )
            )
        return index

    async def _current(self, connection: AsyncConnection) -> Verifier:
        async with self._reading:
            return await self._read(connection)

    async def _read(self, connection: AsyncConnection) -> Verifier:
        """The verifier behind the last step that this transaction sees."""
        keys = await asyncio.to_thread(self._delegated)
        if keys != self._keys or not await self._stands(connection):
            self._keys, self._verifier = keys, Verifier(keys)
        verifier = self._verifier
        while True:
            rows = (await connection.execute(_behind(verifier.length))).all()
            await asyncio.to_thread(_take, verifier, [row.step for row in rows])
            if len(rows) < BATCH:
                return verifier

    async def _stands(self, connection: AsyncConnection) -> bool:
        """Whether the database has the last step that was read."""
        length, head = self._verifier.length, self._verifier.head
        if not length:
            return True
        found = await connection.scalar(select(log_steps.c.hash).where(log_steps.c.index == length))
        return found is not None and bytes(found) == head


def _behind(after: int) -> Select[Any]:
    return select(log_steps).where(log_steps.c.index > after).order_by(log_steps.c.index).limit(BATCH)


def _take(verifier: Verifier, steps: list[bytes]) -> None:
    for step in steps:
        verifier.add(step)

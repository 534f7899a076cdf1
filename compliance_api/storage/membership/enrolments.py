"""Enrolments in PostgreSQL; what is decided, and why, is `compliance_api.usecases.membership.enrolment`'s.

Holds always: all that one decision changes is in one transaction, under the membership's lock, and its place in the
ledger with it; the revision is raised where the membership changed, so that every process sees it at the next call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.parties.enrolment import Enrolment, Issued, State, Token
from compliance_api.domain.parties.organisation import Person, Registry
from compliance_api.errors import ComplianceError
from compliance_api.identity.issuing import issued_of
from compliance_api.storage.membership import people
from compliance_api.storage.membership.members import (
    ENROLMENT,
    LEFT_OUT,
    changed,
    changing,
    enter,
    note_nodes,
    read,
)
from compliance_api.storage.tables import certificates, enrolment_tokens, enrolments, parties, revocations
from compliance_api.usecases.membership.entry import party_of, person_of
from compliance_api.usecases.membership.membership import Event
from lachan.tls import Identity, Role


def _named(party: Identity) -> dict[str, str]:
    return {"organisation": party.organisation, "role": party.role, "name": party.name}


def _party(row: Row[Any]) -> Identity:
    return Identity(row.organisation, Role(row.role), row.name)


def _enrolment(row: Row[Any]) -> Enrolment:
    return Enrolment(
        row.enrolment_id,
        row.token_hash,
        _party(row),
        row.entry,
        row.csr,
        row.key,
        row.fingerprint,
        State(row.state),
        row.requested_at,
        row.expires_at,
        row.decided_at,
        row.decided_by,
        row.chain,
    )


class EnrolmentChange:
    """One transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._events: list[Event] = []
        self._changed = False

    async def finish(self) -> None:
        """The last thing in the transaction."""
        if self._changed:
            await changed(self._connection)
        if self._events:
            await enter(self._connection, self._events)

    def note(self, event: Event) -> None:
        """Enters something into the ledger at the end of the transaction."""
        self._events.append(event)

    async def registry(self) -> Registry:
        """Everybody, with those whose key is not known yet."""
        return (await read(self._connection, unenrolled=True)).registry

    async def token(self, token_hash: bytes) -> Token | None:
        """A token."""
        kept = select(enrolment_tokens).where(enrolment_tokens.c.token_hash == token_hash)
        row = (await self._connection.execute(kept)).first()
        if row is None:
            return None
        return Token(
            row.token_hash, _party(row), row.entry, row.created_at, row.created_by, row.expires_at, row.used_at
        )

    async def add_token(self, token: Token) -> None:
        """Keeps a token."""
        values = {name: value for name, value in vars(token).items() if name != "party"}
        await self._connection.execute(insert(enrolment_tokens).values(values | _named(token.party)))

    async def spend(self, token_hash: bytes, now: datetime) -> None:
        """Marks a token as used."""
        own = enrolment_tokens.c.token_hash == token_hash
        await self._connection.execute(update(enrolment_tokens).where(own).values(used_at=now))

    async def enrolment(self, *, enrolment_id: bytes = b"", token_hash: bytes = b"") -> Enrolment | None:
        """An enrolment by its id or by its token."""
        kept = enrolments.c
        own = kept.enrolment_id == enrolment_id if enrolment_id else kept.token_hash == token_hash
        row = (await self._connection.execute(select(enrolments).where(own))).first()
        return _enrolment(row) if row is not None else None

    async def add_enrolment(self, enrolment: Enrolment) -> None:
        """Keeps an enrolment."""
        values = {name: value for name, value in vars(enrolment).items() if name != "party"}
        await self._connection.execute(insert(enrolments).values(values | _named(enrolment.party)))

    async def decide(self, enrolment_id: bytes, state: State, by: str, now: datetime, chain: bytes) -> None:
        """Keeps what was decided of it."""
        own = enrolments.c.enrolment_id == enrolment_id
        values = {"state": state, "decided_by": by, "decided_at": now, "chain": chain}
        await self._connection.execute(update(enrolments).where(own).values(values))

    async def enrolments(self, organisation: str | None, limit: int) -> list[Enrolment]:
        """Those of an organisation, or all; newest first."""
        newest = select(enrolments).order_by(enrolments.c.requested_at.desc()).limit(limit)
        if organisation is not None:
            newest = newest.where(enrolments.c.organisation == organisation)
        return [_enrolment(row) for row in await self._connection.execute(newest)]

    async def admit(self, party: Identity, key: bytes, entry: dict[str, Any], now: datetime) -> None:
        """Puts a party into the registry, with a key that no file can change; lifts its revocations.

        Raises:
            ComplianceError: The registry says nothing of it, and neither does the entry.
        """
        if party.role is Role.PERSON:
            await people.admit(self._connection, party.organisation, person_of(party.name, key, entry), now)
        else:
            await self._admit_machine(party, key, entry)
        standing = _where(revocations, party) & (revocations.c.fingerprint == b"") & revocations.c.lifted_at.is_(None)
        await self._connection.execute(update(revocations).where(standing).values(lifted_at=now))
        await note_nodes(self._connection, await self.registry(), now)
        self._changed = True

    async def _admit_machine(self, party: Identity, key: bytes, entry: dict[str, Any]) -> None:
        own = _where(parties, party)
        row = (await self._connection.execute(select(parties).where(own))).first()
        if row is None and not entry:
            raise ComplianceError(f"{party} is not in the registry any more")
        said = entry or (row.entry if row is not None else {})
        party_of(party.role, party.name, key, said)
        last = select(func.coalesce(func.max(parties.c.position), -1) + 1)
        position = row.position if row is not None else (await self._connection.execute(last)).scalar_one()
        values = _named(party) | {"position": position, "key": key, "origin": ENROLMENT, "entry": said}
        fresh = {name: values[name] for name in ("key", "origin", "entry")}
        await self._connection.execute(
            postgresql.insert(parties)
            .values(values)
            .on_conflict_do_update(index_elements=["organisation", "role", "name"], set_=fresh)
        )

    async def people(self, organisation: str) -> list[Person]:
        """Its people who were enrolled and not revoked since."""
        there = await read(self._connection)
        owner = there.registry.organisation(organisation)
        return [
            one
            for one in (owner.people if owner is not None else ())
            if Identity(organisation, Role.PERSON, one.name) not in there.revoked
        ]

    async def living(self, party: Identity, now: datetime) -> list[Issued]:
        """Certificates that were issued to a party, have not ended and were not revoked."""
        counted = (await read(self._connection)).issued.get(party, frozenset())
        kept = select(certificates).where(certificates.c.fingerprint.in_(counted), certificates.c.not_after > now)
        return [issued_of(party, row.chain) for row in await self._connection.execute(kept)]

    async def add_certificate(self, issued: Issued, now: datetime) -> None:
        """Keeps a certificate."""
        values = {
            "fingerprint": issued.fingerprint,
            "not_before": issued.not_before,
            "not_after": issued.not_after,
            "issued_at": now,
            "chain": issued.chain,
        }
        await self._connection.execute(
            postgresql.insert(certificates).values(values | _named(issued.party)).on_conflict_do_nothing()
        )
        self._changed = True

    async def last_revoked(self, party: Identity) -> datetime | None:
        """When the party was last revoked."""
        newest = select(func.max(revocations.c.revoked_at)).where(_where(revocations, party))
        whole = (revocations.c.fingerprint == b"") & (revocations.c.revoked_by != LEFT_OUT)
        found: datetime | None = (await self._connection.execute(newest.where(whole))).scalar_one()
        return found

    async def revoke(
        self, party: Identity, fingerprint: bytes, by: str, reason: str, now: datetime, *, lifted: bool = False
    ) -> None:
        """Ends a party, or one certificate; `lifted` where the party goes on with others."""
        values = {"fingerprint": fingerprint, "revoked_at": now, "revoked_by": by, "reason": reason}
        values |= {"lifted_at": now if lifted else None}
        await self._connection.execute(
            postgresql.insert(revocations).values(values | _named(party)).on_conflict_do_nothing()
        )
        self._changed = True


def _where(table: Any, party: Identity) -> Any:
    return (table.c.organisation == party.organisation) & (table.c.role == party.role) & (table.c.name == party.name)


class Enrolments:
    """The store that `compliance_api.usecases.membership.enrolment` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def change(self, *, alone: bool = True) -> AsyncIterator[EnrolmentChange]:
        """Begins a transaction; it is committed where the block ends well. What only reads need not be alone."""
        async with changing(self._engine) if alone else self._engine.begin() as connection:
            made = EnrolmentChange(connection)
            yield made
            await made.finish()

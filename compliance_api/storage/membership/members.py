"""The membership in PostgreSQL: who takes part, and which certificates count.

Holds always: every change is made under the lock of the one row whose revision it raises, so that changes have an order
and whoever read the revision has read all changes up to it; what a file of organisations says changes no key that was
enrolled; a node that had a key is never removed, only revoked or left out, so that it is judged for what it did; what
is changed stands in the ledger, in the same transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Table, delete, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.domain.parties.credential import Membership
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Probe,
    Registry,
)
from compliance_api.errors import ComplianceError
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.membership import node_versions, people
from compliance_api.storage.tables import (
    certificates,
    chain_heads,
    jurisdictions,
    membership,
    organisations,
    parties,
    revocations,
)
from compliance_api.usecases.membership.entry import entry_of, party_of
from compliance_api.usecases.membership.membership import Event
from lachan import canonical
from lachan.ledger.leaf import Kind
from lachan.tls import Identity, Role

FILE, ENROLMENT = "file", "enrolment"
# Stands where others who end a party have their name: a file that names the node again lifts it.
LEFT_OUT = "the file of organisations"
MAX_PROBLEMS = 20


@asynccontextmanager
async def changing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction in which nobody else changes the membership."""
    async with engine.begin() as connection:
        await connection.execute(select(membership).with_for_update())
        yield connection


async def changed(connection: AsyncConnection) -> None:
    """Says to every process that there is something new, once this transaction is committed."""
    await connection.execute(update(membership).values(revision=membership.c.revision + 1))


async def enter(connection: AsyncConnection, events: Sequence[Event]) -> None:
    """Enters events into the ledger: the last thing in a transaction."""
    await append(connection, [NewLeaf(Kind(one.kind), one.content, one.subject) for one in events])


class Members:
    """The store that `compliance_api.usecases.membership.membership` asks for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def revision(self) -> int:
        """How far the membership has come."""
        async with self._engine.connect() as connection:
            # One statement, and no transaction around it.
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            return int((await connection.execute(select(membership.c.revision))).scalar_one())

    async def load(self) -> Membership:
        """All of it, as of one moment."""
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            return await read(connection)

    async def apply(self, file: Registry, by: str, now: datetime) -> list[str]:
        """Makes the registry what a file of organisations says, and tells what that changed.

        Parties that were enrolled stay. A party without a key in the file keeps the one it was enrolled with.

        Raises:
            ComplianceError: The file gives another key to an enrolled party, or leaves out the organisation of one.
        """
        async with changing(self._engine) as connection:
            before = await read(connection, unenrolled=True)
            origins = await _origins(connection)
            _refuse(file, before.registry, origins)
            await _write_organisations(connection, file)
            await _write_parties(connection, file, origins, now)
            await _forget(connection, file, _parties(before.registry), origins, now)
            after = await read(connection, unenrolled=True)
            events = _differences(before.registry, after.registry, by)
            await note_nodes(connection, after.registry, now)
            if _visible(before.registry) != _visible(after.registry):
                await changed(connection)
            if events:
                await enter(connection, events)
        return [one.subject for one in events]


async def note_nodes(connection: AsyncConnection, registry: Registry, now: datetime) -> None:
    """Notes since when each node is known, and as what; what was noted before stays as it is."""
    rows = [
        {"operator_id": owner.identifier, "node": node.name, "enrolled_at": now}
        for owner in registry.operators()
        for node in owner.nodes
        if node.key
    ]
    if rows:
        await connection.execute(postgresql.insert(chain_heads).on_conflict_do_nothing(), rows)
    await node_versions.keep(connection, registry, now)


async def read(connection: AsyncConnection, *, unenrolled: bool = False) -> Membership:
    """The membership; where `unenrolled`, nodes that were revoked and parties without a key are among the others."""
    revision = (await connection.execute(select(membership.c.revision))).scalar_one()
    found: dict[str, list[Node | Probe]] = defaultdict(list)
    former: dict[str, list[Node]] = defaultdict(list)
    enrolled: set[Identity] = set()
    left = await _left(connection, revoked=not unenrolled)
    for row in await connection.execute(select(parties).order_by(parties.c.position, parties.c.name)):
        if row.key or unenrolled:
            party = party_of(Role(row.role), row.name, row.key, row.entry)
            if isinstance(party, Node) and _who(row) in left:
                former[row.organisation].append(party)
            else:
                found[row.organisation].append(party)
        if row.origin == ENROLMENT:
            enrolled.add(_who(row))
    there = await people.read(connection)
    enrolled |= people.identities(there)
    owners = [
        Organisation(
            row.organisation,
            OrganisationKind(row.kind),
            Label(row.name_vi, row.name_en),
            frozenset(row.jurisdictions),
            tuple(one for one in found[row.organisation] if isinstance(one, Node)),
            tuple(one for one in found[row.organisation] if isinstance(one, Probe)),
            row.roots,
            tuple(former[row.organisation]),
            there.get(row.organisation, ()),
        )
        for row in await connection.execute(select(organisations).order_by(organisations.c.position))
    ]
    places = [
        Jurisdiction(row.jurisdiction, Label(row.name_vi, row.name_en))
        for row in await connection.execute(select(jurisdictions).order_by(jurisdictions.c.position))
    ]
    own = {one.identifier for one in owners if not one.roots}
    return await _credentials(
        connection,
        revision,
        Registry(tuple(places), tuple(owners)),
        {who for who in enrolled if who.organisation in own},
    )


async def _left(connection: AsyncConnection, *, revoked: bool) -> set[Identity]:
    """Who was left out of the file; where `revoked`, and who was revoked."""
    standing = select(revocations).where(revocations.c.fingerprint == b"", revocations.c.lifted_at.is_(None))
    return {_who(row) for row in await connection.execute(standing) if revoked or row.revoked_by == LEFT_OUT}


async def _credentials(
    connection: AsyncConnection, revision: int, registry: Registry, enrolled: set[Identity]
) -> Membership:
    revoked_at: dict[Identity, datetime] = {}
    revoked: set[Identity] = set()
    gone: set[bytes] = set()
    # Who was left out of the file is unknown; once it names them again, the certificates they had count again.
    for row in await connection.execute(select(revocations).where(revocations.c.revoked_by != LEFT_OUT)):
        if row.fingerprint:
            gone.add(row.fingerprint)
            continue
        who = _who(row)
        revoked_at[who] = max(row.revoked_at, revoked_at.get(who, row.revoked_at))
        if row.lifted_at is None:
            revoked.add(who)
    issued: dict[Identity, set[bytes]] = {who: set() for who in enrolled}
    living = select(certificates).where(certificates.c.not_after > func.now())
    for row in await connection.execute(living):
        who = _who(row)
        if who in revoked_at and row.issued_at <= revoked_at[who]:
            gone.add(row.fingerprint)
        elif who in issued:
            issued[who].add(row.fingerprint)
    return Membership(
        revision,
        registry,
        revoked_at,
        frozenset(revoked),
        frozenset(gone),
        {who: frozenset(fingerprints) for who, fingerprints in issued.items()},
    )


async def _origins(connection: AsyncConnection) -> dict[Identity, str]:
    """Where the key of each party came from."""
    return {_who(row): row.origin for row in await connection.execute(select(parties))}


def _who(row: Row[Any]) -> Identity:
    return Identity(row.organisation, Role(row.role), row.name)


def _parties(registry: Registry) -> dict[Identity, Node | Probe]:
    found: dict[Identity, Node | Probe] = {}
    for owner in registry.organisations:
        found |= {Identity(owner.identifier, Role.NODE, one.name): one for one in owner.nodes}
        found |= {Identity(owner.identifier, Role.PROBE, one.name): one for one in owner.probes}
    return found


def _refuse(file: Registry, before: Registry, origins: dict[Identity, str]) -> None:
    wanted, had = _parties(file), _parties(before)
    problems = []
    for who, origin in origins.items():
        if origin != ENROLMENT:
            continue
        if file.organisation(who.organisation) is None:
            problems.append(f"{who} is enrolled, but its organisation is not in the file")
        elif who in wanted and wanted[who].key and wanted[who].key != had[who].key:
            problems.append(f"{who} is enrolled with another key than the file's")
    problems += [
        f"{one.identifier} has people who are enrolled, but is not in the file"
        for one in before.organisations
        if one.people and file.organisation(one.identifier) is None
    ]
    if problems:
        raise ComplianceError("; ".join(sorted(problems)[:MAX_PROBLEMS]))


async def upsert(connection: AsyncConnection, table: Table, rows: list[dict[str, Any]], *kept: str) -> None:
    """Inserts rows, or overwrites those that are there but for their key and for `kept`."""
    if not rows:
        return
    insert = postgresql.insert(table)
    keys = [column.name for column in table.primary_key]
    fresh = {name: insert.excluded[name] for name in rows[0] if name not in {*keys, *kept}}
    await connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=fresh), rows)


async def _write_organisations(connection: AsyncConnection, file: Registry) -> None:
    places = [
        {"jurisdiction": one.identifier, "position": index, "name_vi": one.name.vi, "name_en": one.name.en}
        for index, one in enumerate(file.jurisdictions)
    ]
    owners = [
        {
            "organisation": one.identifier,
            "position": index,
            "kind": one.kind,
            "name_vi": one.name.vi,
            "name_en": one.name.en,
            "jurisdictions": sorted(one.jurisdictions),
            "roots": one.roots,
        }
        for index, one in enumerate(file.organisations)
    ]
    gone = jurisdictions.c.jurisdiction.not_in([one.identifier for one in file.jurisdictions])
    await connection.execute(delete(jurisdictions).where(gone))
    await upsert(connection, jurisdictions, places)
    absent = organisations.c.organisation.not_in([one.identifier for one in file.organisations])
    await connection.execute(delete(organisations).where(absent))
    await upsert(connection, organisations, owners)


def party_row(who: Identity, position: int, party: Node | Probe, origin: str) -> dict[str, Any]:
    """A node or a probe as it is kept."""
    return {
        "organisation": who.organisation,
        "role": who.role,
        "name": who.name,
        "position": position,
        "key": party.key,
        "origin": origin,
        "entry": entry_of(party),
    }


async def _write_parties(
    connection: AsyncConnection, file: Registry, origins: dict[Identity, str], now: datetime
) -> None:
    wanted = _parties(file)
    rows = [(who, party_row(who, index, one, FILE)) for index, (who, one) in enumerate(wanted.items())]
    await upsert(connection, parties, [row for who, row in rows if origins.get(who) != ENROLMENT])
    enrolled = [row for who, row in rows if origins.get(who) == ENROLMENT]
    await upsert(connection, parties, enrolled, "key", "origin")
    kept = revocations.c
    standing = (kept.revoked_by == LEFT_OUT) & kept.lifted_at.is_(None)
    named = tuple_(kept.organisation, kept.role, kept.name).in_(
        [(who.organisation, who.role, who.name) for who in wanted]
    )
    await connection.execute(update(revocations).where(standing, named).values(lifted_at=now))


async def _forget(
    connection: AsyncConnection,
    file: Registry,
    before: dict[Identity, Node | Probe],
    origins: dict[Identity, str],
    now: datetime,
) -> None:
    """Removes parties that only an earlier file named; of nodes that could report it keeps that they were there."""
    wanted = _parties(file)
    for who, party in before.items():
        if origins[who] != FILE or who in wanted:
            continue
        named = {"organisation": who.organisation, "role": who.role, "name": who.name}
        if isinstance(party, Node) and party.key:
            values = {"fingerprint": b"", "revoked_at": now, "revoked_by": LEFT_OUT, "reason": "no longer named"}
            await connection.execute(insert(revocations).values(named | values))
        else:
            own = [parties.c[name] == value for name, value in named.items()]
            await connection.execute(delete(parties).where(*own))


def _visible(registry: Registry) -> tuple[object, ...]:
    return registry.jurisdictions, registry.organisations


def _differences(before: Registry, after: Registry, by: str) -> list[Event]:
    """What the ledger is told: keys that came, changed or went, and authorities of organisations."""
    events = []
    had, have = _parties(before), _parties(after)
    for who in sorted({*had, *have}, key=str):
        old, new = had.get(who), have.get(who)
        if old == new:
            continue
        content: dict[str, Any] = {"event": "registered" if new else "withdrawn", "party": str(who), "by": by}
        if new:
            content |= {"key": new.key.hex(), "entry": entry_of(new)}
        events.append(Event.enrolment(canonical.encode(content), f"{who.organisation}/{who.name}"))
    for one in after.organisations:
        old_owner = before.organisation(one.identifier)
        if old_owner is None or (old_owner.kind, old_owner.jurisdictions, old_owner.roots) != (
            one.kind,
            one.jurisdictions,
            one.roots,
        ):
            content = {
                "event": "organisation",
                "organisation": one.identifier,
                "kind": str(one.kind),
                "jurisdictions": sorted(one.jurisdictions),
                "roots": one.roots.decode(),
                "by": by,
            }
            events.append(Event.enrolment(canonical.encode(content), one.identifier))
    events += [
        Event.enrolment(
            canonical.encode({"event": "organisation-withdrawn", "organisation": one.identifier, "by": by}),
            one.identifier,
        )
        for one in before.organisations
        if after.organisation(one.identifier) is None
    ]
    return events

"""What the registry said of each node, and since when: a verdict as of a past moment looks at the nodes of then.

Holds always: versions are only ever added, in the transaction that changes the registry; a node that has left stands as
it was last, for it is judged for what it did.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.parties.organisation import Registry
from compliance_api.storage.tables import node_versions
from compliance_api.usecases.membership.entry import entry_of

_KEPT = node_versions.c


async def keep(connection: AsyncConnection, registry: Registry, now: datetime) -> None:
    """Keeps what is new of nodes that can report."""
    newest = (
        select(node_versions)
        .order_by(_KEPT.operator_id, _KEPT.node, _KEPT.version.desc())
        .ext(distinct_on(_KEPT.operator_id, _KEPT.node))
    )
    known = {(row.operator_id, row.node): row for row in await connection.execute(newest)}
    rows: list[dict[str, Any]] = []
    for owner in registry.operators():
        for node in owner.nodes:
            before, entry = known.get((owner.identifier, node.name)), entry_of(node)
            if not node.key or (before is not None and (before.key, before.entry) == (node.key, entry)):
                continue
            rows.append(
                {
                    "operator_id": owner.identifier,
                    "node": node.name,
                    "version": before.version + 1 if before is not None else 1,
                    "known_from": now,
                    "key": node.key,
                    "entry": entry,
                }
            )
    if rows:
        await connection.execute(insert(node_versions), rows)


async def nodes_at(connection: AsyncConnection, operator: str, place: str, known_at: datetime) -> tuple[str, ...]:
    """The nodes of an operator in a jurisdiction as they were known at a moment, with those that had left."""
    then = (
        select(_KEPT.node, _KEPT.entry)
        .where(_KEPT.operator_id == operator, _KEPT.known_from <= known_at)
        .order_by(_KEPT.node, _KEPT.version.desc())
        .ext(distinct_on(_KEPT.node))
    )
    rows = await connection.execute(then)
    return tuple(row.node for row in rows if place in row.entry.get("jurisdictions", ()))

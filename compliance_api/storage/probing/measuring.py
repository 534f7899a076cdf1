"""Which nodes measure queries: those that read another resolver's log know of hits alone, and say so."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.reports.chain import Relation

_MEASURING = text(
    "SELECT own.node FROM unnest(CAST(:nodes AS text[])) AS own (node),"
    " LATERAL (SELECT kept.queries_measured FROM reports AS kept"
    " WHERE kept.operator_id = :operator AND kept.node = own.node AND kept.relation <> :equivocation"
    " ORDER BY kept.log_index DESC LIMIT 1) AS newest"
    " WHERE newest.queries_measured"
)


async def measuring(connection: AsyncConnection, operator: str, nodes: Sequence[str]) -> frozenset[str]:
    """Those of an operator's nodes whose newest report tells of queries."""
    values = {"operator": operator, "nodes": list(nodes), "equivocation": Relation.EQUIVOCATION}
    return frozenset((await connection.execute(_MEASURING, values)).scalars())

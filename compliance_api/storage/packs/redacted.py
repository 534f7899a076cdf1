"""What an operator is shown of the evidence against it.

Holds always: nothing leads to a probe, to a line, or to a name that is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.storage.tables import observations
from compliance_api.usecases.findings.casework import Cited, Seen

MAX_SEEN = 1000


def cited(evidence: Iterable[Mapping[str, str]]) -> tuple[Cited, ...]:
    """What a finding cites: the minute of a question, with the operator's own log, would lead to the probe."""
    return tuple(
        Cited(one["kind"], one["at"][:10], one["node"], one["reference"] if one["kind"].endswith("report") else "")
        for one in evidence
    )


async def seen(connection: AsyncConnection, finding: Row[Any]) -> tuple[Seen, ...]:
    """How often each vantage point saw what of which node, in the finding's own time."""
    kept = observations.c
    by = kept.vantage_point, kept.node, kept.arm, kept.result
    wanted = (
        select(*by, func.count().label("number"))
        .where(kept.operator_id == finding.operator_id)
        .where(kept.asked_at >= finding.since, kept.asked_at <= finding.last_seen)
        .group_by(*by)
        .order_by(*by)
        .limit(MAX_SEEN)
    )
    if finding.node:
        wanted = wanted.where(kept.node == finding.node)
    return tuple(Seen(*row) for row in await connection.execute(wanted))

"""Names that spoke against a node and are neither confirmed nor cleared yet, read from PostgreSQL.

Holds always: it only reads; a name that enough eyes saw again long enough after the first time is settled, whatever
they saw, and is asked no more, so that old misses never keep new ones from being asked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_api.domain.drawing.sampling import ListedName, Unlisted, Unsettled
from compliance_api.domain.observations.observation import FAILING, UNLISTED, Arm, Result, Shape
from compliance_api.storage.tables import observations, removals
from compliance_api.usecases.probing.assignment import Wanted

_seen = observations.c
_FAILED = and_(_seen.shape.in_(FAILING), _seen.reference_alive)
_REFUSED = and_(_seen.shape == Shape.REFUSED, _seen.reference_alive)
# What speaks against a node, and what says anything at all.
_MISSED = and_(_seen.arm == Arm.LISTED, _seen.added_at.is_not(None), or_(_seen.result == Result.NOT_BLOCKED, _FAILED))
_BLOCKED = and_(_seen.arm.in_(UNLISTED), or_(_seen.result == Result.BLOCKED, _REFUSED))
# What a release has taken out need not be blocked any more.
_GONE = exists().where(removals.c.qname == _seen.qname, removals.c.serial > _seen.added_serial)
_SETTLED = or_(_seen.result != Result.INCONCLUSIVE, _FAILED, _REFUSED)


async def unsettled(connection: AsyncConnection, operator: str, node: str, wanted: Wanted) -> Unsettled:
    """All of them, oldest first."""
    firm: list[ListedName] = []
    loose: list[ListedName] = []
    for row in await connection.execute(_names(operator, node, wanted, and_(_MISSED, ~_GONE))):
        known = row.qname, row.category, row.order_reference, row.added_serial, row.added_at
        several = row.eyes >= wanted.rule.vantage_points
        (firm if several else loose).append(ListedName(*known, types=tuple(row.types)))
    rows = await connection.execute(_names(operator, node, wanted, _BLOCKED))
    blocked = tuple(Unlisted(row.qname, Arm(row.arm), tuple(row.types)) for row in rows)
    return Unsettled(tuple(firm), tuple(loose), blocked)


def _names(operator: str, node: str, wanted: Wanted, against: ColumnElement[bool]) -> Select[Any]:
    of_node = and_(_seen.operator_id == operator, _seen.asked_at >= wanted.since, _seen.node == node)
    first = (
        select(
            _seen.qname,
            _seen.arm,
            func.min(_seen.asked_at).label("asked_at"),
            func.count(_seen.vantage_point.distinct()).label("eyes"),
            func.array_agg(_seen.qtype.distinct()).label("types"),
            func.max(_seen.category).label("category"),
            func.max(_seen.order_reference).label("order_reference"),
            func.max(_seen.added_serial).label("added_serial"),
            func.max(_seen.added_at).label("added_at"),
        )
        .where(of_node, against)
        .group_by(_seen.qname, _seen.arm)
        .having(func.min(_seen.asked_at) <= wanted.until)
        .cte("first")
    )
    apart = timedelta(seconds=wanted.rule.sessions_apart)
    later = (
        select(_seen.qname, _seen.arm)
        .join(first, and_(first.c.qname == _seen.qname, first.c.arm == _seen.arm))
        .where(of_node, _SETTLED, _seen.asked_at >= first.c.asked_at + apart)
        .group_by(_seen.qname, _seen.arm)
        .having(func.count(_seen.vantage_point.distinct()) >= wanted.rule.vantage_points)
        .cte("later")
    )
    return (
        select(first)
        .outerjoin(later, and_(first.c.qname == later.c.qname, first.c.arm == later.c.arm))
        .where(later.c.qname.is_(None))
        .order_by(first.c.asked_at, first.c.qname)
        .limit(wanted.limit)
    )

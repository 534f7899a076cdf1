"""Which names are asked again, read from a real PostgreSQL."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.law.law import Confirmation
from compliance_api.domain.observations.observation import Arm, Result, Shape
from compliance_api.storage.probing.assignments import Assignments
from compliance_api.storage.tables import observations
from compliance_api.usecases.probing.assignment import Wanted
from tests.support.cases import NOW

RULE = Confirmation(vantage_points=2, sessions_apart=6 * 3600.0)
WANTED = Wanted(NOW - timedelta(days=1), NOW - timedelta(hours=6), RULE)
WORDS = "probe_organisation probe access_network custodian endpoint order_reference"


def seen(qname: str, hours_ago: float, eye: int, **changes: Any) -> dict[str, Any]:
    """One of several lines saw a listed name answered."""
    session = hashlib.sha256(f"{qname} {hours_ago} {eye}".encode()).digest()[:16]
    return {
        "operator_id": "a", "node": "edge-1", "assignment_id": session, "question": 0,
        "asked_at": NOW - timedelta(hours=hours_ago), "received_at": NOW, "vantage_point": f"v{eye}", "qname": qname,
        "qtype": 1, "arm": Arm.LISTED, "category": 3, "added_serial": 7, "added_at": NOW - timedelta(days=30),
        "result": Result.NOT_BLOCKED, "shape": Shape.ANSWER, "reference_alive": True, "digest": b"d",
        "observation": b"o", "signature": b"s", "key_id": b"k", **dict.fromkeys(WORDS.split(), "x"), **changes,
    }  # fmt: skip


def failed(qname: str, hours_ago: float, eye: int) -> dict[str, Any]:
    return seen(qname, hours_ago, eye, result=Result.INCONCLUSIVE, shape=Shape.FAILURE)


async def test_what_speaks_against_a_node_is_asked_again_until_enough_eyes_have_settled_it(engine: AsyncEngine) -> None:
    blocked = {"result": Result.BLOCKED, "shape": Shape.NXDOMAIN}
    rows = [
        *(seen("several.example", 8, eye, qtype=28) for eye in (1, 2)),
        # Settled: enough eyes saw it six hours later, and it does not matter what.
        *(seen("confirmed.example", hours, eye) for hours in (8, 1) for eye in (1, 2)),
        *(seen("cleared-now.example", 8, eye) for eye in (1, 2)),
        *(seen("cleared-now.example", 1, eye, **blocked) for eye in (1, 2)),
        # One eye is not enough, and what comes too soon settles nothing.
        *(seen("half-settled.example", 8, eye) for eye in (1, 2)),
        *(seen("half-settled.example", hours, 1) for hours in (1, 3)),
        *(failed("failing-name.example", 8, eye) for eye in (1, 2)),
        seen("one-line.example", 8, 1),
        # Too young to be confirmed, too old to be counted, another's, or never listed.
        *(seen("young.example", 2, eye) for eye in (1, 2)),
        *(seen("old-name.example", 25, eye) for eye in (1, 2)),
        *(seen("another-node.example", 8, eye, node="edge-2") for eye in (1, 2)),
        seen("parent-of-listed.example", 8, 1, arm=Arm.NEIGHBOUR, added_at=None, qtype=65, **blocked),
        seen("answered-control.example", 8, 1, arm=Arm.CONTROL, added_at=None),
    ]
    async with engine.begin() as connection:
        for row in rows:
            await connection.execute(insert(observations).values(row))
    found = await Assignments(engine).unsettled("a", "edge-1", WANTED)
    assert [(one.qname, one.types) for one in found.firm] == [
        ("failing-name.example", (1,)),
        ("half-settled.example", (1,)),
        ("several.example", (28,)),
    ]
    assert [(one.qname, one.category, one.added_serial) for one in found.loose] == [("one-line.example", 3, 7)]
    assert [(one.qname, one.arm, one.types) for one in found.blocked] == [
        ("parent-of-listed.example", Arm.NEIGHBOUR, (65,))
    ]
